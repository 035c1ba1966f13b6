"""load_stack on real files: formats, order, bit depths and laziness."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tifffile
from photo_folders import H, W, picture, write_folder, write_sidecar
from PIL import Image, ImageOps

from dualfocus.readers import load_stack
from dualfocus.readers.photo import PhotoFrame


def test_folder_in_natural_order_without_other_files(tmp_path):
    write_folder(tmp_path, ["img10.png", "img2.png", "IMG1.png", ".hidden.png"])
    for name in ("Thumbs.db", "notes.txt", "depth.npy"):
        (tmp_path / name).write_bytes(b"something else")
    (tmp_path / "folder.png").mkdir()
    stack = load_stack(tmp_path)
    assert stack.names == ["IMG1.png", "img2.png", "img10.png"]
    assert (stack.unit, stack.size, stack.dtype) == ("index", (H, W), np.uint8)
    np.testing.assert_array_equal(stack[1], picture(1))
    assert len(stack.warnings) == 1 and "focus=" in stack.warnings[0] and "relative" in stack.warnings[0]


def test_list_keeps_its_order_and_tells_of_an_unread_sidecar(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    stack = load_stack([tmp_path / "b.png", str(tmp_path / "a.png")], focus=[1, 2])
    assert stack.names == ["b.png", "a.png"] and stack.warnings == []
    write_sidecar(tmp_path)
    assert "stack.json is not read" in load_stack([tmp_path / "b.png", tmp_path / "a.png"], focus=[1, 2]).warnings[0]


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "tif", "jpg", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
def test_eight_bit_formats_decode_as_pillow_does(tmp_path, suffix, mode):
    image = Image.fromarray(picture()).convert(mode)
    exact = {"webp": {"lossless": True}}.get(suffix, {})
    try:
        for name in ("a", "b"):
            image.save(tmp_path / f"{name}.{suffix}", **exact)
    except OSError:
        pytest.skip(f"{suffix} cannot hold {mode}")
    stack = load_stack(tmp_path)
    with Image.open(tmp_path / f"a.{suffix}") as written:
        expected = np.asarray(written.convert("RGB"))
    assert stack[0].dtype == np.uint8
    np.testing.assert_array_equal(stack[0], expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif", "tiff"])
def test_sixteen_bits_are_kept(tmp_path, channels, suffix):
    pixels = np.dstack([picture(dtype=np.uint16), picture(1, np.uint16)[..., 0]])[..., :channels]
    for name in ("a", "b"):
        path = tmp_path / f"{name} Ångström 深.{suffix}"
        if suffix == "png":
            bgr = pixels[..., [2, 1, 0, 3][:channels]] if channels > 1 else pixels
            path.write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
        else:
            tifffile.imwrite(path, pixels.squeeze(), photometric="rgb" if channels > 1 else "minisblack")
    stack = load_stack(tmp_path)
    assert stack.dtype == np.uint16
    np.testing.assert_array_equal(stack[0], np.repeat(pixels, 3, 2) if channels == 1 else pixels[..., :3])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_exif_orientation(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    write_folder(tmp_path, [f"a.{suffix}", f"b.{suffix}"], exif=exif)
    stack = load_stack(tmp_path)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert stack.size == expected.shape[:2]
    np.testing.assert_array_equal(stack[0], expected)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK"])
def test_tiff_orientation(tmp_path, orientation, compression, mode):
    image = Image.fromarray(picture()).convert(mode)
    for name in "ab":
        image.save(tmp_path / f"{name}.tif", tiffinfo={274: orientation}, compression=compression)
    quarter_turns = {1: 0, 3: 2, 6: -1, 8: 1}[orientation]
    np.testing.assert_array_equal(load_stack(tmp_path)[0], np.rot90(np.asarray(image.convert("RGB")), quarter_turns))


@pytest.mark.parametrize("colour", [False, True])
def test_multi_page_tiff_pages_are_planes(tmp_path, colour):
    pages = np.stack([picture(n, np.uint16) for n in range(4)])
    pages = pages if colour else pages[..., 0]
    tifffile.imwrite(tmp_path / "z.tif", pages, photometric="rgb" if colour else "minisblack", compression="zlib")
    for source in (tmp_path / "z.tif", [tmp_path / "z.tif"], tmp_path):
        stack = load_stack(source, focus="-1,0,1,2", unit="um")
        assert (len(stack), stack.unit, stack.names[2]) == (4, "um", "z.tif page 2")
        np.testing.assert_array_equal(stack[3], pages[3] if colour else np.repeat(pages[3][..., None], 3, 2))


def test_lzw_sixteen_bit_pages(tmp_path):
    pages = [picture(n, np.uint16) for n in range(3)]
    assert cv2.imwritemulti(str(tmp_path / "z.tif"), [page[..., ::-1] for page in pages])
    np.testing.assert_array_equal(load_stack(tmp_path / "z.tif")[1], pages[1])


def test_float_tiff(tmp_path):
    pages = np.stack([picture(n)[..., 0] / np.float32(255) for n in range(3)])
    tifffile.imwrite(tmp_path / "z.tif", pages, photometric="minisblack")
    stack = load_stack(tmp_path / "z.tif")
    assert stack.dtype == np.float32
    np.testing.assert_array_equal(stack[1][..., 2], pages[1])
    tifffile.imwrite(tmp_path / "z.tif", pages * 255, photometric="minisblack")
    with pytest.raises(ValueError, match=r"z.tif page 0 spans .*\[0, 1\]"):
        load_stack(tmp_path / "z.tif")[0]


def test_z_spacing_of_microscope_files(tmp_path):
    pages = picture(dtype=np.uint16).transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "ij.tif", pages, imagej=True, metadata={"axes": "ZYX", "spacing": 2.5, "unit": "um"})
    ome = {"axes": "ZYX", "PhysicalSizeZ": 500, "PhysicalSizeZUnit": "nm"}
    tifffile.imwrite(tmp_path / "z.ome.tif", pages, metadata=ome, photometric="minisblack")
    tifffile.imwrite(tmp_path / "plain.tif", pages, photometric="minisblack")
    for name, distances in (("ij.tif", [0, 2.5, 5]), ("z.ome.tif", [0, 0.5, 1])):
        stack = load_stack(tmp_path / name)
        assert stack.unit == "um" and stack.warnings == []
        np.testing.assert_allclose(stack.focus_distances, distances)
    assert load_stack(tmp_path / "plain.tif").unit == "index"
    channels = np.stack([pages, pages], axis=1)
    tifffile.imwrite(tmp_path / "ij.tif", channels, imagej=True, metadata={"axes": "ZCYX"})
    with pytest.raises(ValueError, match=r"ij.tif: holds 2 channels; choose one with channel= \(0 to 1\)"):
        load_stack(tmp_path / "ij.tif")


def test_imagej_stack_under_a_single_header(tmp_path):
    pages = np.stack([picture(n, np.uint16)[..., 0] for n in range(4)])
    tifffile.imwrite(tmp_path / "big.tif", pages, truncate=True, photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "big.tif") as tiff:
        assert len(tiff.pages) == 1
    stack = load_stack(tmp_path / "big.tif")
    assert len(stack) == 4
    np.testing.assert_array_equal(stack[2][..., 0], pages[2])


@pytest.mark.filterwarnings("ignore:.*separate component planes:DeprecationWarning")
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_three_grey_planes_saved_as_one_array(tmp_path, compression):
    planes = np.ascontiguousarray(picture().transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "z.tif", planes, compression=compression)  # tifffile takes three planes for colours
    stack = load_stack(tmp_path / "z.tif")
    assert len(stack) == 3
    np.testing.assert_array_equal(stack[1][..., 0], planes[1])
    tifffile.imwrite(tmp_path / "y.tif", planes, compression=compression)
    np.testing.assert_array_equal(load_stack(tmp_path)[1], picture())  # beside others each is a photo


def test_headers_only_until_a_plane_is_asked_for(tmp_path, monkeypatch):
    write_folder(tmp_path, [f"{n}.png" for n in range(6)])
    decoded, loaded = [], []
    decode, load = PhotoFrame.decode, Image.Image.load
    monkeypatch.setattr(PhotoFrame, "decode", lambda frame: decoded.append(frame.name) or decode(frame))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: loaded.append(image) or load(image))
    stack = load_stack(tmp_path)
    assert (len(stack), stack.size, decoded, loaded) == (6, (H, W), [], [])
    monkeypatch.undo()
    monkeypatch.setattr(PhotoFrame, "decode", lambda frame: decoded.append(frame.name) or decode(frame))
    stack[4]
    assert decoded == ["4.png"]


def test_several_bit_depths_take_the_widest(tmp_path):
    eight, sixteen = picture(), picture(1, np.uint16)
    Image.fromarray(eight).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(cv2.imencode(".png", sixteen[..., ::-1])[1].tobytes())
    stack = load_stack(tmp_path)
    assert stack.dtype == np.uint16
    np.testing.assert_array_equal(stack[0], eight.astype(int) * 257)
    np.testing.assert_array_equal(stack[1], sixteen)
    tifffile.imwrite(tmp_path / "c.tif", (eight[..., 0] / 255).astype(np.float32))
    stack = load_stack(tmp_path)
    assert stack.dtype == np.float32
    np.testing.assert_allclose(stack[0], eight / 255, rtol=1e-6)
    np.testing.assert_allclose(stack[1], sixteen / 65535, rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_pictures_of_two_hundred_megapixels(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    picture = Image.new("1", (16320, 12240))
    for name in ("a.png", "b.png"):
        picture.save(tmp_path / name)
    assert load_stack(tmp_path).size == (12240, 16320) and before == Image.MAX_IMAGE_PIXELS


def test_torch_is_never_imported(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    code = (
        "import sys, dualfocus.stack, dualfocus.optics\nfrom dualfocus.readers import load_stack\n"
        f"load_stack({str(tmp_path)!r})[0]\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stacks_of_the_shared_data(shared_data):
    sidecars = sorted([*shared_data.glob("stacks/*/*/stack.json"), *shared_data.glob("pathtraced/*/stack.json")])
    assert sidecars
    for path in sidecars:
        stated = json.loads(path.read_text())
        stack = load_stack(path.parent)
        assert stack.names == stated["images"]
        assert stack.order == stated["order"]
        assert stack.unit == (stated["unit"] or "index")
        if stated["focus_distances"]:
            np.testing.assert_array_equal(stack.focus_distances, stated["focus_distances"])
        assert len(stack.warnings) == (stack.unit == "index"), path
        assert stack[len(stack) - 1].shape == (*stack.size, 3)
        if stated.get("ground_truth"):
            assert stack.ground_truth.shape == stack.size


def test_distances_that_look_like_millimetres_are_asked_about(tmp_path):
    for n in range(3):
        Image.fromarray(np.full((16, 16, 3), 60 * n, np.uint8)).save(tmp_path / f"{n}.png")
    assert any('unit="mm"' in text for text in load_stack(tmp_path, focus="300,500,1000").warnings)
    for focus, unit in (("300,500,1000", "mm"), ("300,500,1000", "m"), ("0.3,0.5,1000", None)):
        assert not any('unit="mm"' in text for text in load_stack(tmp_path, focus=focus, unit=unit).warnings)
