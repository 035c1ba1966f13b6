"""The sets that FOSSA and AiFDepthNet measure on, read from tiny ones: values, stacks, and what is said of damage."""

import shutil

import cv2
import numpy as np
import OpenEXR
import pytest
from PIL import Image
from test_benchmark_data import cut

from dualfocus import cli
from dualfocus.datasets import Hammer, LightField4d, SyntheticFs, Uniformat, checks
from dualfocus.datasets.adaptive import adaptive_sample
from dualfocus.datasets.synthetic_fs import FLYINGTHINGS3D, MIDDLEBURY
from dualfocus.datasets.uniformat import DIODE, IBIMS1


def dictionary(path):
    return np.load(path, allow_pickle=True).item()


def test_ibims1(benchmark_data):
    root = benchmark_data("ibims-1")
    data = Uniformat(root, IBIMS1)
    assert data.names == Uniformat(root / "ibims", IBIMS1).names == ["000000", "000001"]
    sample, content = data[1], dictionary(root / "ibims" / "000001.npy")
    np.testing.assert_array_equal(sample.truth[sample.mask], content["gt"][content["gt"] > 0])
    np.testing.assert_array_equal(sample.mask, content["gt"] > 0)
    ends = 1 / np.quantile(1 / content["depth_filled"].astype(np.float64), [0.95, 0.05])
    np.testing.assert_allclose(1 / sample.stack.focus_distances, np.linspace(*1 / ends, 5), rtol=1e-9)
    camera = sample.stack.camera
    assert camera.f_number == 1.4 and camera.sensor_width_mm == pytest.approx(36)
    assert camera.focal_length_mm == pytest.approx(36 / 640 * content["K"][0, 0])


def test_diode_has_two_folders_and_unlike_focal_lengths(benchmark_data):
    data = Uniformat(benchmark_data("diode"), DIODE)
    assert data.names == ["diode_indoor_v2/000000", "diode_outdoor_v2/000000"]
    assert data[0].stack.camera.focal_length_mm == pytest.approx(36 / 1024 * (886.81 + 927.06) / 2)


def test_the_stack_is_gathered_over_fifteen_pixels(benchmark_data):
    sample = Uniformat(benchmark_data("ibims-1"), IBIMS1)[0]
    content = dictionary(benchmark_data("ibims-1") / "ibims" / "000000.npy")
    depth, rgb = content["depth_filled"].astype(np.float64), content["rgb"] / 255
    focal = 36e-3 / 640 * content["K"][0, 0]
    s = sample.stack.focus_distances[0]
    radius = focal**2 / 1.4 * np.abs(depth - s) / (depth * (s - focal)) / (36e-3 / 640) / 2
    row, column = np.unravel_index(np.argmax(radius[7:-7, 7:-7]), (466, 626))  # of the window's first pixel
    c = radius[row : row + 15, column : column + 15]
    y, x = np.mgrid[-7:8, -7:8]
    weight = np.where(c > 1, np.exp(-2 * (x**2 + y**2) / c**2) / c**2, 0)
    expected = (weight[..., None] * rgb[row : row + 15, column : column + 15]).sum((0, 1)) / weight.sum()
    np.testing.assert_allclose(sample.stack[0][row + 7, column + 7], expected, atol=1e-5)
    sharp = radius <= 1
    assert sharp.any() and c.max() > 3
    np.testing.assert_allclose(sample.stack[0][sharp], rgb[sharp], atol=1e-6)


def test_hammer(benchmark_data):
    root = benchmark_data("hammer")
    data = Hammer(root)
    assert data.names == Hammer(root / "HAMMER").names == ["scene2_traj1_1/000000", "scene2_traj1_1/000001"]
    sample = data[0]
    with Image.open(root / "HAMMER" / data.names[0] / "depth.png") as image:
        near, far, level = float(image.info["near"]), float(image.info["far"]), np.array(image)
    assert sample.truth[level == 1] == pytest.approx(near) and sample.truth[level == 65534] == pytest.approx(far)
    middle = np.argmin(np.abs(level.astype(int) - 32768))
    assert sample.truth.flat[middle] == pytest.approx(np.sqrt(near * far), rel=1e-3)
    np.testing.assert_array_equal(sample.mask, (level > 0) & (level < 65535))
    assert (sample.truth[~sample.mask] == 1000).all()
    assert sample.stack.camera.focal_length_mm == pytest.approx((0.9 * 640 + 1.2 * 480) / 2 * 36 / 640)


