"""Stacks of microscopes: OME and ImageJ TIFF, channels, time points, steps along z."""

import json

import numpy as np
import pytest
import tifffile
from camera_files import H, W, smooth
from command_runs import assert_refused, run
from PIL import Image

from dualfocus.batch.stacks import find_batch
from dualfocus.readers import load_stack


def z_planes(*lengths):
    shape = (*lengths, H, W)
    return np.random.default_rng(0).integers(0, 65535, shape).astype(np.uint16)


def test_ome_tiff_with_channels_and_times(tmp_path):
    pixels = z_planes(2, 4, 3)  # T Z C
    path = tmp_path / "a.ome.tif"
    described = {
        "axes": "TZCYX",
        "PhysicalSizeX": 325,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeZ": 0.002,
        "PhysicalSizeZUnit": "mm",
        "Channel": {"Name": ["DAPI", "GFP", "RFP"]},
    }
    tifffile.imwrite(path, pixels, metadata=described, photometric="minisblack")
    stack = load_stack(path, channel=1, time=1)
    assert (len(stack), stack.unit, stack.pixel_size_um) == (4, "um", pytest.approx(0.325))
    np.testing.assert_allclose(stack.focus_distances, [0, 2, 4, 6])
    for n in range(4):
        np.testing.assert_array_equal(stack[n][..., 0], pixels[1, n, 1])
    assert load_stack(path, channel=0, time=0, pixel_size=2).pixel_size_um == 2
    with pytest.raises(ValueError, match=r"holds 3 channels \(DAPI, GFP, RFP\); choose one with channel= \(0 to 2\)"):
        load_stack(path, time=0)
    with pytest.raises(ValueError, match=r"holds 2 time points; choose one with time= \(0 to 1\)"):
        load_stack(path, channel=0)
    with pytest.raises(ValueError, match=r"there is no channel 3: it has 3 channels"):
        load_stack(path, channel=3, time=0)


@pytest.mark.parametrize("option", ["channel", "time"])
def test_a_channel_or_time_that_is_no_whole_number_is_named(tmp_path, option):
    path = tmp_path / "a.ome.tif"
    axes = "ZCYX" if option == "channel" else "ZTYX"
    tifffile.imwrite(path, z_planes(4, 2), metadata={"axes": axes}, photometric="minisblack")
    for wrong in (1.0, "1", True, [1]):
        with pytest.raises(ValueError, match=rf"the {option}.* must be a whole number, counted from 0, not ") as caught:
            load_stack(path, **{option: wrong})
        assert str(caught.value).endswith(f"not {wrong!r}")
    assert len(load_stack(path, **{option: np.int64(1)})) == 4


def test_a_camera_of_twelve_bits_fills_the_range(tmp_path):
    pixels = z_planes(3) >> 4
    pixels[1, 0, 0] = 5000  # more than the file says
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, pixels, metadata={"axes": "ZYX", "SignificantBits": 12}, photometric="minisblack")
    stack = load_stack(path)
    assert stack[1].dtype == np.uint16 and stack[1][0, 0, 0] == 65520
    np.testing.assert_array_equal(stack[2][..., 0], pixels[2] * 16)


