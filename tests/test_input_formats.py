"""Kinds of files that people have: HEIC, AVIF, RAW, ZIP, video, microscopes' TIFF; colour profiles; metadata."""

import io
import json
import shutil
import struct
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, features
from test_cli import assert_refused, run

from dualfocus.readers import load_stack, metadata
from dualfocus.readers.profile import pixels_to_srgb

H, W = 48, 64


def smooth(seed=0, top=255):
    """A picture that survives lossy coding: a few bright blobs on a ramp."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(0.1, 0.9, (3, 4, 3))
    large = cv2.resize(small, (W, H), interpolation=cv2.INTER_CUBIC)
    return np.round(top * np.clip(large, 0, 1)).astype(np.uint8 if top == 255 else np.uint16)


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
    with pytest.raises(ValueError, match=rf'{name}: .*pip install "dualfocus\[{extra}\]"') as caught:
        load_stack(tmp_path)
    assert "\n" not in str(caught.value)


def write_dng(path, mosaic, orientation=1, xmp=None):
    """A minimal DNG: one uncompressed Bayer page (RGGB, 12 bits) whose colour matrix is that of sRGB."""
    matrix = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570]
    tags = [
        (50706, "B", 4, b"\x01\x04\0\0", True),  # DNGVersion
        (50707, "B", 4, b"\x01\x01\0\0", True),
        (50708, "s", 0, "test", True),
        (33421, "H", 2, (2, 2), True),  # CFA
        (33422, "B", 4, b"\0\1\1\2", True),
        (50714, "H", 1, 0, True),  # black and white level
        (50717, "I", 1, 4095, True),
        (50721, "2i", 9, tuple(n for value in matrix for n in (round(value * 10000), 10000)), True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),
        (271, "s", 0, "Test", True),
        (272, "s", 0, "Camera R", True),
        (274, "H", 1, orientation, True),
    ]
    if xmp is not None:
        tags.append((700, "B", len(xmp), xmp, True))
    tifffile.imwrite(path, mosaic, photometric="cfa", extratags=tags, metadata=None, software=False)


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


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def encoded(seed=0, kind="PNG", **save):
    buffer = io.BytesIO()
    Image.fromarray(smooth(seed)).save(buffer, kind, **save)
    return buffer.getvalue()


def test_zip_of_images(tmp_path):
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, smooth(2), photometric="rgb")
    files = {"desk/img10.png": encoded(1), "desk/img2.png": encoded(0), "desk/img11.tif": tiff.getvalue()}
    litter = {"__MACOSX/desk/._img2.png": b"x", "desk/.DS_Store": b"x", "desk/notes.txt": b"x"}
    stack = load_stack(write_zip(tmp_path / "desk.zip", {**files, **litter}))
    assert stack.names == ["img2.png", "img10.png", "img11.tif"] and stack.unit == "index"
    for n in range(3):
        np.testing.assert_array_equal(stack[n], smooth(n))
    sidecar = json.dumps({"images": ["img10.png", "img2.png"], "focus_distances": [1, 2], "unit": "m"})
    stack = load_stack(write_zip(tmp_path / "desk.zip", {**files, "desk/stack.json": sidecar}))
    assert stack.names == ["img10.png", "img2.png"] and stack.focus_distances.tolist() == [1, 2]
    above = json.dumps({"images": ["desk/img10.png", "desk/img2.png"], "order": "near_to_far"})
    stack = load_stack(write_zip(tmp_path / "desk.zip", {**files, "stack.json": above, "other.json": "{}"}))
    assert stack.names == ["img10.png", "img2.png"] and stack.order == "near_to_far"


def write_spelled_zip(path, files):
    """A ZIP whose members' names are these very bytes, as other programs write them, without saying which encoding."""
    marks = [(bytes([65 + n]) * len(name), name) for n, name in enumerate(files)]
    write_zip(path, {mark.decode(): data for (mark, _), data in zip(marks, files.values(), strict=True)})
    data = path.read_bytes()
    for mark, name in marks:
        assert data.count(mark) == 2
        data = data.replace(mark, name)
    path.write_bytes(data)
    return path


