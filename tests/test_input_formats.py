"""Kinds of image files that people have: HEIC, AVIF, RAW, focus-sweep videos; damaged ones."""

import io
import os
import sys
import threading
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from camera_files import H, W, smooth, write_dng, write_packed_tiff, write_video
from PIL import Image, features

from dualfocus.readers import load_stack
from dualfocus.readers.frames import silence


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0110] = "Phone"
    exif.get_ifd(0x8769).update({0x9206: 0.5, 0x829D: 1.8})
    for n, name in enumerate(("a.heic", "b.HEIF", "c.jpg")):  # phones also write HEIC under the name of a JPEG
        exif.get_ifd(0x8769)[0x9206] = 0.5 + n
        heif.from_pillow(Image.fromarray(smooth(n))).save(tmp_path / name, quality=95, exif=exif.tobytes())
    stack = load_stack(tmp_path)
    assert (stack.size, stack.dtype, stack.camera.model) == ((H, W), np.uint8, "Phone")
    assert stack.unit == "m" and stack.focus_distances.tolist() == [0.5, 1.5, 2.5]
    assert np.abs(stack[1].astype(int) - smooth(1)).mean() < 4


def test_ten_bit_heic_is_sixteen_bits(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    pixels = smooth(top=65535)
    for name in ("a.heic", "b.heic"):
        heif.encode("RGB;16", (W, H), pixels.tobytes(), tmp_path / name, quality=95)
    stack = load_stack(tmp_path)
    assert stack.dtype == np.uint16
    assert np.abs(stack[0].astype(int) - pixels).mean() < 4 * 257


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
@pytest.mark.parametrize("orientation", [1, 6])
def test_avif(tmp_path, orientation):
    for name in ("a.avif", "b.avif"):
        exif = Image.Exif()  # the writer takes the orientation out of it
        exif[0x0112] = orientation
        Image.fromarray(smooth()).save(tmp_path / name, quality=95, exif=exif)
    expected = np.rot90(smooth(), {1: 0, 6: -1}[orientation])
    stack = load_stack(tmp_path)
    assert stack.size == expected.shape[:2]
    assert np.abs(stack[0].astype(int) - expected).mean() < 4


@pytest.mark.parametrize(("name", "module", "extra"), [("a.heic", "pillow_heif", "heic"), ("a.dng", "rawpy", "raw")])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, name, module, extra):
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf'{name}: .*pip install .*"\.\[{extra}\]"') as caught:
        load_stack(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("orientation", [1, 6])
def test_raw_is_developed_to_sixteen_bit_srgb(tmp_path, orientation):
    pytest.importorskip("rawpy")
    linear = np.full((H, W), 0.2, np.float32)
    linear[:, W // 2 :] = 0.6
    for name in ("a.dng", "b.DNG"):
        write_dng(tmp_path / name, np.round(linear * 4095).astype(np.uint16), orientation)
    stack = load_stack(tmp_path)
    upright = np.rot90(linear, {1: 0, 6: -1}[orientation])
    assert (stack.size, stack.dtype, stack.camera.model) == (upright.shape, np.uint16, "Camera R")
    encoded = 1.055 * upright ** (1 / 2.4) - 0.055  # the sRGB curve: grey stays grey, brightness is not stretched
    inside = np.abs(np.gradient(upright)).sum(0) == 0
    found = stack[0] / 65535
    np.testing.assert_allclose(found[inside], np.repeat(encoded[..., None], 3, 2)[inside], atol=0.03)


def test_raw_beside_its_photograph_is_not_used_twice(tmp_path):
    for name in ("a", "b"):
        Image.fromarray(smooth()).save(tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.NEF").write_bytes(b"not looked at")
    stack = load_stack(tmp_path)
    assert stack.names == ["a.jpg", "b.jpg"] and "a.NEF and 1 more not used" in stack.warnings[0]


def test_a_focus_sweep_is_sampled_by_focus_not_by_time(tmp_path):
    path = tmp_path / "sweep.avi"
    # stands still, moves slowly, then fast, and stands still again
    positions = np.concatenate([np.zeros(15), np.linspace(0, 0.5, 30), np.linspace(0.5, 1, 10)[1:], np.ones(15)])
    write_video(path, positions)
    stack = load_stack(path, frames=6)
    assert (len(stack), stack.size, stack.unit) == (6, (120, 160), "index")
    picked = [int(name.split()[-1]) for name in stack.names]
    np.testing.assert_allclose(positions[picked], np.linspace(0, 1, 6), atol=0.12)
    capture = cv2.VideoCapture(str(path))
    frames = [capture.read()[1][..., ::-1] for _ in positions]
    for n in (5, 0, 3):  # in any order
        np.testing.assert_array_equal(stack[n], frames[picked[n]])
    assert len(load_stack(path)) == 10
    assert len(load_stack(path, frames=len(positions))) == len(positions)
    with pytest.raises(ValueError, match=f"sweep.avi: has {len(positions)} frames and 80 are asked for"):
        load_stack(path, frames=80)


def test_a_video_that_is_cut_off_says_so(tmp_path, capfd):
    path = tmp_path / "sweep.avi"
    write_video(path, np.linspace(0, 1, 40))
    whole = load_stack(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = load_stack(path)
    assert len(cut) == 10 and int(cut.names[-1].split()[-1]) < 25
    assert not any("can be read" in warning for warning in whole.warnings)
    assert any("sweep.avi: only" in warning and "of its 40 frames can be read" in warning for warning in cut.warnings)
    assert capfd.readouterr() == ("", "")


def test_a_short_video_gives_the_frames_it_has(tmp_path):
    path = tmp_path / "sweep.avi"
    write_video(path, np.linspace(0, 1, 7))
    assert len(load_stack(path)) == 7
    with pytest.raises(ValueError, match="sweep.avi: has 7 frames and 8 are asked for"):
        load_stack(path, frames=8)
    write_video(path, np.zeros(1))
    with pytest.raises(ValueError, match="sweep.avi: one frame is no focal stack"):
        load_stack(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.dng", "jpeg.tif", "lzw.tif"])
def test_damaged_files_say_nothing_but_the_error(tmp_path, name, capfd):
    """C libraries would print to stderr what they find."""
    buffer = io.BytesIO()
    if name.endswith(".tif"):
        Image.fromarray(smooth()).save(buffer, "TIFF", compression={"jpeg.tif": "jpeg"}.get(name, "tiff_lzw"))
    elif name == "a.dng":
        pytest.importorskip("rawpy")
        write_dng(tmp_path / name, np.zeros((H, W), np.uint16))
        buffer.write((tmp_path / name).read_bytes())
    elif name == "a.avi":
        write_video(tmp_path / name, np.linspace(0, 1, 12))
        buffer.write((tmp_path / name).read_bytes())
    good = buffer.getvalue()
    spoilt = good[:100] + bytes(len(good) // 2) + good[100 + len(good) // 2 :]
    damaged = [b"", b"no picture at all" * 20, spoilt]
    if name != "a.avi":  # a video that is cut off is read as far as it goes
        damaged.append(good[: len(good) // 2])
    for data in damaged:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=name) as caught:
            list(load_stack([tmp_path / name]))
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_tiff_of_twelve_packed_bits(tmp_path, orientation):
    pixels = np.arange(H * W).reshape(H, W) % 4096
    for name, values in (("a", pixels), ("b", pixels[::-1])):
        write_packed_tiff(tmp_path / f"{name}.tif", values, orientation)
    stack = load_stack(tmp_path)
    expected = (np.rot90(pixels, -1) if orientation == 6 else pixels) << 4
    assert stack.dtype == np.uint16
    np.testing.assert_array_equal(stack[0][..., 0], expected)


def test_silence_of_several_threads_ends():
    before, inside, first_has_left = os.fstat(2), threading.Event(), threading.Event()

    def stay_longer():
        with silence():
            inside.set()
            first_has_left.wait(10)

    other = threading.Thread(target=stay_longer)
    with silence():
        other.start()
        assert inside.wait(10)
    first_has_left.set()
    other.join()
    assert os.path.samestat(os.fstat(2), before)


def test_exif_behind_the_pixels_of_a_png_is_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9206] = 0.75
    for name in ("a.png", "b.png"):
        Image.fromarray(smooth()).save(tmp_path / name)
        data, block = (tmp_path / name).read_bytes(), exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = len(block).to_bytes(4, "big") + b"eXIf" + block + zlib.crc32(b"eXIf" + block).to_bytes(4, "big")
        (tmp_path / name).write_bytes(data[:-12] + chunk + data[-12:])  # before the end mark
        exif.get_ifd(0x8769)[0x9206] = 1.5
    stack = load_stack(tmp_path)
    assert stack.size == (W, H) and stack.focus_distances.tolist() == [0.75, 1.5]
    np.testing.assert_array_equal(stack[0], np.rot90(smooth(), -1))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_planes_in_one_page_are_turned(tmp_path, orientation):
    planes = np.stack([smooth(n)[..., 0] for n in range(3)])
    tag = (274, "H", 1, orientation, False)
    tifffile.imwrite(tmp_path / "s.tif", planes, photometric="minisblack", metadata={"axes": "ZYX"}, extratags=[tag])
    stack = load_stack(tmp_path / "s.tif")
    turned = {1: planes[1], 3: planes[1][::-1, ::-1], 6: np.rot90(planes[1], -1)}[orientation]
    assert len(stack) == 3
    np.testing.assert_array_equal(stack[1][..., 0], turned)


def test_half_precision_beside_sixteen_bits(tmp_path):
    pixels = np.linspace(0, 1, H * W, dtype=np.float32).reshape(H, W)
    tifffile.imwrite(tmp_path / "0.tif", pixels.astype(np.float16))
    tifffile.imwrite(tmp_path / "1.tif", np.rint(pixels * 65535).astype(np.uint16))
    stack = load_stack(tmp_path)
    assert stack.dtype == stack[0].dtype == stack[1].dtype == np.float32
    np.testing.assert_allclose(stack[1][..., 0], pixels, atol=1e-5)
    np.testing.assert_allclose(stack[0], stack[1], atol=1e-3)
