import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_runs import names

from dualfocus import load_model
from dualfocus.outputs import DepthResult, check_output
from dualfocus.outputs.codes import encode_depth
from dualfocus.outputs.colour import colour_map, colour_picture
from dualfocus.outputs.files import RESULT_FILES
from dualfocus.stack import Camera, FocalStack


def make_result(height: int = 120, width: int = 160, **changes: object) -> DepthResult:
    depth = np.linspace(0.5, 4, height * width, dtype=np.float32).reshape(height, width)
    valid = np.ones((height, width), bool)
    valid[:3] = False
    colours = np.random.default_rng(0).integers(0, 65536, (height, width, 3)).astype(np.uint16)
    fields: dict = {
        "depth": depth,
        "valid": valid,
        "confidence": np.full((height, width), 0.6, np.float32),
        "std": np.full((height, width), 0.01, np.float32),
        "all_in_focus": colours,
        "unit": "m",
        "focus_distances": np.array([0.5, 1.0, 4.0]),
        "model": "classical",
        "timings": {"total": 0.25},
        "warnings": ["a warning"],
    }
    return DepthResult(**{**fields, **changes})


def read_png(path: Path) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image


def read_ply(path: Path) -> tuple[list[str], np.ndarray]:
    """An independent little reader: header lines and the vertices."""
    head, _, body = path.read_bytes().partition(b"end_header\n")
    lines = head.decode("ascii").splitlines()
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [(line.split()[2], kinds[line.split()[1]]) for line in lines if line.startswith("property")]
    return lines, np.frombuffer(body, np.dtype(fields))


def test_save_writes_what_the_contract_names(tmp_path: Path) -> None:
    result = make_result()
    out = tmp_path / "a" / "b"
    assert result.save(out) == out
    assert names(out) == set(RESULT_FILES)
    assert names(tmp_path) == {"a"} and names(tmp_path / "a") == {"b"}

    depth = np.load(out / "depth.npy")
    assert depth.dtype == np.float32 and np.array_equal(depth, result.depth)
    record = json.loads((out / "result.json").read_text(encoding="utf-8"))
    png = read_png(out / "depth.png")
    assert png.dtype == np.uint16 and np.array_equal(png == 0, ~result.valid)
    scale, offset = record["depth_png"]["scale"], record["depth_png"]["offset"]
    assert np.abs(offset + scale * png - depth)[result.valid].max() <= 0.51 * scale
    assert np.array_equal(read_png(out / "all_in_focus.png"), result.all_in_focus)
    confidence = read_png(out / "confidence.png")
    assert confidence.dtype == np.uint8 and set(confidence[result.valid]) == {153} and not confidence[:3].any()
    assert record["unit"] == record["focus_unit"] == "m" and record["model"] == "classical"
    assert record["focus_distances"] == [0.5, 1.0, 4.0] and record["warnings"] == ["a warning"]
    assert record["timings"] == {"total": 0.25} and record["dualfocus"]


def test_eight_bit_colours_stay_eight_bit(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    make_result(all_in_focus=colours).save(tmp_path / "out")
    written = read_png(tmp_path / "out" / "all_in_focus.png")
    assert written.dtype == np.uint8 and np.array_equal(written, colours)


def test_infinite_depth_is_kept_in_float_and_invalid_in_integers(tmp_path: Path) -> None:
    result = make_result(focus_distances=np.array([2.0, 1.0, 0.0]), focus_unit="dioptre")
    result.depth[-5:] = np.inf
    result.save(tmp_path / "out", points=True)
    assert np.isinf(np.load(tmp_path / "out" / "depth.npy")[-5:]).all()
    png = read_png(tmp_path / "out" / "depth.png")
    assert not png[-5:].any() and png[3:-5].all()
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert np.isfinite(record["depth_range"]).all() and record["focus_unit"] == "dioptre"
    assert len(read_ply(tmp_path / "out" / "points.ply")[1]) == (120 - 3 - 5) * 160
    picture = colour_picture(result)
    assert np.array_equal(picture[-1, 0], colour_map()[0]), "infinity is the farthest colour, not invalid"


@pytest.mark.parametrize("depth", [np.nan, 3.0])
def test_extreme_maps_can_be_saved(tmp_path: Path, depth: float) -> None:
    result = make_result(8, 8, depth=np.full((8, 8), depth, np.float32), valid=np.full((8, 8), depth == depth))
    result.save(tmp_path / "out", points=True)
    png, scale, offset = encode_depth(result.depth, result.valid)
    assert np.array_equal(png > 0, result.valid)
    assert not png.any() or offset + scale * png[0, 0] == depth


def test_colours_run_from_warm_near_to_cold_far() -> None:
    result = make_result()
    picture = colour_picture(result).astype(int)
    assert picture.shape[0] == 120 and picture.shape[1] > 160 and picture.dtype.kind == "i"
    assert np.array_equal(picture[0, 0], [128, 128, 128])
    near, far = picture[3, 0], picture[-1, 159]
    assert near[0] > near[2] + 100 and far[2] > far[0] + 30
    steps = np.abs(np.diff(colour_map().astype(int), axis=0)).max()
    assert steps <= 12, "the map has no jump"
    index = make_result(unit="index", focus_distances=None, order="far_to_near")
    assert colour_picture(index)[-1, 159, 0] > colour_picture(index)[3, 0, 0], "the last plane is the nearest"


def test_point_cloud_with_a_known_camera(tmp_path: Path) -> None:
    camera = Camera(focal_length_mm=50, sensor_width_mm=25)
    result = make_result(camera=camera)
    result.save(tmp_path / "out", points=True)
    lines, vertices = read_ply(tmp_path / "out" / "points.ply")
    assert f"element vertex {result.valid.sum()}" in lines and len(vertices) == result.valid.sum()
    row, column = 100, 20
    vertex = vertices[(row - 3) * 160 + column]
    z = result.depth[row, column]
    assert vertex["z"] == z
    assert vertex["x"] == pytest.approx((column - 79.5) * z / 320) and vertex["y"] == pytest.approx(
        (row - 59.5) * z / 320
    )
    assert [vertex[c] for c in ("red", "green", "blue")] == list(np.rint(result.all_in_focus[row, column] / 257))
    record = json.loads((tmp_path / "out" / "result.json").read_text())["points"]
    assert record["focal_px"] == 320 and record["source"] == "camera"


def test_point_cloud_without_a_camera_says_what_it_assumes(tmp_path: Path) -> None:
    make_result().save(tmp_path / "out", points=True)
    record = json.loads((tmp_path / "out" / "result.json").read_text())["points"]
    assert record["focal_px"] == pytest.approx(80 / np.tan(np.pi / 6)) and "60 degrees" in record["source"]
    with pytest.raises(ValueError, match="index"):
        make_result(unit="index").save(tmp_path / "new", points=True)
    assert not (tmp_path / "new").exists()


def test_an_earlier_result_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_result(model="first").save(out, points=True)
    (out / ".DS_Store").write_text("left by a file manager")
    make_result(model="second").save(out)
    assert names(out) == set(RESULT_FILES) and names(tmp_path) == {"out"}
    assert json.loads((out / "result.json").read_text())["model"] == "second"


def test_foreign_files_are_refused_then_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_result(model="first").save(out, points=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="notes.txt.*overwrite"):
        make_result(model="second").save(out)
    assert json.loads((out / "result.json").read_text())["model"] == "first"
    make_result(model="second").save(out, overwrite=True)
    assert names(out) == {*RESULT_FILES, "notes.txt"}, "and the earlier point cloud is gone"
    assert (out / "notes.txt").read_text() == "mine" and names(tmp_path) == {"out"}


def test_what_only_has_our_names_is_the_users(tmp_path: Path) -> None:
    for name in ("report.html", "points.ply", "mesh.glb", "depth.tiff", "depth.exr"):
        (tmp_path / name).write_text("mine")
    make_result().save(tmp_path, overwrite=True)
    assert all((tmp_path / name).read_text() == "mine" for name in ("report.html", "points.ply", "depth.tiff"))
    assert names(tmp_path) >= set(RESULT_FILES)


def test_a_folder_with_one_of_our_names_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "depth.png").mkdir()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="depth.png"):
            make_result().save(tmp_path, overwrite=overwrite)
    assert names(tmp_path) == {"depth.png"}, "nothing half written"