# what the same folder "Büro" becomes: its members' names, and what is put beside the files
ZIP_PROGRAMS = {
    "Linux": (lambda name: f"Büro/{name}".encode(), {}),
    "a program that starts at the working folder": (lambda name: f"./Büro/{name}".encode(), {}),
    "Explorer": (
        lambda name: f"Büro/{name}".encode("cp437"),
        {b"B\x81ro/Thumbs.db": b"x", b"B\x81ro/desktop.ini": b"x"},
    ),
    "an old .NET": (lambda name: f"Büro\\{name}".encode("cp437"), {}),
    "Finder": (
        lambda name: unicodedata.normalize("NFD", f"Büro/{name}").encode(),
        {b"Bu\xcc\x88ro/.DS_Store": b"x", b"__MACOSX/._Bu\xcc\x88ro": b"x", b"__MACOSX/._Thumb.png": b"x"},
    ),
}


@pytest.mark.parametrize("with_sidecar", [True, False])
@pytest.mark.parametrize("program", ZIP_PROGRAMS)
def test_a_zip_of_a_folder_is_read_like_the_folder(tmp_path, program, with_sidecar):
    files = {f"Fläche {n}_0.{n}.png": encoded(n) for n in (3, 5, 4)}
    if with_sidecar:
        keys = {"images": sorted(files, reverse=True), "focus_distances": [5, 4, 3], "unit": "mm"}
        files["stack.json"] = json.dumps(keys, ensure_ascii=False).encode()
    folder = tmp_path / "Büro"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    spell, beside = ZIP_PROGRAMS[program]
    zipped = load_stack(
        write_spelled_zip(tmp_path / "desk.zip", {**{spell(name): files[name] for name in files}, **beside})
    )
    expected = load_stack(folder)
    assert zipped.names == expected.names
    assert zipped.unit == expected.unit == ("mm" if with_sidecar else "m")
    np.testing.assert_array_equal(zipped.focus_distances, expected.focus_distances)
    for n in range(3):
        np.testing.assert_array_equal(zipped[n], expected[n])


@pytest.mark.skipif(shutil.which("zip") is None, reason="no zip command")
@pytest.mark.parametrize("what", ["desk", "./desk", "desk/a.png desk/b.png", "."])
def test_zips_of_the_zip_command(tmp_path, what):
    (tmp_path / "desk").mkdir()
    for n, name in enumerate("ab"):
        (tmp_path / "desk" / f"{name}.png").write_bytes(encoded(n))
    subprocess.run(["zip", "-rq", "desk.zip", *what.split()], cwd=tmp_path, check=True)
    stack = load_stack(tmp_path / "desk.zip")
    assert stack.names == ["a.png", "b.png"]
    np.testing.assert_array_equal(stack[1], smooth(1))


def test_a_folder_around_the_folder_is_named(tmp_path):
    images = {"a.png": encoded(0), "b.png": encoded(1)}
    for folder in ("desk10", ".hidden", "empty"):
        (tmp_path / "all" / folder).mkdir(parents=True)
    for folder in ("desk10", ".hidden"):
        for name, data in images.items():
            (tmp_path / "all" / folder / name).write_bytes(data)
    with pytest.raises(
        ValueError, match=r"all: no images in this folder, but in its sub-folder desk10: give \S+all.desk10$"
    ):
        load_stack(tmp_path / "all")
    shutil.copytree(tmp_path / "all" / "desk10", tmp_path / "all" / "desk9")
    with pytest.raises(ValueError, match=r"but in its sub-folders desk9, desk10: give one of them$"):
        load_stack(tmp_path / "all")


