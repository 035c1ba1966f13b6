"""load_stack on real files: formats, order, distances, sidecars, laziness, and the sentence for each bad input."""

import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from dualfocus.readers import load_stack
from dualfocus.readers.distances import from_names
from dualfocus.readers.photo import PhotoFrame

H, W = 12, 16


def picture(seed=0, dtype=np.uint8):
    top = 255 if dtype == np.uint8 else 65535
    return np.random.default_rng(seed).integers(0, top, (H, W, 3)).astype(dtype)


def write_folder(folder: Path, names, size=(W, H), **save):
    folder.mkdir(exist_ok=True)
    for n, name in enumerate(names):
        Image.fromarray(picture(n)).resize(size).save(folder / name, **save)
    return folder


def write_sidecar(folder: Path, **keys):
    (folder / "stack.json").write_text(json.dumps(keys), encoding="utf-8")
    return folder / "stack.json"


def test_folder_in_natural_order_without_other_files(tmp_path):
    write_folder(tmp_path, ["img10.png", "img2.png", "IMG1.png", ".hidden.png"])
    for name in ("Thumbs.db", "notes.txt", "depth.npy"):
        (tmp_path / name).write_bytes(b"something else")
    (tmp_path / "folder.png").mkdir()
    stack = load_stack(tmp_path)
    assert stack.names == ["IMG1.png", "img2.png", "img10.png"]
    assert (stack.unit, stack.size, stack.dtype) == ("index", (H, W), np.uint8)
    np.testing.assert_array_equal(stack[1], picture(1))
    assert len(stack.warnings) == 1 and "--focus" in stack.warnings[0] and "relative" in stack.warnings[0]


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
    with pytest.raises(ValueError, match=r"ij.tif: holds 2 channels; choose one with --channel 0 to 1"):
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


@pytest.mark.parametrize(
    ("names", "values", "unit"),
    [
        (["image_1_0.35", "image_2_0.5", "image_3_0.80"], [0.35, 0.5, 0.8], "m"),
        (["0.50m", "1m", "2.25m"], [0.5, 1, 2.25], "m"),
        (["focus_350mm", "focus_500mm"], [350, 500], "mm"),
        (["35cm", "50 cm"], [0.35, 0.5], "m"),
        (["a_2.5D", "a_0.0D"], [2.5, 0], "dioptre"),
        (["4dpt", "1dpt"], [4, 1], "dioptre"),
        (["50mm_f1.8_0.35m_1", "50mm_f1.8_0.7m_2"], [0.35, 0.7], "m"),
        (["z_-12.5um", "z_0um", "z_12.5um"], [-12.5, 0, 12.5], "um"),
        (["img_0.3", "img_0.7"], [0.3, 0.7], "m"),
    ],
)
def test_distances_in_file_names(names, values, unit):
    found, named = from_names(names)
    assert named == unit
    np.testing.assert_allclose(found, values)


@pytest.mark.parametrize(
    "names",
    [
        ["000", "001"],
        ["img2", "img10"],
        ["DSC_0350", "DSC_0500"],
        ["image_1_0.35", "image_2"],  # one has none
        ["0.5m", "500mm"],  # two units
        ["0.5_0.7", "0.6_0.8"],  # two numbers each
        ["a_0.5", "b_0.5"],  # not distinct
        ["v1.1", "v1.2"],
        ["f2.8", "f4.0"],
        ["2024.05.01", "2024.05.02"],
        ["scan_2D", "scan_3D"],
        ["0.0", "0.5"],
        ["3months", "4months"],
        ["9" * 400 + "um", "8um"],
        ["depth-12bit", "depth-13bit"],
    ],
)
def test_doubtful_file_names_are_no_distances(names):
    assert from_names(names) is None


def test_file_names_give_distances_and_say_so(tmp_path):
    write_folder(tmp_path, ["image_1_0.35.png", "image_2_0.80.png"])
    stack = load_stack(tmp_path)
    assert stack.unit == "m" and stack.focus_distances.tolist() == [0.35, 0.8]
    assert "file names: 0.35, 0.8 m" in stack.warnings[0]
    np.testing.assert_allclose(load_stack(tmp_path, unit="mm").focus_distances, [350, 800])
    np.testing.assert_allclose(load_stack(tmp_path, unit="D").focus_distances, [1 / 0.35, 1.25])
    assert load_stack(tmp_path, unit="index").focus_distances is None
    assert load_stack(tmp_path, focus="2,1").focus_distances.tolist() == [2, 1]