def test_4d_light_field(benchmark_data):
    root = benchmark_data("4d-light-field")
    data = LightField4d(root)
    assert data.names == ["boxes", "cotton"] and LightField4d(root, "train").names == ["antinous"]
    sample = data[0]
    disparity = cv2.imread(str(root / "training" / "boxes" / "gt_disp_lowres.pfm"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(1 / sample.truth - 4, disparity, atol=1e-5)
    planes = sample.stack.focus_distances - 4
    np.testing.assert_allclose(planes, np.linspace(-2.5, 2.5, 10), atol=1e-12)
    central = np.array(Image.open(root / "training" / "boxes" / "input_Cam040.png"))
    np.testing.assert_array_equal(sample.all_in_focus, central)
    # views and truth have one sign: what lies in a plane is there as in the central view, and nowhere else
    stack = np.stack([plane.astype(float) for plane in sample.stack])
    error = cv2.blur(np.abs(stack - central).mean(axis=3).transpose(1, 2, 0), (9, 9))
    nearest = np.argmin(np.abs(disparity[..., None] - planes), axis=2)
    assert (np.abs(np.argmin(error, axis=2) - nearest) <= 1)[12:-12, 12:-12].mean() > 0.85


@pytest.mark.parametrize(
    ("name", "kind", "first"), [("flyingthings3d", FLYINGTHINGS3D, 100), ("middlebury", MIDDLEBURY, 60)]
)
def test_stereo_sets(benchmark_data, name, kind, first):
    root = benchmark_data(name)
    data = SyntheticFs(root, kind)
    (folder,) = root.rglob(data.names[0])
    sample = SyntheticFs(folder.parent, kind)[0]  # the folder of the scenes itself
    np.testing.assert_allclose(sample.stack.focus_distances, np.linspace(10, first, 15))
    np.testing.assert_array_equal(sample.stack[14], np.array(Image.open(folder / f"{float(first)}.png")))
    with OpenEXR.File(str(folder / "disp.exr"), separate_channels=True) as file:
        disparity = file.channels()["Y"].pixels
    assert disparity.max() > first and 0 < disparity[disparity > 0].min() < 10 and (disparity == 0).any()
    np.testing.assert_array_equal(sample.mask, disparity > 0)
    np.testing.assert_allclose(1 / sample.truth[sample.mask], disparity[sample.mask], rtol=1e-6)


class Evil:
    def __reduce__(self):
        return open, ("evil.txt", "w")


def spoil_npy(path, **changes):
    np.save(path, np.array(dictionary(path) | changes, dtype=object))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("ibims-1", lambda root: cut(root / "ibims" / "000001.npy"), "000001.npy: cannot be read as a pickled"),
        ("ibims-1", lambda root: spoil_npy(root / "ibims" / "000001.npy", K=None), "000001.npy: no array K in it"),
        ("ibims-1", lambda root: spoil_npy(root / "ibims" / "000001.npy", K=Evil()), "open, which is no array"),
        ("ibims-1", lambda root: spoil_npy(root / "ibims" / "000001.npy", rgb=np.eye(3)), "rgb is (3, 3) float64"),
        ("ibims-1", lambda root: np.save(root / "ibims" / "000001.npy", np.eye(3)), "cannot be read as a pickled"),
        ("diode", lambda root: shutil.rmtree(root / "diode" / "diode_outdoor_v2"), "no folder diode_outdoor_v2 in it"),
        ("hammer", lambda root: next(root.rglob("000001/image.jpg")).unlink(), "000001/image.jpg: missing"),
        ("hammer", lambda root: plain(next(root.rglob("000001/depth.png"))), "its text has no 'near'"),
        ("hammer", lambda root: cut(next(root.rglob("000001/depth.png"))), "depth.png: cannot be read as a 16-bit"),
        ("hammer", lambda root: next(root.rglob("000001/meta.json")).write_text("{}"), "meta.json: no intrinsics"),
        ("4d-light-field", lambda root: view(root).unlink(), "input_Cam077.png: missing"),
        ("4d-light-field", lambda root: cut(view(root).with_name("gt_disp_lowres.pfm")), "lowres.pfm: cannot be read"),
        ("4d-light-field", lambda root: shutil.rmtree(root / "training"), "no scene of the val split there"),
        ("middlebury", lambda root: next(root.rglob("Teddy/35.0.png")).unlink(), "14 images named by their focus, not"),
        ("middlebury", lambda root: cut(next(root.rglob("Teddy/disp.exr"))), "disp.exr: cannot be read as an EXR"),
        ("flyingthings3d", lambda root: next(root.rglob("disp.exr")).unlink(), "no scene of FlyingThings3D-FS"),
    ],
)
def test_a_damaged_download_is_named(check_damaged, tmp_path, monkeypatch, name, damage, message):
    monkeypatch.chdir(tmp_path)
    assert message in check_damaged(name, damage)
    assert not (tmp_path / "evil.txt").exists()


def plain(path):
    Image.fromarray(np.array(Image.open(path))).save(path)


def view(root):
    return root / "training" / "cotton" / "input_Cam077.png"


@pytest.mark.parametrize("name", ["ibims-1", "diode", "hammer", "4d-light-field", "flyingthings3d", "middlebury"])
def test_check_data(benchmark_data, tmp_path, capsys, name):
    assert cli.main(["check-data", name, str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "nowhere" in error and "http" in error  # what is missing, and where it is from
    found, problems = checks.check_data(name, benchmark_data(name))
    assert found and all("samples, not" in problem for problem in problems) and (not problems) == (name == "hammer")


def test_a_picture_taken_upright_has_the_sensor_of_the_others():
    rng = np.random.default_rng(0)
    rgb, depth = rng.integers(0, 255, (64, 48, 3), np.uint8), rng.uniform(1, 4, (64, 48))
    camera = adaptive_sample("one", rgb, depth, depth > 0, 60.0, "a test").stack.camera
    assert camera.sensor_width_mm == pytest.approx(36)  # along the longer side
    assert camera.focal_length_mm == pytest.approx(36 / 64 * 60)