def test_bad_zips(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK no")
    with pytest.raises(ValueError, match=r"a.zip: not a ZIP file that can be read"):
        load_stack(path)
    with pytest.raises(ValueError, match=r"a.zip: no images in this ZIP"):
        load_stack(write_zip(path, {"notes.txt": b"x"}))
    with pytest.raises(ValueError, match=r"a.zip: holds images in several folders \(x, y\)"):
        load_stack(write_zip(path, {"x/a.png": encoded(), "y/a.png": encoded()}))
    with pytest.raises(ValueError, match=r"a.zip: holds images in several folders \(its top, x\)"):
        load_stack(write_zip(path, {"x\\a.png": encoded(), "./a.png": encoded()}))
    with pytest.raises(ValueError, match=r"one photograph alone"):
        load_stack(write_zip(path, {"x/a.png": encoded()}))
    with pytest.raises(ValueError, match=r"give it alone"):
        load_stack([path, tmp_path / "a.zip.zip"])


def test_a_zip_cannot_lead_outside(tmp_path):
    outside = tmp_path / "secret.png"
    outside.write_bytes(encoded())
    folder = tmp_path / "in"
    folder.mkdir()
    inside = {"a.png": encoded(0), "b.png": encoded(1)}
    outwards = ["../secret.png", "x/../../b.png", "..\\secret.png", "x\\..\\..\\b.png", "./../b.png"]
    with pytest.raises(ValueError, match="no images in this ZIP"):
        load_stack(write_zip(folder / "z.zip", dict.fromkeys(outwards, encoded())))
    for name in ("../secret.png", str(outside), "../../secret.png"):
        sidecar = json.dumps({"images": ["a.png", name]})
        with pytest.raises(ValueError, match="which is not there"):
            load_stack(write_zip(folder / "z.zip", {**inside, "stack.json": sidecar}))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "secret.png", "z.zip"]


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = write_zip(tmp_path / "z.zip", {"a.png": encoded(0), "b.png": encoded(1)})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")  # the last entry of the directory: its unpacked size
    data[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"z.zip/b.png: unpacks to 4.0 GiB"):
        load_stack(path)


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
    with pytest.raises(ValueError, match=r"holds 3 channels \(DAPI, GFP, RFP\); choose one with --channel 0 to 2"):
        load_stack(path, time=0)
    with pytest.raises(ValueError, match=r"holds 2 time points; choose one with --time 0 to 1"):
        load_stack(path, channel=0)
    with pytest.raises(ValueError, match=r"there is no channel 3: it has 3 channels"):
        load_stack(path, channel=3, time=0)


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


def wide_profile(gamma=2.2):
    """A matrix profile of another gamut than sRGB's (its primaries mixed), written as ICC.1 has it."""
    xyz = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7448]])  # Adobe RGB, D50
    entries = {b"wtpt": np.array([0.9642, 1, 0.8249])} | {
        n: xyz[:, i] for i, n in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
    }
    tags = {n: b"XYZ \0\0\0\0" + struct.pack(">3i", *np.round(v * 65536).astype(int)) for n, v in entries.items()}
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags |= {n: curve for n in (b"rTRC", b"gTRC", b"bTRC")}
    text = b"wide"
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(79) + b"\0"
    tags[b"cprt"] = b"text\0\0\0\0none\0\0\0\0"
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def reference(pixels, profile):
    """What LittleCMS makes of 8-bit pixels."""
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(pixels), source, target, renderingIntent=1))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "lzw.tif", "webp"])
def test_colour_profile_to_srgb(tmp_path, suffix):
    profile = wide_profile()
    for n in range(2):
        exact = {"webp": {"lossless": True}, "lzw.tif": {"compression": "tiff_lzw"}}.get(suffix, {})
        Image.fromarray(smooth(n)).save(tmp_path / f"{n}.{suffix}", icc_profile=profile, **exact)
    with Image.open(tmp_path / f"0.{suffix}") as image:
        stored = np.asarray(image)
    found = load_stack(tmp_path)[0]
    assert np.abs(stored.astype(int) - reference(stored, profile)).max() > 10  # the profile matters
    np.testing.assert_array_equal(found, reference(stored, profile))


def test_sixteen_bits_and_float_follow_the_profile_too(tmp_path):
    profile, pixels = wide_profile(), smooth(top=65535)
    expected = reference((pixels >> 8).astype(np.uint8), profile)
    found = pixels_to_srgb(((pixels >> 8) * 257).astype(np.uint16), profile)
    assert found.dtype == np.uint16 and np.abs(found / 257 - expected).max() < 1.5
    as_float = pixels_to_srgb((pixels >> 8) / np.float32(255), profile)
    assert as_float.dtype == np.float32 and np.abs(as_float * 255 - expected).max() < 1.5
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, pixels, photometric="rgb", iccprofile=profile)
    np.testing.assert_array_equal(load_stack(tmp_path)[0], pixels_to_srgb(pixels, profile))


