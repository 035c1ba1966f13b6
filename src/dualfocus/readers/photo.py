"""One photo file (JPEG, PNG, WebP, BMP, AVIF): its header, its metadata and its pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import features

from dualfocus.readers import metadata
from dualfocus.readers.archive import File
from dualfocus.readers.frames import naming, open_image, orient, oriented_size, silence
from dualfocus.readers.profile import image_to_srgb, pixels_to_srgb
from dualfocus.stack import Camera

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")  # JPEG includes what phones write with a second picture inside
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_MODES_8_BIT = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class PhotoFrame:
    """A photo file known from its header.

    Attributes:
        path: the file.
        size: (H, W) upright.
        dtype: uint8, or uint16 for a 16-bit PNG.
        orientation: EXIF orientation, 1 to 8.
        distances: focus distances in metres by source; see `metadata.SOURCES`.
        camera: what EXIF says of the camera, or None.
        has_maker_note: whether a maker note is there, known or not.
    """

    path: File
    size: tuple[int, int]
    dtype: np.dtype[Any]
    orientation: int = 1
    distances: Mapping[str, float] = field(default_factory=dict)
    camera: Camera | None = None
    has_maker_note: bool = False

    @property
    def name(self) -> str:
        """The file name."""
        return self.path.name

    def decode(self) -> NDArray[Any]:
        """Upright sRGB pixels, (H, W, 1) or (H, W, 3); transparency is dropped."""
        with naming(self.path, "the image is damaged or cut off; copy or export it again"):
            pixels = _decode_png_16(self.path) if self.dtype == np.uint16 else _decode_8_bit(self.path)
            return orient(pixels, self.orientation)


def read_photo_header(path: File) -> PhotoFrame:
    """Read size, type and metadata without decoding (ValueError naming the file when it is no image)."""
    with (
        naming(path, "not an image that can be read; is it damaged, or another kind of file?"),
        path.open("rb") as file,
    ):
        start = file.read(26)
        file.seek(0)
        if start[4:12] in (b"ftypavif", b"ftypavis") and not features.check("avif"):
            raise ValueError(f"{path}: AVIF needs Pillow 11.3 or newer: pip install -U pillow")
        with open_image(file, _formats()) as image:
            exif = metadata.load_exif(image, file)
            width, height = image.size
            mode, xmp = image.mode, image.info.get("xmp")
        details = metadata.exif_details(exif)
        has_maker_note = metadata.has_maker_note(details)
        file.seek(0)
        noted = metadata.from_maker_note(metadata.read_tags(file)) if has_maker_note else {}
    is_png_16 = start.startswith(_PNG_MAGIC) and start[24:25] == b"\x10"  # IHDR: bits per sample
    if not is_png_16 and mode not in _MODES_8_BIT:
        raise ValueError(f"{path}: images of kind {mode!r} are not supported; save it with 8 or 16 bits")
    orientation = exif.get(_ORIENTATION, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    size = oriented_size(height, width, orientation)
    return PhotoFrame(
        path,
        size,
        np.dtype(np.uint16 if is_png_16 else np.uint8),
        orientation,
        distances={**metadata.from_exif(details), **metadata.from_xmp(xmp), **noted},
        camera=metadata.read_camera(metadata.exif_model(exif), details),
        has_maker_note=has_maker_note,
    )


def _formats() -> tuple[str, ...]:
    return (*_FORMATS, "AVIF") if features.check("avif") else _FORMATS


def _decode_8_bit(path: File) -> NDArray[np.uint8]:
    with path.open("rb") as file, open_image(file, _formats()) as opened:
        opened.load()  # some formats know their profile only now
        image = image_to_srgb(opened)
        if image.mode in ("1", "L", "LA", "La"):
            return np.asarray(image.convert("L"))[..., None]
        if image.mode in ("P", "PA"):  # a transparent palette colour must go through RGBA
            return np.asarray(image.convert("RGBA").convert("RGB"))
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _decode_png_16(path: File) -> NDArray[Any]:
    """Pillow brings 16-bit colour down to 8, so OpenCV decodes; reading bytes first keeps any path name working."""
    data = path.read_bytes()
    with open_image(io.BytesIO(data), _FORMATS) as image:
        profile = image.info.get("icc_profile")
        image.verify()  # checksums and the end mark: OpenCV would return a partly decoded image
    with silence():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("cannot be decoded")
    return pixels_to_srgb(pixels[..., None] if pixels.ndim == 2 else pixels[..., 2::-1], profile)
