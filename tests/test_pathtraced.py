"""Path-traced stacks: meshes and their split, exact depth, the lens's blur, and sets in the manner of FoD500."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mitsuba", reason="path tracing needs the extra dualfocus[render]")
pytest.importorskip("pyoidn", reason="path tracing needs the extra dualfocus[render]")
pytest.importorskip("trimesh", reason="path tracing needs the extra dualfocus[render]")

from dualfocus.datasets import StackFolders
from dualfocus.rendering.fod import FOCUS_DISTANCES_M, make_fod, make_fod_scene
from dualfocus.rendering.meshes import MeshLibrary, is_held_out, prepare
from dualfocus.rendering.pathtraced import Body, ThinLens, TracedScene, trace_stack
from dualfocus.rendering.rooms import make_room
from dualfocus.rendering.textures import TexturePool
from dualfocus.rendering.traced_set import write_drawn_set

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 1)], float)
BOX = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4]]
SQUARE = prepare(np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) / 2, np.array([[0, 1, 2], [0, 2, 3]]))
GREY = np.full((8, 8, 3), 0.5, np.float32)
LENS = ThinLens(focal_length_mm=50, f_number=1, sensor_width_mm=36, width=64, height=48)


def square_at(x, y, z, size, slope=0.0):
    place = np.diag([size, size, size, 1.0])
    place[:3, 3] = x, y, z
    place[2, 0] = slope * size
    return Body(SQUARE, place, GREY)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A catalogue of twelve boxes."""
    folder = tmp_path_factory.mktemp("furniture")
    lines = [f"v {x} {y} {z}" for x, y, z in CORNERS.tolist()] + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in BOX]
    with zipfile.ZipFile(folder / "BlendSwap-CC-0.sh3f", "w") as archive:
        for n in range(12):
            archive.writestr(f"models/box{n}/box{n}.obj", "\n".join(lines))
    return folder


def test_meshes_are_centred_and_have_texture_coordinates():
    mesh = prepare(CORNERS, np.array(BOX))
    flat = mesh.corners.reshape(-1, 3)
    np.testing.assert_allclose(flat.max(axis=0), [0.25, 0.5, 0.25])
    np.testing.assert_allclose(flat.min(axis=0), [-0.25, -0.5, -0.25])
    edges = np.diff(mesh.uv, axis=1)
    areas = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0])
    assert (areas > 0).all()  # no face sees the texture edge-on
    with pytest.raises(ValueError, match="coincide"):
        prepare(np.zeros((3, 3)), np.array([[0, 1, 2]]))


def test_held_out_meshes_are_chosen_by_name_alone(catalogue):
    train, held_out = MeshLibrary(catalogue), MeshLibrary(catalogue, "held_out")
    assert not set(train.names) & set(held_out.names)
    assert sorted([*train.names, *held_out.names]) == MeshLibrary(catalogue, "all").names
    known = {"BlendSwap-CC-0/aquarium": False, "BlendSwap-CC-0/bookcase": True, "BlendSwap-CC-0/desk": True}
    assert {name: is_held_out(name) for name in known} == known  # another hash would train on what benchmarks hold out
    assert 0.15 < np.mean([is_held_out(f"model{n}") for n in range(2000)]) < 0.25
    assert train.load(train.names[0]).corners.shape == (10, 3, 3)
    with pytest.raises(ValueError, match="sweethome3d-furniture"):
        MeshLibrary(catalogue / "none")


def test_depth_is_exact_and_nothing_is_mirrored():
    scene = TracedScene([square_at(0.6, 0.0, 2.0, 1.0, slope=0.5)], np.ones(3), [])
    depth = trace_stack(scene, LENS, [2.0], seed=0, samples=1).depth
    x = (np.arange(64) + 0.5 - 32) / LENS.focal_px
    z = (2.0 - 0.5 * 0.6) / (1 - 0.5 * x)  # z = 2 + slope (X - 0.6), X = x z
    inside = (np.abs(x * z - 0.6) < 0.45)[None] & (np.abs((np.arange(48) + 0.5 - 24) / LENS.focal_px)[:, None] < 0.2)
    np.testing.assert_allclose(depth[inside], np.broadcast_to(z, (48, 64))[inside], rtol=2e-3)
    assert inside[:, :32].sum() < inside[:, 32:].sum() and (depth[:, :10] == 0).all()
    low = trace_stack(TracedScene([square_at(0, 0.8, 2, 1.0)], np.ones(3), []), LENS, [2.0], 0, 1).depth
    assert (low[:10] == 0).all() and (low[-4:, 32] > 0).all()  # y points down, as rows do


@pytest.mark.parametrize(("focus", "distance"), [(0.5, 2.0), (3.0, 0.6)])
def test_blur_of_a_lamp_is_the_circle_of_confusion(focus, distance):
    radius = 0.012 * distance
    lamp = (np.array([0.0, 0.0, distance]), radius, np.full(3, 50.0))
    plane = trace_stack(TracedScene([], np.zeros(3), [lamp]), LENS, [focus], seed=1, samples=512).planes[0]
    weight = plane.mean(axis=2).astype(np.float64)
    y, x = np.mgrid[:48, :64] + 0.5
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    own = (radius / distance * LENS.focal_px) ** 2 / 2 + 2 / 12  # mean square radius of the lamp and of a pixel
    diameter = np.sqrt(8 * (np.average(x**2 + y**2, weights=weight) - own))
    expected = LENS.focal_px * 2 * LENS.aperture_radius * abs(1 / focus - 1 / distance)
    assert expected > 5 and diameter == pytest.approx(expected, rel=0.05)