def test_srgb_and_useless_profiles_change_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"nonsense", wide_profile()[:200]):
        Image.fromarray(smooth(0)).save(tmp_path / "a.png", icc_profile=profile)
        Image.fromarray(smooth(1)).save(tmp_path / "b.png")
        np.testing.assert_array_equal(load_stack(tmp_path)[0], smooth(0))
        np.testing.assert_array_equal(pixels_to_srgb(smooth(top=65535), profile), smooth(top=65535))


def xmp_packet(inner):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {inner}</rdf:RDF></x:xmpmeta>'.encode()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_xmp_focus_distance(tmp_path, suffix):
    stated = (
        'aux:ApproximateFocusDistance="53/100"/>',
        "><aux:ApproximateFocusDistance>106/100</aux:ApproximateFocusDistance></rdf:Description>",
        "aux:ApproximateFocusDistance='4294967295/1'/>",
    )
    for n, inner in enumerate(stated):
        Image.fromarray(smooth(n)).save(tmp_path / f"{n}.{suffix}", **xmp_keyword(suffix, xmp_packet(inner)))
    stack = load_stack(tmp_path)
    assert stack.unit == "dioptre"
    np.testing.assert_allclose(stack.focus_distances, [1 / 0.53, 1 / 1.06, 0])


@pytest.mark.parametrize("text", ["0/100", "0", "-5/10", "far", "1/" + "9" * 400, ""])
def test_xmp_without_a_distance(text):
    assert metadata.from_xmp(xmp_packet(f'aux:ApproximateFocusDistance="{text}"/>')) == {}
    assert metadata.from_xmp(xmp_packet('aux:ApproximateFocusDistance="5/10"/>')) == {metadata.XMP: 0.5}


def xmp_keyword(suffix, packet):
    if suffix != "png":
        return {"xmp": packet}
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet.decode())
    return {"pnginfo": info}


def test_distances_in_tiff_and_raw(tmp_path):
    for n in range(3):
        tags = {34665: {0x9206: 0.5 + n, 0x920A: 35.0}}  # the EXIF block
        Image.fromarray(smooth(n)).save(tmp_path / f"{n}.tif", tiffinfo=tags)
    stack = load_stack(tmp_path)
    np.testing.assert_allclose(stack.focus_distances, [0.5, 1.5, 2.5])
    assert (stack.unit, stack.camera.focal_length_mm) == ("m", 35)
    pytest.importorskip("rawpy")
    pytest.importorskip("exifread")
    raw = tmp_path / "raw"
    raw.mkdir()
    for n in range(2):
        packet = xmp_packet(f'aux:ApproximateFocusDistance="{n + 1}5/10"/>')
        write_dng(raw / f"{n}.dng", np.full((H, W), 1000, np.uint16), xmp=packet)
    stack = load_stack(raw)
    assert stack.unit == "m" and stack.focus_distances.tolist() == [1.5, 2.5]


def canon_jpeg(path, centimetres, subject_distance=None):
    """A JPEG whose Canon maker note (ShotInfo, entry 19) states a distance, laid out by hand as cameras do."""
    entries = [(0x0004, 3, 34)]  # ShotInfo: 34 shorts
    shot = [68] + [0] * 33
    shot[19] = centimetres
    exif_at = 8 + 2 + 12 * 2 + 4 + 6
    note_at = exif_at + 2 + 12 * (1 if subject_distance is None else 2) + 4 + 8
    note = struct.pack("<H", 1) + struct.pack("<HHII", *entries[0], note_at + 18) + struct.pack("<I", 0)
    note += struct.pack("<34H", *shot)
    ifd0 = struct.pack("<H", 2) + struct.pack("<HHII", 0x010F, 2, 6, 8 + 2 + 24 + 4)
    ifd0 += struct.pack("<HHII", 0x8769, 4, 1, exif_at) + struct.pack("<I", 0) + b"Canon\0"
    fields = [] if subject_distance is None else [struct.pack("<HHII", 0x9206, 5, 1, note_at - 8)]
    fields.append(struct.pack("<HHII", 0x927C, 7, len(note), note_at))
    exif = struct.pack("<H", len(fields)) + b"".join(fields) + struct.pack("<I", 0)
    exif += struct.pack("<II", round(1000 * (subject_distance or 0)), 1000)
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8) + ifd0 + exif + note
    Image.fromarray(smooth()).save(path, exif=block)


