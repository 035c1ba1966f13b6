"""ICC colour profiles: pixels as a file states them, brought to sRGB."""

from __future__ import annotations

import functools
import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from dualfocus.srgb import to_display

_ROWS = 256  # converted at once: a large photograph in float would be several times its own size
_STEPS = 65536
# How far a profile that is called sRGB may be from it, of 1: rounded tables are 0.0005 off, a gamma of 2.2 is 0.03.
_CURVE_SLACK, _MATRIX_SLACK = 0.01, 0.02
# sRGB's primaries in the connection space of ICC profiles (XYZ under D50), as its own profile states them.
_SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]], np.float64
)


@functools.lru_cache(maxsize=4)  # the frames of a stack have one profile
def is_srgb(profile: bytes) -> bool:
    """Whether a profile is sRGB, so that nothing has to be done: by its name, unless its curves or matrix differ.

    The name alone does not tell: "GIMP built-in Linear sRGB" has the primaries of sRGB only.
    """
    try:
        named = ImageCms.getProfileDescription(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError):
        return False
    return "srgb" in named.lower() and _maps_like_srgb(profile)


def _maps_like_srgb(profile: bytes) -> bool:
    """Whether tone curves and matrix are sRGB's; of a profile that is a table instead nothing else is known."""
    try:
        curves, matrix = _matrix_profile(profile, 1 if profile[16:20] == b"GRAY" else 3)
    except (struct.error, ValueError, KeyError, IndexError):
        return True
    off = np.abs(to_display(np.clip(curves, 0, 1)) - np.linspace(0, 1, _STEPS)).max()
    return bool(off < _CURVE_SLACK and np.abs(matrix - np.eye(len(matrix))).max() < _MATRIX_SLACK)


def image_to_srgb(image: Image.Image) -> Image.Image:
    """An 8-bit Pillow image in sRGB by its embedded profile; the image itself when it has none that can be used."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile or is_srgb(profile):
        return image
    if image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa", "RGBX", "1"):
        image = image.convert("L" if image.mode in ("LA", "La", "1") else "RGB")
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        found = ImageCms.profileToProfile(image, source, target, renderingIntent=intent, outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):  # damaged, or for another kind of image: the pixels are still good
        return image
    if found is None:
        return image
    return found.convert("L") if image.mode == "L" else found


def pixels_to_srgb(pixels: NDArray[Any], profile: bytes | None) -> NDArray[Any]:
    """(H, W, C) pixels in sRGB, of the same type; unchanged where the profile cannot be used.

    8 bits go through LittleCMS. 16 bits and float, which Pillow cannot convert, go through the tone curves and the
    matrix of the profile; a profile that is a table instead (scanners, printers) is left out.
    """
    if not profile or is_srgb(profile):
        return pixels
    if pixels.dtype == np.uint8:
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
        image.info["icc_profile"] = profile
        found = np.asarray(image_to_srgb(image))
        return found[..., None] if found.ndim == 2 else found
    try:
        curves, matrix = _matrix_profile(profile, pixels.shape[2])
    except (struct.error, ValueError, KeyError, IndexError):
        return pixels
    converted = np.empty_like(pixels)
    for top in range(0, len(pixels), _ROWS):
        rows = slice(top, top + _ROWS)
        converted[rows] = _convert(pixels[rows], curves, matrix)
    return converted


def _convert(pixels: NDArray[Any], curves: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[Any]:
    top = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    steps = np.clip(pixels / top * (_STEPS - 1) + 0.5, 0, _STEPS - 1).astype(np.uint16)
    linear = np.stack([curve[steps[..., c]] for c, curve in enumerate(curves)], axis=-1)
    linear = np.clip(linear @ matrix.T.astype(np.float32) if len(curves) == 3 else linear, 0, 1)
    encoded = to_display(linear)
    return encoded.astype(pixels.dtype) if top == 1.0 else np.round(encoded * top).astype(pixels.dtype)


def _matrix_profile(profile: bytes, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Tone curves (C, 65536) and the matrix from the profile's linear RGB to that of sRGB."""
    (count,) = struct.unpack_from(">I", profile, 128)
    tags = {}
    for n in range(min(count, 100)):
        name, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * n)
        tags[name] = profile[start : start + size]
    if channels == 1:
        return _curve(tags[b"kTRC"])[None], np.eye(3)
    columns = [np.array(struct.unpack_from(">3i", tags[name], 8)) / 65536 for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    curves = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
    return curves, np.asarray(np.linalg.solve(_SRGB_TO_XYZ, np.stack(columns, axis=1)), np.float64)


def _curve(tag: bytes) -> NDArray[np.float32]:
    """A `curv` or `para` tag (ICC.1:2022, 10.6 and 10.18) at 65536 steps of [0, 1]."""
    x = np.linspace(0, 1, _STEPS)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x.astype(np.float32)
        values = np.frombuffer(tag, ">u2", count, 12).astype(np.float64)
        table = x ** (values[0] / 256) if count == 1 else np.interp(x, np.linspace(0, 1, count), values / 65535)
        return table.astype(np.float32)
    if tag[:4] != b"para":
        raise ValueError("another kind of tone curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    given = np.array(struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)) / 65536
    g, a, b, c, d, e, f = {
        0: lambda v: (v[0], 1, 0, 0, -1, 0, 0),
        1: lambda v: (*v, 0, -v[2] / v[1], 0, 0),
        2: lambda v: (*v[:3], 0, -v[2] / v[1], v[3], v[3]),
        3: lambda v: (*v, 0, 0),
        4: lambda v: tuple(v),
    }[kind](given)
    curved = np.clip(a * x + b, 0, None) ** g + e
    return np.where(x >= d, curved, c * x + f).astype(np.float32)