def test_a_texture_repeats_mirrored():
    texture = np.full((8, 8, 3), 0.02, np.float32)
    texture[:, 4:] = 0.9
    wall = square_at(0, 0, 2.0, 2.0)
    changes = {}
    for repeat in (1, 2, 8):
        body = Body(wall.mesh, wall.to_world, texture, repeat)
        picture = trace_stack(TracedScene([body], np.ones(3), []), LENS, [2.0], seed=0, samples=16).all_in_focus
        changes[repeat] = int(np.abs(np.diff((picture[24, :, 0] > 0.45).astype(int))).sum())
    assert changes == {1: 0, 2: 2, 8: 6}  # 0.36 of a side is seen either way; edges at 0.5, 1.5, 2.5 textures


def test_fod_scenes_stay_in_their_depths(catalogue):
    meshes, textures = MeshLibrary(catalogue, "all"), TexturePool(None)
    for seed in range(4):
        scene = make_fod_scene(np.random.default_rng(seed), meshes, textures)
        assert 13 <= len(scene.bodies) <= 29
        for body in scene.bodies[1:]:
            corners = body.mesh.corners.reshape(-1, 3) @ body.to_world[2, :3] + body.to_world[2, 3]
            assert 0.1 < corners.min() and corners.max() < 3.0
            assert np.linalg.det(body.to_world[:3, :3]) > 0
        assert all(place[2] + radius < 0 for place, radius, _ in scene.lamps)  # behind the camera


def test_rooms_lie_within_their_planes_and_half_of_them_are_bare(catalogue):
    meshes, textures = MeshLibrary(catalogue, "all"), TexturePool(None)
    planes, plain = set(), []
    for seed in range(24):
        shot = make_room(np.random.default_rng(seed), meshes, textures, 128)
        near, far = shot.focus_distances[0], shot.focus_distances[-1]
        assert list(shot.focus_distances) == sorted(set(shot.focus_distances))
        planes.add(len(shot.focus_distances))
        blur = 2 * shot.lens.aperture_radius * (1 / near - 1 / far) * shot.lens.focal_px
        assert 0.6 < blur < 8  # 2.5 to 14 px in pictures twice as wide, planes a little nearer or farther
        assert [body.name for body in shot.scene.bodies[:3]] == ["floor", "wall", "wall"]
        for body in shot.scene.bodies[3:]:
            depth = body.mesh.corners.reshape(-1, 3) @ body.to_world[2, :3] + body.to_world[2, 3]
            assert near / 1.25 < depth.min() and depth.max() < far / 0.85
        for place, radius, _ in shot.scene.lamps:
            assert place[2] + radius < 0  # behind the camera
        deviation = [float((body.texture / body.texture.mean(axis=(0, 1))).std()) for body in shot.scene.bodies]
        plain.append(np.mean([value < 0.07 for value in deviation]))
    assert len(planes) >= 6 and planes <= set(range(3, 11))
    assert 6 <= sum(share > 0.45 for share in plain) <= 18


def test_rooms_are_seeded_stacks_to_train_on(catalogue, tmp_path):
    for name in ("a", "b"):
        write_drawn_set(tmp_path / name, 1, 7, make_room, catalogue, split="all", width=64, samples=1)
    for name in ("0.png", "2.png", "depth.png", "stack.json"):
        assert (tmp_path / "a" / "0000" / name).read_bytes() == (tmp_path / "b" / "0000" / name).read_bytes()
    sample = StackFolders(tmp_path / "a")[0]
    assert sample.stack.size == (48, 64) and sample.mask.all()  # a floor and walls leave no hole
    assert sample.truth.max() < 1.2 * sample.stack.focus_distances[-1]
    with pytest.raises(ValueError, match="other options"):
        write_drawn_set(tmp_path / "a", 1, 8, make_room, catalogue, split="all", width=64, samples=1)


def test_a_set_is_resumable_seeded_and_readable(catalogue, tmp_path):
    write_drawn_set(tmp_path / "a", 1, 30_000, make_fod, catalogue, split="all", samples=1)
    before = (tmp_path / "a" / "0000" / "stack.json").stat().st_mtime_ns
    write_drawn_set(tmp_path / "a", 1, 30_000, make_fod, catalogue, split="all", samples=1)
    assert (tmp_path / "a" / "0000" / "stack.json").stat().st_mtime_ns == before
    write_drawn_set(tmp_path / "b", 1, 30_000, make_fod, catalogue, split="all", samples=1)
    for name in ("0.png", "4.png", "depth.png", "all_in_focus.png"):
        assert (tmp_path / "a" / "0000" / name).read_bytes() == (tmp_path / "b" / "0000" / name).read_bytes()
    sample = StackFolders(tmp_path / "a")[0]
    assert sample.stack.size == (256, 256) and tuple(sample.stack.focus_distances) == FOCUS_DISTANCES_M
    assert sample.mask.mean() > 0.95 and 0.1 < sample.truth[sample.mask].min() < sample.truth.max() <= 3.3
    assert json.loads((tmp_path / "a" / "set.json").read_text())["seed"] == 30_000
    with pytest.raises(ValueError, match="other options"):
        write_drawn_set(tmp_path / "a", 1, 4, make_fod, catalogue, split="all", samples=1)


def test_a_set_goes_on_with_its_own_textures_alone(catalogue, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name / f"{name}.png")
    write_drawn_set(tmp_path / "set", 0, 0, make_fod, catalogue, tmp_path / "one", split="all")  # the record alone
    write_drawn_set(tmp_path / "set", 0, 0, make_fod, catalogue, tmp_path / "one", split="all")
    with pytest.raises(ValueError, match="other options or textures"):
        write_drawn_set(tmp_path / "set", 0, 0, make_fod, catalogue, tmp_path / "two", split="all")