def test_maker_note(tmp_path):
    pytest.importorskip("exifread")
    for n, centimetres in enumerate((45, 120, 65535)):
        canon_jpeg(tmp_path / f"{n}.jpg", centimetres)
    stack = load_stack(tmp_path)
    assert stack.unit == "dioptre"
    np.testing.assert_allclose(stack.focus_distances, [1 / 0.45, 1 / 1.2, 0])


def test_without_exifread_a_maker_note_is_pointed_to(tmp_path, monkeypatch):
    for n in range(2):
        canon_jpeg(tmp_path / f"{n}.jpg", 45 + n)
    monkeypatch.setitem(sys.modules, "exifread", None)
    stack = load_stack(tmp_path)
    assert stack.unit == "index" and 'pip install "dualfocus[exif]"' in stack.warnings[-1]


def test_sources_that_disagree_are_both_named(tmp_path):
    pytest.importorskip("exifread")
    for n, (metres, centimetres) in enumerate(((0.5, 80), (1.0, 130))):
        canon_jpeg(tmp_path / f"focus_{0.5 * (n + 1):.2f}m.jpg", centimetres, metres)
    stack = load_stack(tmp_path)
    assert stack.focus_distances.tolist() == [0.5, 1]
    assert len(stack.warnings) == 1  # the file names agree
    assert "EXIF subject distance and the maker notes disagree: 0.5, 1 m is used, not 0.8, 1.3 m" in stack.warnings[0]
    (tmp_path / "stack.json").write_text(json.dumps({"focus_distances": [0.7, 2], "unit": "m"}))
    warnings = load_stack(tmp_path).warnings
    assert [text.partition(" disagree")[0] for text in warnings] == [
        f"stack.json and {source}" for source in ("the EXIF subject distance", "the maker notes", "the file names")
    ]
    assert load_stack(tmp_path, focus=[1, 2]).warnings == []


def test_incomplete_metadata_are_told(tmp_path):
    for n, distance in enumerate((0.5, None, 0.7)):
        exif = Image.Exif()
        if distance:
            exif.get_ifd(0x8769)[0x9206] = distance
        Image.fromarray(smooth(n)).save(tmp_path / f"{n}.jpg", exif=exif)
    assert "the EXIF subject distance is not used: only 2 of 3 images have one" in load_stack(tmp_path).warnings[0]


def test_nothing_is_left_beside_the_files(tmp_path):
    path: Path = write_zip(tmp_path / "z.zip", {"a.png": encoded(0), "b.png": encoded(1)})
    stack = load_stack(path)
    assert stack[1].shape == (H, W, 3) and [p.name for p in tmp_path.iterdir()] == ["z.zip"]


def write_video(path, positions, size=(160, 120)):
    """A focus sweep: a picture whose columns are sharp one after another, as the position runs from 0 to 1."""
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.uniform(0, 255, (60, 80, 3)), size, interpolation=cv2.INTER_NEAREST)
    levels = [cv2.GaussianBlur(texture, (0, 0), 0.3 + 0.5 * blur) for blur in range(9)]
    place = np.linspace(0, 1, size[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    assert writer.isOpened()
    for position in positions:
        blur = np.clip(np.round(np.abs(place - position) * 10), 0, 8).astype(int)
        columns = [levels[level][:, column] for column, level in enumerate(blur)]
        writer.write(np.stack(columns, axis=1).clip(0, 255).astype(np.uint8))
    writer.release()


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
    for data in (b"", b"no picture at all" * 20, spoilt, good[: len(good) // 2]):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=name) as caught:
            list(load_stack([tmp_path / name]))
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
