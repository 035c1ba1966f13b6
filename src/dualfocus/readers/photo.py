"""One photo file (JPEG, PNG, WebP, BMP): its header, its EXIF data and its pixels."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.readers.frames import naming, open_image, orient, oriented_size
from dualfocus.stack import Camera

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")  # JPEG includes what phones write with a second picture inside
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_MODES_8_BIT = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
_ORIENTATION, _MODEL, _EXIF_IFD = 0x0112, 0x0110, 0x8769
_SUBJECT_DISTANCE, _FOCAL_LENGTH, _F_NUMBER, _FOCAL_LENGTH_35 = 0x9206, 0x920A, 0x829D, 0xA405
_EXIF_INFINITY = 0xFFFFFFFF
_FILM_WIDTH_MM = 36.0


@dataclass(frozen=True)
class PhotoFrame:
    """A photo file known from its header.

    Attributes:
        path: the file.
        size: (H, W) upright.
        dtype: uint8, or uint16 for a 16-bit PNG.
        orientation: EXIF orientation, 1 to 8.
        subject_distance: EXIF SubjectDistance in metres, inf for infinity, None when not stated.
        camera: what EXIF says of the camera, or None.
    """

    path: Path
    size: tuple[int, int]
    dtype: np.dtype[Any]
    orientation: int
    subject_distance: float | None
    camera: Camera | None

    @property
    def name(self) -> str:
        """The file name."""
        return self.path.name

    def decode(self) -> NDArray[Any]:
        """Upright pixels, (H, W, 1) or (H, W, 3); transparency is dropped."""
        with naming(self.path, "the image is damaged or cut off; copy or export it again"):
            pixels = _decode_png_16(self.path) if self.dtype == np.uint16 else _decode_8_bit(self.path)
        return orient(pixels, self.orientation)


def read_photo_header(path: Path) -> PhotoFrame:
    """Read size, type and EXIF data without decoding (ValueError naming the file when it is no image)."""
    with naming(path, "not an image that can be read; is it damaged, or another kind of file?"):
        with path.open("rb") as file:
            start = file.read(26)
        with open_image(path, _FORMATS) as image:
            exif = _exif(image)
            width, height = image.size
            mode = image.mode
    is_png_16 = start.startswith(_PNG_MAGIC) and start[24:25] == b"\x10"  # IHDR: bits per sample
    if not is_png_16 and mode not in _MODES_8_BIT:
        raise ValueError(f"{path}: images of kind {mode!r} are not supported; save it with 8 or 16 bits")
    orientation = exif.get(_ORIENTATION, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    size = oriented_size(height, width, orientation)
    details = _details(exif)
    return PhotoFrame(
        path,
        size,
        np.dtype(np.uint16 if is_png_16 else np.uint8),
        orientation,
        _subject_distance(details),
        _camera(exif, details, landscape=size == (height, width) and width >= height),
    )


def _decode_8_bit(path: Path) -> NDArray[np.uint8]:
    with open_image(path, _FORMATS) as image:
        if image.mode in ("1", "L", "LA", "La"):
            return np.asarray(image.convert("L"))[..., None]
        if image.mode in ("P", "PA"):  # a transparent palette colour must go through RGBA
            return np.asarray(image.convert("RGBA").convert("RGB"))
        return np.asarray(image.convert("RGB"))


def _decode_png_16(path: Path) -> NDArray[Any]:
    """Pillow brings 16-bit colour down to 8, so OpenCV decodes; reading bytes first keeps any path name working."""
    data = path.read_bytes()
    with open_image(io.BytesIO(data), _FORMATS) as image:
        image.verify()  # checksums and the end mark: OpenCV would return a partly decoded image
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("cannot be decoded")
    return pixels[..., None] if pixels.ndim == 2 else pixels[..., 2::-1]


def _exif(image: Image.Image) -> Image.Exif:
    """EXIF data from the header alone: Pillow's own getexif() would decode a PNG that has none."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
    except Exception:  # damaged metadata must not keep good pixels from being used
        return Image.Exif()
    return exif


def _details(exif: Image.Exif) -> dict[int, Any]:
    try:
        return dict(exif.get_ifd(_EXIF_IFD))
    except Exception:  # as above
        return {}


def _number(value: Any) -> float | None:
    """An EXIF number that is stated (above zero), else None."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if number > 0 else None


def _subject_distance(details: dict[int, Any]) -> float | None:
    distance = _number(details.get(_SUBJECT_DISTANCE))
    return math.inf if distance is not None and distance >= _EXIF_INFINITY else distance


def _camera(exif: Image.Exif, details: dict[int, Any], landscape: bool) -> Camera | None:
    """Camera from EXIF; the sensor width follows from the 35 mm equivalent when the long side is the width."""
    focal_length, f_number, equivalent = (
        value if value is not None and math.isfinite(value) else None
        for value in (_number(details.get(tag)) for tag in (_FOCAL_LENGTH, _F_NUMBER, _FOCAL_LENGTH_35))
    )
    model = exif.get(_MODEL)
    model = model.strip("\0 ") or None if isinstance(model, str) else None
    if model is None and focal_length is None and f_number is None:
        return None
    known_width = landscape and focal_length is not None and equivalent is not None
    sensor_width = _FILM_WIDTH_MM * focal_length / equivalent if known_width and focal_length and equivalent else None
    return Camera(model, focal_length, f_number, sensor_width)