def write_exif(path, distance, seed=0):
    exif = Image.Exif()
    exif[0x0110] = "Camera X"
    ifd = exif.get_ifd(0x8769)
    ifd.update({0x920A: 6.8, 0x829D: 1.85, 0xA405: 24})
    if distance is not None:
        ifd[0x9206] = distance
    Image.fromarray(picture(seed)).save(path, exif=exif)


def test_exif_subject_distance_and_camera(tmp_path):
    for n, distance in enumerate((0.5, 0.25, 2.0)):
        write_exif(tmp_path / f"{n}.jpg", distance)
    stack = load_stack(tmp_path)
    assert (stack.unit, stack.warnings) == ("m", [])
    np.testing.assert_allclose(stack.focus_distances, [0.5, 0.25, 2])
    assert stack.camera.model == "Camera X" and stack.camera.f_number == pytest.approx(1.85)
    assert stack.camera.sensor_width_mm == pytest.approx(36 * 6.8 / 24)
    write_exif(tmp_path / "2.jpg", 4294967295)  # infinity
    stack = load_stack(tmp_path)
    assert stack.unit == "dioptre"
    np.testing.assert_allclose(stack.focus_distances, [2, 4, 0])
    for unusable in (None, 0, 0.25):
        write_exif(tmp_path / "2.jpg", unusable)
        assert load_stack(tmp_path).unit == "index"


def test_sidecar(tmp_path):
    write_folder(tmp_path, ["x.png", "y.png", "z.png", "other.png"])
    np.save(tmp_path / "truth.npy", np.ones((H, W)))
    path = write_sidecar(
        tmp_path,
        images=["z.png", "x.png"],
        focus_distances=[0.5, 2],
        unit="m",
        order="near_to_far",
        camera={"model": "K", "focal_length_mm": 50, "f_number": None, "sensor_width_mm": 36},
        aligned=True,
        ground_truth="truth.npy",
        ground_truth_unit="m",
        licence="CC0",
        seed=7,
    )
    for source in (tmp_path, path, str(path), [tmp_path]):
        stack = load_stack(source)
        assert stack.names == ["z.png", "x.png"] and stack.focus_distances.tolist() == [0.5, 2]
        assert (stack.unit, stack.order, stack.aligned, stack.warnings) == ("m", "near_to_far", True, [])
        assert (stack.camera.focal_length_mm, stack.camera.f_number) == (50, None)
        assert stack.ground_truth.mean() == 1
        assert stack.extra == {"ground_truth_unit": "m", "licence": "CC0", "seed": 7}


