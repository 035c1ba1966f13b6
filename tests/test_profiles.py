"""Colour profiles: every image becomes sRGB."""

import io
import struct

import numpy as np
import pytest
import tifffile
from camera_files import smooth
from PIL import Image, ImageCms

from dualfocus.readers import load_stack
from dualfocus.readers.profile import pixels_to_srgb

ADOBE = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7448]])  # to XYZ of D50
SRGB = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])  # as HP rounded them


def wide_profile(gamma=2.2, name="wide", xyz=ADOBE, table=None):
    """A matrix profile, by default of another gamut than sRGB's, written as ICC.1 has it."""
    entries = {b"wtpt": np.array([0.9642, 1, 0.8249])} | {
        n: xyz[:, i] for i, n in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
    }
    tags = {n: b"XYZ \0\0\0\0" + struct.pack(">3i", *np.round(v * 65536).astype(int)) for n, v in entries.items()}
    values = [round(gamma * 256), 0] if table is None else np.round(np.asarray(table) * 65535).astype(int)
    count = 1 if table is None else len(values)
    curve = b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", count, *values)
    tags |= {n: curve for n in (b"rTRC", b"gTRC", b"bTRC")}
    text = name.encode()
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


def to_linear(x):
    """The tone curve of sRGB, IEC 61966-2-1."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


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


@pytest.mark.parametrize(
    "name", ["GIMP built-in Linear sRGB", "sRGB IEC61966-2.1 linear", "Artifex Linear sRGB", "sRGB"]
)
def test_a_linear_profile_is_not_srgb_whatever_it_is_called(tmp_path, name):
    profile = wide_profile(1.0, name, SRGB)
    pixels = np.full((8, 8, 3), 13107, np.uint16)
    pixels[0] = 0
    found = pixels_to_srgb(pixels, profile)
    assert found[0].max() < 20 and np.abs(found[1:].astype(int) - 31753).max() < 20
    for n in range(2):
        tifffile.imwrite(tmp_path / f"{n}.tif", pixels, photometric="rgb", iccprofile=profile)
    np.testing.assert_array_equal(load_stack(tmp_path)[0], found)
    for n in range(2):
        Image.fromarray((pixels // 257).astype(np.uint8)).save(tmp_path / f"{n}.png", icc_profile=profile)
    eight = load_stack([tmp_path / "0.png", tmp_path / "1.png"])[0]
    assert np.abs(eight[1:].astype(int) - 31753 / 257).max() <= 1


@pytest.mark.parametrize("name", ["sRGB IEC61966-2.1", "Artifex Software sRGB ICC Profile"])
def test_srgb_as_cameras_and_programs_write_it_changes_nothing(name):
    profile = wide_profile(name=name, xyz=SRGB, table=to_linear(np.linspace(0, 1, 1024)))
    for pixels in (smooth(), smooth(top=65535), smooth() / np.float32(255)):
        assert pixels_to_srgb(pixels, profile) is pixels


def test_other_primaries_are_not_srgb_whatever_they_are_called():
    named, unnamed = (wide_profile(name=name, table=to_linear(np.linspace(0, 1, 1024))) for name in ("sRGB", "wide"))
    pixels = smooth(top=65535)
    found = pixels_to_srgb(pixels, named)
    np.testing.assert_array_equal(found, pixels_to_srgb(pixels, unnamed))
    assert np.abs(found - pixels.astype(int)).max() > 2000
