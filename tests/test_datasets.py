"""Datasets: truth in the right unit, the NYU protocol step by step, seeded scenes."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from dualfocus.datasets import NyuLabelled, ProceduralScenes, Sample, StackFolders, nyu
from dualfocus.datasets.steps import remove_steps
from dualfocus.stack import FocalStack

HEIGHT, WIDTH = 24, 32


def write_stack(folder, truth=None, **entries):
    """Three noise planes with a stack.json."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{n}.png" for n in range(3)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(folder / name)
    if truth is not None:
        np.save(folder / "truth.npy", truth)
        entries["ground_truth"] = "truth.npy"
    (folder / "stack.json").write_text(json.dumps({"images": names, **entries}))
    return folder


def test_stacks_behind_links_are_found_once(tmp_path):
    """Data sets lie on other disks; a link back to the folder itself must not be followed for ever."""
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "set"
    write_stack(elsewhere / "a", np.ones((HEIGHT, WIDTH)), focus_distances=[1, 2, 3], unit="m")
    write_stack(root / "b", np.ones((HEIGHT, WIDTH)), focus_distances=[1, 2, 3], unit="m")
    try:
        (root / "far").symlink_to(elsewhere, target_is_directory=True)
        (root / "again").symlink_to(elsewhere / "a", target_is_directory=True)
        (root / "b" / "loop").symlink_to(root, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert StackFolders(root).names == ["again", "b"]


def test_sample_checks_its_maps():
    stack = FocalStack(np.zeros((2, 4, 5), np.uint8))
    good = np.ones((4, 5), np.float32)
    Sample("a", stack, good, good > 0)
    with pytest.raises(ValueError, match="a: truth of shape"):
        Sample("a", stack, good.T, good > 0)
    with pytest.raises(ValueError, match="must be bool"):
        Sample("a", stack, good, good)
    with pytest.raises(ValueError, match="not finite"):
        Sample("a", stack, good * np.nan, good > 0)
    with pytest.raises(ValueError, match=r"a: all_in_focus of shape \(5, 4\)"):
        Sample("a", stack, good, good > 0, np.zeros((5, 4, 3), np.uint8))


def test_stack_folders_are_found_and_truth_has_the_result_unit(tmp_path):
    truth = np.linspace(0.5, 2, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    truth[0, 0], truth[0, 1] = np.nan, 0
    write_stack(tmp_path / "scene10", truth, focus_distances=[0.5, 1, 2], unit="m")
    write_stack(tmp_path / "deep" / "scene2", truth, focus_distances=[2, 1, 0.5], unit="dioptre")
    write_stack(tmp_path / "scene9", truth)
    write_stack(tmp_path / "none", focus_distances=[0.5, 1, 2], unit="m")
    dataset = StackFolders(tmp_path)
    assert dataset.names == ["deep/scene2", "scene9", "scene10"] and len(dataset) == 3
    assert dataset.without_truth == ["none"]
    dioptre, index, metres = (dataset[n] for n in range(3))
    assert (dioptre.stack.result_unit, index.stack.result_unit, metres.stack.result_unit) == ("m", "index", "m")
    assert not metres.mask[0, 0] and not metres.mask[0, 1] and metres.mask.sum() == truth.size - 2
    assert index.mask[0, 1] and not index.mask[0, 0]  # plane 0 is a depth like any other
    np.testing.assert_allclose(metres.truth[1:], truth[1:])
    np.testing.assert_allclose(dioptre.truth[1:], 1 / truth[1:], rtol=1e-6)


def test_depth_png_in_metres_and_a_stack_in_millimetres(tmp_path):
    level = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    for unit in ("m", "mm"):
        folder = write_stack(
            tmp_path / unit, focus_distances=[1, 2, 3], unit=unit, depth_png="depth.png", depth_png_scale_m=0.002
        )
        Image.fromarray(level).save(folder / "depth.png")
    metres, millimetres = (StackFolders(tmp_path / unit)[0] for unit in ("m", "mm"))
    assert not metres.mask[0, 0] and metres.mask.sum() == level.size - 1
    np.testing.assert_allclose(metres.truth, level * 0.002, rtol=1e-6)
    np.testing.assert_allclose(millimetres.truth, level * 2.0, rtol=1e-6)
    assert metres.name == "m"


def test_a_sidecar_may_begin_with_a_byte_order_mark(tmp_path):
    folder = write_stack(tmp_path / "a", np.ones((HEIGHT, WIDTH)), focus_distances=[1, 2, 3], unit="m")
    sidecar = folder / "stack.json"
    sidecar.write_text(sidecar.read_text(), encoding="utf-8-sig")
    assert StackFolders(tmp_path)[0].mask.all()


def test_stack_folders_say_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        StackFolders(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="0 stack.json found"):
        StackFolders(tmp_path)
    folder = write_stack(tmp_path / "a", focus_distances=[1, 2, 3], unit="m", depth_png="depth.png")
    with pytest.raises(ValueError, match="depth_png_scale_m"):
        StackFolders(folder)[0]
    for key in ("depth_png", "all_in_focus"):
        (folder / "stack.json").write_text(json.dumps({key: 5}))
        with pytest.raises(ValueError, match=rf'stack\.json: "{key}" must be a file name or null, not 5'):
            StackFolders(folder)
    (folder / "stack.json").write_text("{")
    with pytest.raises(ValueError, match=r"stack\.json: cannot be read"):
        StackFolders(folder)


# Radii in pixels by the thin-lens formula, worked out apart from this code: f = 50 mm, f/8, pixels of 12 um.
DEPTHS = (0.5, 1, 2, 3, 5, 10)
RADII = {
    0.5: (0, 14.47, 21.70, 24.11, 26.04, 27.49),
    1.0: (13.71, 0, 6.85, 9.14, 10.96, 12.34),
    2.5: (21.26, 7.97, 1.33, 0.89, 2.66, 3.99),
    10: (24.86, 11.78, 5.23, 3.05, 1.31, 0),
}


@pytest.mark.parametrize("focus", RADII)
def test_nyu_blur_radius_golden_values(focus):
    np.testing.assert_allclose(nyu.LENS.blur_radius(np.array(DEPTHS), focus), RADII[focus], atol=0.006)


def test_nyu_blur_radius_of_a_hole_is_enormous():
    assert nyu.LENS.blur_radius(np.zeros(1), 1.0)[0] > 1e6


def make_nyu(root, levels=(40, 90)):
    """Two images in the form of the labelled set."""
    for folder in ("rgb", "depth_u8"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(2)
    for index in (3, 7):
        rgb = np.kron(rng.integers(30, 220, (48, 64, 3)), np.ones((10, 10, 1))).astype(np.uint8)
        ramp = np.linspace(*levels, 640).astype(np.uint8)
        Image.fromarray(rgb).save(root / "rgb" / f"{index:04d}.jpg", quality=95)
        Image.fromarray(np.broadcast_to(ramp, (480, 640)).copy()).save(root / "depth_u8" / f"{index:04d}.png")
    record = {"train": [3], "test": [7], "depth_encoding": "uint8 level v; depth_m = (v + 0.5) * 9.9955 / 255 (39 mm)"}
    (root / "splits.json").write_text(json.dumps(record))
    return root


def test_nyu_sample_follows_the_protocol(tmp_path):
    dataset = NyuLabelled(make_nyu(tmp_path), planes=3)
    assert dataset.names == ["0007"] and NyuLabelled(tmp_path, "train", planes=3).names == ["0003"]
    sample = dataset[0]
    ramp = np.linspace(40, 90, 640)[64:576]  # stored rounded down; the middle of level v stands for v
    step = 9.9955 / 255
    assert sample.stack.size == (384, 512) and sample.stack.unit == "m" and sample.stack.dtype == np.float32
    assert np.abs(sample.truth - (np.floor(ramp) + 0.5) * step).max() <= 0.5001 * step
    np.testing.assert_allclose(sample.truth, np.broadcast_to(ramp * step, (384, 512)), atol=0.1 * step)
    distances = np.linspace(sample.truth.min(), sample.truth.max(), 3)
    np.testing.assert_allclose(sample.stack.focus_distances, distances, rtol=1e-6)
    np.testing.assert_array_equal(sample.all_in_focus, np.array(Image.open(tmp_path / "rgb/0007.jpg"))[48:432, 64:576])
    np.testing.assert_array_equal(dataset[0].stack[1], sample.stack[1])


@pytest.mark.parametrize(("slope", "most"), [(0.3, 0.05), (0.05, 0.12), (0.01, 0.2)])
def test_steps_of_rounding_become_slopes(slope, most):
    y, x = np.mgrid[:120, :160]
    true = 40 + slope * x + 0.02 * y
    rounded = np.rint(true)
    smooth = remove_steps(rounded)
    assert np.abs(smooth - rounded).max() <= 0.5  # never beyond what rounding allows
    inner = (slice(20, -20), slice(20, -20))  # a surface that ends has no reason to go on sloping
    assert np.sqrt(np.mean((smooth - true)[inner] ** 2)) < most < np.sqrt(np.mean((rounded - true) ** 2))


def test_steps_larger_than_rounding_stay():
    level = np.full((40, 60), 30)
    level[:, 30:] = 33
    np.testing.assert_array_equal(remove_steps(level), level)


def test_nyu_blur_of_one_pixel_by_hand(tmp_path):
    """The target gathers from 7 x 7 sources, each with its own radius; sharp targets are copied."""
    sample = NyuLabelled(make_nyu(tmp_path), planes=3)[0]
    sharp = sample.all_in_focus.astype(np.float64) / 255
    checked = {"copied": 0, "gathered": 0}
    for plane, column in ((0, 2), (0, 300), (1, 30), (1, 256), (2, 400), (2, 510)):
        radius = nyu.LENS.blur_radius(sample.truth, sample.stack.focus_distances[plane])
        row = 190
        if radius[row, column] <= 1:
            expected = sharp[row, column]
            checked["copied"] += 1
        else:
            total, weights = np.zeros(3), 0.0
            for y in range(row - 3, row + 4):
                for x in range(max(column - 3, 0), min(column + 4, 512)):
                    c = radius[y, x]
                    if c > 1:
                        weight = np.exp(-2 * ((y - row) ** 2 + (x - column) ** 2) / c**2) / c**2
                        total, weights = total + weight * sharp[y, x], weights + weight
            expected = total / weights
            checked["gathered"] += 1
        np.testing.assert_allclose(sample.stack[plane][row, column], expected, atol=1e-5)
    assert min(checked.values()) >= 2


def test_nyu_depth_beyond_ten_metres_is_masked(tmp_path):
    sample = NyuLabelled(make_nyu(tmp_path, levels=(100, 255)), focus_distances=(1, 3))[0]
    assert (sample.truth[sample.mask] < 10).all() and not sample.mask[sample.truth >= 10].any()
    assert sample.stack.focus_distances.tolist() == [1, 3]


def test_nyu_says_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match=r"splits\.json: cannot be read"):
        NyuLabelled(tmp_path, planes=5)
    root = make_nyu(tmp_path / "nyu", levels=(50, 50))
    with pytest.raises(ValueError, match="no split 'val'"):
        NyuLabelled(root, "val", planes=5)
    with pytest.raises(ValueError, match="either planes"):
        NyuLabelled(root)
    with pytest.raises(ValueError, match=r"0007: all depths are"):
        NyuLabelled(root, planes=5)[0]
    Image.new("L", (512, 384)).save(root / "depth_u8" / "0007.png")
    with pytest.raises(ValueError, match=r"0007\.jpg is \(480, 640\), its depth \(384, 512\): both must be 480 x 640"):
        NyuLabelled(root, planes=5)[0]
    (root / "depth_u8" / "0007.png").write_text("text")
    with pytest.raises(ValueError, match=r"0007\.png: cannot be read"):
        NyuLabelled(root, planes=5)[0]


def test_shared_nyu_has_the_official_splits(shared_data):
    root = shared_data / "nyu_v2_labelled"
    if not root.exists():
        pytest.skip("no labelled NYU")
    test = NyuLabelled(root, planes=2)
    assert (len(test), len(NyuLabelled(root, "train", planes=2))) == (654, 795)
    rgb, depth = test.rgbd(0)
    assert rgb.shape == (384, 512, 3) and 0.5 < depth.min() < depth.max() < 10.1


def test_shared_path_traced_stack(shared_data, tmp_path):
    source = shared_data / "pathtraced" / "008"
    if not source.exists():
        pytest.skip("no path-traced stacks")
    shutil.copytree(source, tmp_path / "008")
    sample = StackFolders(tmp_path)[0]
    assert sample.name == "008" and sample.all_in_focus.shape == (*sample.stack.size, 3)
    near, far = sample.stack.focus_distances[[0, -1]]
    assert near / 3 < np.median(sample.truth[sample.mask]) < far * 3


def test_procedural_scenes_are_seeded_and_in_range():
    scenes = ProceduralScenes(count=2, size=48)
    sample, again = scenes[0], ProceduralScenes(count=2, size=48)[0]
    assert scenes.names == ["noise-48-1000", "noise-48-1001"]
    assert 3 <= len(sample.stack) <= 10 and sample.stack.size == (48, 48)
    np.testing.assert_array_equal(sample.stack[0], again.stack[0])
    np.testing.assert_array_equal(sample.truth, again.truth)
    inside = sample.truth[sample.mask]
    near, far = sample.stack.focus_distances[[0, -1]]
    assert near < far and (inside >= near * (1 - 1e-6)).all() and (inside <= far * (1 + 1e-6)).all()
    assert not np.array_equal(sample.stack[0], scenes[1].stack[0])


def test_procedural_scenes_use_held_out_textures_only(shared_data):
    textures = shared_data / "textures"
    if not textures.exists():
        pytest.skip("no textures")
    from dualfocus.rendering.textures import is_held_out

    files = ProceduralScenes(textures=textures)._pool.files
    assert files and all(is_held_out(file.name) for file in files)