def test_command_line(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, z_planes(4, 2), metadata={"axes": "ZCYX"}, photometric="minisblack")
    options = ("--channel", 1, "--z-step", 2.5, "--pixel-size", 0.5, "--model", "classical", "--align", "none")
    done = run("predict", path, "-o", tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["unit"] == "um" and record["focus_distances"] == [0, 2.5, 5, 7.5]
    assert record["images"][1] == "a.ome.tif page 3"  # pages go through the channels first
    assert_refused(run("predict", path, "-o", tmp_path / "no"), "holds 2 channels", "--channel 0 to 1")
    assert_refused(run("predict", path, "-o", tmp_path / "no", "--frames", 3), "in a video only")
    assert not (tmp_path / "no").exists()


def test_stage_positions_win_over_the_z_step(tmp_path):
    pixels = z_planes(3)
    described = {
        "axes": "ZYX",
        "PhysicalSizeZ": 1.0,
        "Plane": {"PositionZ": [5.0, 7.5, 10.0], "PositionZUnit": ["µm"] * 3, "TheZ": [0, 1, 2]},
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata=described, photometric="minisblack")
    stack = load_stack(tmp_path / "a.ome.tif")
    np.testing.assert_allclose(stack.focus_distances, [5, 7.5, 10])
    assert "stage positions and the z step disagree: 5, 7.5, 10 um is used, not 0, 1, 2 um" in stack.warnings[0]


def test_imagej_hyperstack(tmp_path):
    pixels = z_planes(2, 3, 2)
    path = tmp_path / "a.tif"
    described = {"axes": "TZCYX", "spacing": 0.5, "unit": "um"}
    tifffile.imwrite(path, pixels, imagej=True, resolution=(4, 4), metadata=described)
    stack = load_stack(path, channel=1, time=0)
    np.testing.assert_array_equal(stack[2][..., 0], pixels[0, 2, 1])
    np.testing.assert_allclose(stack.focus_distances, [0, 0.5, 1])
    assert stack.pixel_size_um == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("unit", "micrometres"), [("micrometer", 1), ("Micron", 1), ("\\u00B5m", 1), ("millimetres", 1000), ("Mm", None)]
)
def test_units_as_imagej_users_write_them(tmp_path, unit, micrometres):
    described = {"axes": "ZYX", "spacing": 1.5, "unit": unit}
    tifffile.imwrite(tmp_path / "a.tif", z_planes(1, 3, 1)[0, :, 0], imagej=True, resolution=(4, 4), metadata=described)
    stack = load_stack(tmp_path / "a.tif")
    if micrometres is None:
        assert stack.unit == "index" and stack.pixel_size_um is None
        return
    np.testing.assert_allclose(stack.focus_distances, np.array([0, 1.5, 3]) * micrometres)
    assert stack.pixel_size_um == pytest.approx(0.25 * micrometres)


def test_colour_hyperstack_under_a_single_header(tmp_path):
    """As ImageJ writes stacks that are large: one page, the other planes behind it."""
    pixels = np.stack([smooth(n) for n in range(4)])
    described = {"axes": "ZYXS", "spacing": 3.0, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata=described, truncate=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert len(tiff.pages) == 1
    stack = load_stack(tmp_path / "a.tif")
    assert len(stack) == 4 and stack.focus_distances[3] == 9
    for n in range(4):
        np.testing.assert_array_equal(stack[n], pixels[n])


def test_z_step(tmp_path):
    for n in range(3):
        Image.fromarray(smooth(n)).save(tmp_path / f"{n}.png")
    stack = load_stack(tmp_path, z_step=-2.5, pixel_size=0.1)
    assert (stack.unit, stack.pixel_size_um, stack.warnings) == ("um", 0.1, [])
    np.testing.assert_allclose(stack.focus_distances, [0, -2.5, -5])
    for wrong, words in (
        ({"z_step": 0}, "other than zero"),
        ({"z_step": float("nan")}, "other than zero"),
        ({"z_step": 10**400}, "other than zero"),
        ({"pixel_size": 10**400}, "pixel size must be"),
        ({"z_step": 1, "focus": [1, 2, 3]}, "leave one out"),
        ({"z_step": 1, "unit": "m"}, "leave the unit out"),
        ({"pixel_size": -1}, "pixel size must be a number of micrometres above zero"),
        ({"channel": 0}, "in a TIFF only"),
        ({"frames": 5}, "in a video only"),
    ):
        with pytest.raises(ValueError, match=words):
            load_stack(tmp_path, **wrong)


def test_photographs_with_thumbnails_are_planes_and_a_page_of_planes_is_a_stack(tmp_path):
    for n in range(3):
        with tifffile.TiffWriter(tmp_path / f"photo{n}.tif") as tiff:
            tiff.write(np.full((H, W, 3), 40 * n, np.uint8), photometric="rgb")
            tiff.write(np.zeros((H // 2, W // 2, 3), np.uint8), photometric="rgb", subfiletype=1)
    assert find_batch([tmp_path]) is None
    layers = tmp_path / "layers"
    layers.mkdir()
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(layers / name, z_planes(3), photometric="minisblack", planarconfig="separate")
    assert [path.name for path in find_batch([layers])] == ["a.tif", "b.tif"]