def test_command_line_wins_over_the_sidecar(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    write_sidecar(tmp_path, images=["a.png", "b.png"], focus_distances=[10, 20], unit="mm")
    assert load_stack(tmp_path).unit == "mm"
    stack = load_stack(tmp_path, focus="5, 6")
    assert (stack.focus_distances.tolist(), stack.unit) == ([5, 6], "mm")
    assert load_stack(tmp_path, focus=[5, 6], unit="um").unit == "um"
    assert load_stack(tmp_path, unit="um").unit == "um"
    assert load_stack(tmp_path, unit="index").focus_distances is None
    write_sidecar(tmp_path, order="far_to_near")
    stack = load_stack(tmp_path, focus=np.array([5, 6]))
    assert stack.unit == "m" and "far_to_near" in stack.warnings[0]


def test_ground_truth_is_dropped_when_the_unit_changes(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    np.save(tmp_path / "truth.npy", np.ones((H, W)))
    write_sidecar(tmp_path, ground_truth="truth.npy")
    assert load_stack(tmp_path).ground_truth is not None
    stack = load_stack(tmp_path, focus=[1, 2])
    assert stack.ground_truth is None and "truth.npy is not used" in stack.warnings[0]


def test_sidecar_without_distances_is_relative_and_keeps_order(tmp_path):
    write_folder(tmp_path, ["img_0.3.png", "img_0.7.png", "aif.png"])
    write_sidecar(tmp_path, order="far_to_near", focus_distances=None, unit=None, all_in_focus="aif.png")
    stack = load_stack(tmp_path)
    assert (stack.unit, stack.order, len(stack)) == ("index", "far_to_near", 2)
    assert "--focus" in stack.warnings[-1]


def test_misspelt_keys_are_named(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    write_sidecar(tmp_path, focus_distance=[1, 2], camera={"fnumber": 2}, orders=None, anything="else")
    text = " ".join(load_stack(tmp_path).warnings)
    for wrong, right in (("focus_distance", "focus_distances"), ("fnumber", "f_number"), ("orders", "order")):
        assert f'"{wrong}" is ignored; did you mean "{right}"?' in text
    assert "anything" not in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ('{"images": "a.png"}', '"images" must be a list'),
        ('{"images": []}', '"images" must be a list'),
        ('{"images": ["a.png", "gone.png"]}', "gone.png"),
        (f'{{"images": ["a.png", "{"a" * 300}.png"]}}', "which is not there"),
        ('{"images": ["a.png"]}', "one photograph alone.*a focal stack is"),
        ('{"images": ["a.png", "stack.json"]}', "not a supported image"),
        ('{"focus_distances": [1, 2]}', 'need a "unit"'),
        ('{"focus_distances": [1, 2], "unit": "index"}', "'index' has no focus distances"),
        ('{"focus_distances": [1, 2], "unit": "yards"}', "unknown unit 'yards'"),
        ('{"focus_distances": [1, 2], "unit": 3}', '"unit" must be text'),
        ('{"unit": "m"}', 'no "focus_distances"'),
        ('{"unit": "m", "focus_distance": [1, 2]}', 'no "focus_distances".*did you mean "focus_distances"'),
        ('{"focus_distances": [1, 2], "units": "m"}', 'need a "unit".*did you mean "unit"'),
        ('{"images": ["a.png", "./a.png"]}', "a.png: this file is given twice"),
        ('{"focus_distances": 1, "unit": "m"}', "must be a list"),
        ('{"focus_distances": [1, "2"], "unit": "m"}', "must be numbers, not '2'"),
        ('{"focus_distances": [1, NaN], "unit": "m"}', "nan of image 1"),
        (f'{{"focus_distances": [1, 1{"0" * 400}], "unit": "m"}}', "too large"),
        (f'{{"camera": {{"f_number": 1{"0" * 400}}}}}', "f_number"),
        ('{"focus_distances": [1, 2, 3], "unit": "m"}', "3 focus distances for 2 images"),
        ('{"focus_distances": [2, 2], "unit": "m"}', "same focus distance, 2 m"),
        ('{"order": "up"}', "order.*'up'"),
        ('{"aligned": 1}', "aligned.*1"),
        ('{"camera": "Canon"}', "camera.*'Canon'"),
        ('{"camera": {"f_number": 0}}', "f_number.*0"),
        ('{"ground_truth": "gone.npy"}', "ground_truth.*gone.npy"),
        ('{"ground_truth": 3}', "ground_truth"),
    ],
)
def test_bad_sidecars_are_named(tmp_path, text, words):
    write_folder(tmp_path, ["a.png", "b.png"])
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        load_stack(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_distances_without_a_unit_of_length_beside_names_that_state_some(tmp_path):
    write_folder(tmp_path, ["0.5m.png", "1m.png"])
    (tmp_path / "stack.json").write_text('{"focus_distances": [1, 2], "unit": "index"}')
    with pytest.raises(ValueError, match="'index' has no focus distances"):
        load_stack(tmp_path)


def test_bad_folders_and_lists(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=rf"{tmp_path.name}: no images .*\.jpg, .*\.tif"):
        load_stack(tmp_path)
    with pytest.raises(ValueError, match="gone: no such file"):
        load_stack(tmp_path / "gone")
    with pytest.raises(ValueError, match="notes.txt: not a supported image"):
        load_stack(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="no files were given"):
        load_stack([])
    for source in (None, 5, [None], [tmp_path, 5]):
        with pytest.raises(ValueError, match="not a path or a list of paths"):
            load_stack(source)
    with pytest.raises(ValueError, match="aaa: no such file"):
        load_stack("a" * 300)
    write_folder(tmp_path, ["only.jpg"])
    with pytest.raises(ValueError, match="only.jpg: this file is given twice"):
        load_stack([tmp_path / "only.jpg", tmp_path / ".." / tmp_path.name / "only.jpg"])
    for source in (tmp_path, tmp_path / "only.jpg"):
        with pytest.raises(ValueError, match="one photograph alone: a focal stack is at least two photographs"):
            load_stack(source)
    with pytest.raises(ValueError, match="a folder among the files"):
        load_stack([tmp_path / "only.jpg", tmp_path])
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((5, H, W), np.uint8))
    with pytest.raises(ValueError, match="z.tif: holds 5 pages beside other files"):
        load_stack(tmp_path)


@pytest.mark.parametrize(
    ("focus", "words"),
    [
        ("1,2", "2 focus distances for 3 images"),
        ("1,2,far", "'far' is not a number"),
        ("1,,2", "'' is not a number"),
        ("1,2,nan", "nan of image 2"),
        ("1,-2,3", "-2 m of image 1"),
        ([1, 1, 2], "images 0 and 1 have the same"),
        (0.5, "for 3 images"),
    ],
)
def test_bad_focus(tmp_path, focus, words):
    write_folder(tmp_path, ["a.png", "b.png", "c.png"])
    with pytest.raises(ValueError, match=words):
        load_stack(tmp_path, focus=focus)
    with pytest.raises(ValueError, match="unknown unit 'furlong'"):
        load_stack(tmp_path, unit="furlong")


def test_unequal_sizes_name_both_files(tmp_path):
    write_folder(tmp_path, ["a.png"])
    write_folder(tmp_path, ["b.png"], size=(W, H + 1))
    with pytest.raises(ValueError, match=f"b.png is {W} x {H + 1} pixels but a.png is {W} x {H}"):
        load_stack(tmp_path)


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


def test_text_named_png(tmp_path):
    write_folder(tmp_path, ["a.png"])
    (tmp_path / "b.png").write_text("this is no picture")
    with pytest.raises(ValueError, match="b.png: not an image that can be read"):
        load_stack(tmp_path)
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(ValueError, match="b.png: not an image that can be read"):
        load_stack(tmp_path)


@pytest.mark.parametrize("kind", ["jpg", "png", "png16", "bmp", "webp", "tif", "zlib.tif", "lzw.tif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_off_files_are_named(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    suffix = "png" if kind == "png16" else kind.split(".")[-1]
    buffer = io.BytesIO()
    if kind == "png16":
        buffer.write(cv2.imencode(".png", noise.astype(np.uint16) * 257)[1].tobytes())
    elif suffix == "tif":
        compression = {"zlib.tif": "tiff_adobe_deflate", "lzw.tif": "tiff_lzw"}.get(kind)
        Image.fromarray(noise).save(buffer, "TIFF", compression=compression)
    else:
        Image.fromarray(noise).save(buffer, {"jpg": "JPEG"}.get(suffix, suffix))
    data = buffer.getvalue()
    (tmp_path / f"a.{suffix}").write_bytes(data)
    (tmp_path / f"b.{suffix}").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=rf"b\.{suffix}") as caught:
        load_stack(tmp_path)[1]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.4, 0.7, 0.98])
@pytest.mark.parametrize("imagej", [False, True])
def test_cut_off_z_stack(tmp_path, share, imagej):
    pages = np.stack([picture(n)[..., 0] for n in range(8)])
    tifffile.imwrite(tmp_path / "z.tif", pages, imagej=imagej)
    data = (tmp_path / "z.tif").read_bytes()
    (tmp_path / "z.tif").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match="z.tif"):
        load_stack(tmp_path / "z.tif")
    call = f"load_stack({str(tmp_path / 'z.tif')!r})"
    code = f"from dualfocus.readers import load_stack\ntry: {call}\nexcept ValueError: pass"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr == b""


def test_unsupported_samples(tmp_path):
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((5, H, W), np.int32))
    with pytest.raises(ValueError, match="z.tif: samples of type int32"):
        load_stack(tmp_path / "z.tif")


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