def test_a_warning_may_name_a_file_that_is_no_text(tmp_path: Path) -> None:
    make_result(warnings=["photo\udcff.jpg"]).save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "result.json").read_text())["warnings"] == ["photo\udcff.jpg"]


def test_our_names_without_our_record_are_foreign(tmp_path: Path) -> None:
    (tmp_path / "depth.png").write_text("somebody's")
    (tmp_path / "result.json").write_text('{"score": 3}')
    with pytest.raises(ValueError, match="not an earlier result"):
        check_output(tmp_path)
    check_output(tmp_path, overwrite=True)
    assert names(tmp_path) == {"depth.png", "result.json"}


def test_unwritable_output_is_found_before_computing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(ValueError, match="is a file"):
            check_output(out)
        with pytest.raises(ValueError, match="is a file"):
            make_result().save(out)
    check_output(tmp_path / "new" / "deep")
    assert names(tmp_path) == {"file"}


def test_a_failure_while_writing_leaves_the_earlier_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_result(model="first").save(tmp_path / "out")
    broken = make_result(all_in_focus=np.zeros((120, 160, 7), np.uint8))
    for out in (tmp_path / "out", tmp_path / "new" / "deep"):
        with pytest.raises((ValueError, cv2.error)):
            broken.save(out)
    assert names(tmp_path) == {"out"} and names(tmp_path / "out") == set(RESULT_FILES)
    assert json.loads((tmp_path / "out" / "result.json").read_text())["model"] == "first"

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", refuse)  # a mount point cannot be moved: its files are replaced
    make_result(model="second").save(tmp_path / "out")
    assert names(tmp_path) == {"out"} and names(tmp_path / "out") == set(RESULT_FILES)
    assert json.loads((tmp_path / "out" / "result.json").read_text())["model"] == "second"


def test_an_empty_folder_and_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_result().save(".")
    make_result(model="again").save(".")
    assert names(Path.cwd()) == set(RESULT_FILES) and Path.cwd().samefile(tmp_path)


def test_the_light_parts_import_no_torch() -> None:
    code = (
        "import sys, dualfocus.cli, dualfocus.optics, dualfocus.outputs, dualfocus.readers, dualfocus.stack\n"
        "dualfocus.FocalStack, dualfocus.Camera, dualfocus.DepthResult, dualfocus.load_stack\n"
        "assert set(dualfocus.__all__) <= set(dir(dualfocus)) and 'Any' not in dir(dualfocus)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("size", [np.float32(0.5), np.int64(2)])
def test_a_pixel_size_of_numpy_is_a_number(size, tmp_path):
    stack = FocalStack(np.zeros((2, 40, 50), np.uint8), [0, 5], "um", pixel_size_um=size)
    result = load_model("classical").predict(stack)
    result.save(tmp_path / "out", also=["tiff", "ply", "glb", "html"])
    assert json.loads((tmp_path / "out" / "result.json").read_text())["points"]["pixel_size"] == size
    result.save(tmp_path / "one", also="tiff")
    assert (tmp_path / "one" / "depth.tiff").exists()
