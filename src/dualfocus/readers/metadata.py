"""What photographs say of themselves: focus distance and camera, from EXIF, XMP and maker notes."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from PIL import Image

from dualfocus.stack import Camera

# What ExifRead logs of a damaged file has no place on the command line.
logging.getLogger("exifread").addHandler(logging.NullHandler())

EXIF, XMP, MAKER_NOTE = "the EXIF subject distance", "the XMP focus distance", "the maker notes"
SOURCES = (EXIF, XMP, MAKER_NOTE)  # the first that every frame has is used

_MODEL, _EXIF_IFD = 0x0110, 0x8769
_SUBJECT_DISTANCE, _FOCAL_LENGTH, _F_NUMBER, _FOCAL_LENGTH_35 = 0x9206, 0x920A, 0x829D, 0xA405
_MAKER_NOTE = 0x927C
_EXIF_INFINITY = 0xFFFFFFFF
_FILM_WIDTH_MM = 36.0

# Element or attribute of XMP that states a focus distance in metres. Lightroom and Adobe's converters write the first,
# Google's camera the last (beside a depth map in metres).
_XMP_NAMES = ("aux:ApproximateFocusDistance", "exif:SubjectDistance", "GFocus:FocalDistance")


def load_exif(image: Image.Image, file: BinaryIO) -> Image.Exif:
    """EXIF data without decoding, which Pillow's own getexif() would do to a PNG that has none before its pixels."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif") or (_png_exif(file) if image.format == "PNG" else b""))
    except Exception:  # damaged metadata must not keep good pixels from being used
        return Image.Exif()
    return exif


def _png_exif(file: BinaryIO) -> bytes:
    """The eXIf chunk of a PNG, which may stand behind the pixels; empty where there is none."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            return file.read(length)
        file.seek(length + 4, 1)  # over the checksum, too
    return b""


def exif_details(exif: Image.Exif) -> dict[int, Any]:
    """The EXIF block proper, by tag."""
    try:
        return dict(exif.get_ifd(_EXIF_IFD))
    except Exception:  # as above
        return {}


def has_maker_note(details: Mapping[int, Any]) -> bool:
    """Whether there is a maker note to read."""
    return bool(details.get(_MAKER_NOTE))


def from_exif(details: Mapping[int, Any]) -> dict[str, float]:
    """SubjectDistance in metres, where it is stated."""
    stated = details.get(_SUBJECT_DISTANCE)
    distance = number(stated)
    if distance is None:
        return {}
    is_infinite = max(distance, number(getattr(stated, "numerator", None)) or 0) >= _EXIF_INFINITY
    return {EXIF: math.inf if is_infinite else distance}


def from_xmp(xmp: Any) -> dict[str, float]:
    """A focus distance in an XMP packet, in metres.

    The packet is searched, not parsed: it may be damaged, and only a number is wanted.
    """
    text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else xmp if isinstance(xmp, str) else ""
    for name in _XMP_NAMES:
        match = re.search(rf"\b{name}\s*(?:=\s*[\"']|>)\s*(\d+(?:\.\d+)?)(?:\s*/\s*(\d+))?\s*[\"'<]", text)
        if match is None:
            continue
        top, bottom = float(match[1]), float(match[2] or 1)
        distance = math.inf if bottom == 0 or top >= _EXIF_INFINITY else top / bottom
        if top > 0 and distance > 0:
            return {XMP: distance}
    return {}


def from_maker_note(tags: Mapping[str, Any]) -> dict[str, float]:
    """The focus distance in a maker note that ExifRead knows (Canon, Casio, Nikon), in metres, from its tags.

    Canon counts centimetres, with 65535 for infinity, Casio millimetres, Nikon metres.
    """
    readings: tuple[tuple[str, Callable[[float], float]], ...] = (
        ("MakerNote SubjectDistance", lambda value: math.inf if value >= 65535 else value / 100),
        ("MakerNote Object Distance", lambda value: value / 1000),
        ("MakerNote ManualFocusDistance", lambda value: value),
    )
    for name, in_metres in readings:
        value = number(tag_value(tags, name))
        if value is not None:
            return {MAKER_NOTE: in_metres(value)}
    return {}


def read_tags(stream: BinaryIO) -> dict[str, Any]:
    """All tags of a photograph by ExifRead, by its names such as "EXIF FNumber"; none when it is not installed."""
    try:
        import exifread
    except ModuleNotFoundError:
        return {}
    try:
        return dict(exifread.process_file(stream, details=True, extract_thumbnail=False))
    except Exception:  # damaged metadata, in any of the many ways a parser of nested offsets can fail
        return {}


def tag_value(tags: Mapping[str, Any], name: str) -> Any:
    """The single value of a tag of ExifRead; None when it has none."""
    values = getattr(tags.get(name), "values", None)
    return values[0] if isinstance(values, (list, tuple)) and values else values


def from_tags(tags: Mapping[str, Any]) -> dict[int, Any]:
    """Tags of ExifRead as `exif_details` has them."""
    names = {
        _SUBJECT_DISTANCE: "EXIF SubjectDistance",
        _FOCAL_LENGTH: "EXIF FocalLength",
        _F_NUMBER: "EXIF FNumber",
        _FOCAL_LENGTH_35: "EXIF FocalLengthIn35mmFilm",
    }
    return {tag: tag_value(tags, name) for tag, name in names.items()}


def number(value: Any) -> float | None:
    """A number that is stated (above zero), else None."""
    try:
        found = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return found if found > 0 else None


def read_camera(model: Any, details: Mapping[int, Any]) -> Camera | None:
    """Camera from EXIF; the width of the sensor, its longer side, follows from the 35 mm equivalent."""
    focal_length, f_number, equivalent = (
        value if value is not None and math.isfinite(value) else None
        for value in (number(details.get(tag)) for tag in (_FOCAL_LENGTH, _F_NUMBER, _FOCAL_LENGTH_35))
    )
    model = model.strip("\0 ") or None if isinstance(model, str) else None
    if model is None and focal_length is None and f_number is None:
        return None
    sensor_width = _FILM_WIDTH_MM * focal_length / equivalent if focal_length and equivalent else None
    try:
        return Camera(model, focal_length, f_number, sensor_width)
    except ValueError:  # numbers no camera has
        return None


def exif_model(exif: Image.Exif) -> Any:
    """The camera's name."""
    return exif.get(_MODEL)
