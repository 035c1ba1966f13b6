import json
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import tifffile
import trimesh
from command_runs import names
from test_outputs import make_result, read_png

from dualfocus.outputs import FORMATS, DepthResult
from dualfocus.outputs.exr import encode_exr
from dualfocus.outputs.files import RESULT_FILES
from dualfocus.outputs.mesh import STEEPEST, surface
from dualfocus.outputs.projection import projection
from dualfocus.stack import Camera

CAMERA = Camera(focal_length_mm=50, sensor_width_mm=25)


def photograph(height: int, width: int) -> np.ndarray:
    """Red grows to the right and green downwards, so that a colour tells where it comes from."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([255 * columns // (width - 1), 255 * rows // (height - 1), np.full_like(rows, 40)], -1).astype(
        np.uint8
    )


def make_step(height: int = 60, width: int = 80, **changes: object) -> DepthResult:
    """A slope with a step of depth in the middle and a hole."""
    depth = 1.0 + 0.001 * np.arange(width)[None] + 0.002 * np.arange(height)[:, None]
    depth[:, width // 2 :] += 1
    valid = np.ones((height, width), bool)
    valid[10:15, 10:20] = False
    fields = {"depth": depth.astype(np.float32), "valid": valid, "all_in_focus": photograph(height, width)}
    return make_result(height, width, **{"camera": CAMERA, **fields, **changes})


def read_exr(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    with OpenEXR.File(str(path)) as file:
        return dict(file.header()), {name: channel.pixels for name, channel in file.channels().items()}


def read_glb(path: Path) -> tuple[trimesh.Trimesh, np.ndarray]:
    """The mesh as stored, and the (V, 3) points of the scene, which glTF says are metres, y up, z to the viewer."""
    scene = trimesh.load(path)
    assert isinstance(scene, trimesh.Scene)
    (node,) = scene.graph.nodes_geometry
    transform, name = scene.graph[node]
    mesh = scene.geometry[name]
    return mesh, trimesh.transform_points(mesh.vertices, transform)


def test_float_files_and_png_agree(tmp_path: Path) -> None:
    result = make_step(61, 77)
    result.save(tmp_path / "out", also=["tiff", "exr"])
    assert names(tmp_path / "out") == {*RESULT_FILES, "depth.tiff", "depth.exr"}
    with tifffile.TiffFile(tmp_path / "out" / "depth.tiff") as tiff:
        page = tiff.pages[0]
        depth = page.asarray()
        assert page.description.endswith("depth along the optical axis in m")
    header, channels = read_exr(tmp_path / "out" / "depth.exr")
    assert depth.dtype == np.float32 and np.array_equal(depth, result.depth)
    assert set(channels) == {"Z", "confidence"} and header["unit"] == "m"
    assert channels["Z"].dtype == np.float32 and np.array_equal(channels["Z"], result.depth)
    assert np.array_equal(channels["confidence"], result.confidence)
    record = json.loads((tmp_path / "out" / "result.json").read_text())["depth_png"]
    png = record["offset"] + record["scale"] * read_png(tmp_path / "out" / "depth.png")
    assert np.abs(png - depth)[result.valid].max() <= 0.51 * record["scale"]
    assert np.array_equal(read_png(tmp_path / "out" / "valid.png"), np.where(result.valid, 255, 0))


@pytest.mark.parametrize("size", [(1, 1), (16, 3), (17, 64), (40, 5)])
def test_exr_of_any_size_and_value(size: tuple[int, int], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=size).astype(np.float32)  # noise cannot be compressed: its blocks are stored as they are
    odd = np.where(noise > 0, np.inf, np.where(noise < -1, np.nan, noise)).astype(np.float32)
    (tmp_path / "a.exr").write_bytes(encode_exr({"b": noise, "a": odd}, {"unit": "µm"}))
    _, channels = read_exr(tmp_path / "a.exr")
    assert np.array_equal(channels["a"], odd, equal_nan=True) and np.array_equal(channels["b"], noise)


def test_point_cloud_gives_back_the_depth(tmp_path: Path) -> None:
    result = make_step()
    result.save(tmp_path / "out", points=True)
    cloud = trimesh.load(tmp_path / "out" / "points.ply")
    rows, columns = np.nonzero(result.valid)
    points = np.asarray(cloud.vertices)
    assert np.array_equal(points[:, 2].astype(np.float32), result.depth[rows, columns])
    focal = 50 / 25 * 80
    np.testing.assert_allclose(points[:, 0] / points[:, 2] * focal + 39.5, columns, atol=1e-4)
    np.testing.assert_allclose(points[:, 1] / points[:, 2] * focal + 29.5, rows, atol=1e-4)
    assert np.array_equal(np.asarray(cloud.colors)[:, :3], result.all_in_focus[rows, columns])


def test_mesh_gives_back_the_depth_and_is_cut_at_depth_edges(tmp_path: Path) -> None:
    result = make_step()
    result.save(tmp_path / "out", also=["glb"])
    mesh, points = read_glb(tmp_path / "out" / "mesh.glb")
    rows, columns = np.nonzero(result.valid)
    stored = np.asarray(mesh.vertices)
    assert np.array_equal(stored[:, 2].astype(np.float32), result.depth[rows, columns])
    np.testing.assert_allclose(points, stored * [1, -1, -1], rtol=1e-6, atol=1e-9)
    faces = np.asarray(mesh.faces)
    assert (np.ptp(stored[faces][..., 2], axis=1) < 0.5).all(), "no triangle bridges the step"
    hole = 2 * 6 * 11 - 2  # squares that touch the hole of 5 x 10; two of its corners leave a triangle
    assert len(faces) == 2 * 59 * (79 - 1) - hole
    normals = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    assert (normals[:, 2] > 0).all(), "every triangle faces the camera"
    colours = np.asarray(mesh.visual.to_color().vertex_colors)[:, :3].astype(int)
    inner = (columns > 0) & (columns < 79) & (rows > 0) & (rows < 59)
    assert np.abs(colours - result.all_in_focus[rows, columns])[inner].max() <= 12, "the texture lies where it belongs"
    record = json.loads((tmp_path / "out" / "result.json").read_text())["mesh"]
    assert record["kind"] == "pinhole" and record["focal_px"] == 160 and record["stride"] == 1


def test_steepest_triangle_that_is_kept() -> None:
    for slope, kept in ((STEEPEST * 0.9, True), (STEEPEST * 1.1, False)):
        depth = np.full((8, 9), 2.0, np.float32)
        depth[:, 5:] += slope * 2.0 / 18  # 18: focal length in pixels
        result = make_result(8, 9, depth=depth, valid=np.ones((8, 9), bool), camera=CAMERA)
        assert len(surface(result, projection(result)).triangles) == 2 * 7 * (8 if kept else 7)


def test_a_large_mesh_takes_every_few_pixels() -> None:
    result = make_step()
    mesh = surface(result, projection(result), most_vertices=600)
    assert mesh.stride == 3 and len(mesh.positions) == result.valid[::3, ::3].sum()
    assert np.array_equal(mesh.positions[:, 2], result.depth[::3, ::3][result.valid[::3, ::3]])


def test_a_microscope_is_orthographic(tmp_path: Path) -> None:
    result = make_step(unit="um", pixel_size_um=0.25, camera=None, focus_distances=np.array([-2.0, 0.0, 3.0]))
    result.save(tmp_path / "out", also=["ply", "glb", "tiff"])
    rows, columns = np.nonzero(result.valid)
    points = np.asarray(trimesh.load(tmp_path / "out" / "points.ply").vertices)
    expected = np.stack([0.25 * (columns - 39.5), 0.25 * (rows - 29.5), result.depth[rows, columns]], axis=1)
    assert np.array_equal(points.astype(np.float32), expected.astype(np.float32))
    mesh, metres = read_glb(tmp_path / "out" / "mesh.glb")
    np.testing.assert_allclose(metres, np.asarray(mesh.vertices) * [1e-6, -1e-6, -1e-6], rtol=1e-5, atol=1e-12)
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["points"]["kind"] == "orthographic" and record["mesh"]["pixel_size"] == 0.25
    with tifffile.TiffFile(tmp_path / "out" / "depth.tiff") as tiff:
        assert tiff.pages[0].get_resolution("MICROMETER")[0] == pytest.approx(4)
    with pytest.raises(ValueError, match="size of a pixel"):
        make_step(unit="um").save(tmp_path / "new", also=["glb"])


def test_a_given_field_of_view_wins(tmp_path: Path) -> None:
    make_step().save(tmp_path / "out", also=["glb"], fov=90)
    record = json.loads((tmp_path / "out" / "result.json").read_text())["mesh"]
    assert record["focal_px"] == pytest.approx(40) and "90" in record["source"]
    for fov in (0, 180, -3, float("nan")):
        with pytest.raises(ValueError, match="field of view"):
            make_step().save(tmp_path / "new", also=["ply"], fov=fov)
    for also in (["ply"], ["html"], []):
        with pytest.raises(ValueError, match="field of view belongs to distances from a camera"):
            make_step(unit="um", pixel_size_um=1.0).save(tmp_path / "new", also=also, fov=50)
    assert names(tmp_path) == {"out"}


def test_nothing_valid_still_gives_readable_files(tmp_path: Path) -> None:
    result = make_step(valid=np.zeros((60, 80), bool))
    result.save(tmp_path / "out", also=list(FORMATS))
    assert names(tmp_path / "out") == {*RESULT_FILES, *FORMATS.values()}
    assert not trimesh.load(tmp_path / "out" / "mesh.glb").geometry


def test_unknown_format_and_replaced_formats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'obj'.*tiff, exr, ply, glb"):
        make_step().save(tmp_path / "out", also=["obj"])
    assert not names(tmp_path)
    make_step().save(tmp_path / "out", also=list(FORMATS))
    make_step().save(tmp_path / "out")
    assert names(tmp_path / "out") == set(RESULT_FILES)
