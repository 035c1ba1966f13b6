"""What a microscope's TIFF says of its geometry: z positions and pixel size, from OME-XML and from ImageJ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import tifffile

from dualfocus.readers.distances import normalise_unit

_IN_MICROMETRES = {
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "m": 1e6,
    "cm": 1e4,
    "mm": 1e3,
    "nm": 1e-3,
    "pm": 1e-6,
    "Å": 1e-4,
    "inch": 25400.0,
}


@dataclass(frozen=True)
class Geometry:
    """What is stated; None where nothing is.

    Attributes:
        z_step_um: distance between planes.
        positions_um: the stage position of each plane of the z axis, by (channel, time).
        pixel_size_um: side of a pixel.
    """

    z_step_um: float | None = None
    positions_um: dict[tuple[int, int], dict[int, float]] | None = None
    pixel_size_um: float | None = None

    def positions(self, count: int, channel: int, time: int) -> list[float] | None:
        """The stated z positions of `count` planes, or None."""
        known = (self.positions_um or {}).get((channel, time), {})
        return [known[n] for n in range(count)] if set(known) == set(range(count)) else None


def _known_unit(unit: str) -> str:
    """A unit as people write it by its symbol; only whole words in any case: Mm is not mm."""
    unit = unit.strip()
    try:
        return unit if len(unit) < 3 else normalise_unit(unit) or unit
    except ValueError:
        return unit


def read_geometry(tiff: tifffile.TiffFile) -> Geometry:
    """Geometry from a file's OME-XML or ImageJ metadata; empty when it has none."""
    if tiff.is_ome:
        pixels = next(_elements(tiff, "Pixels"), None)
        return Geometry() if pixels is None else _from_ome(tiff, pixels)
    if not tiff.is_imagej:
        return Geometry()
    metadata = tiff.imagej_metadata or {}
    unit = _known_unit(str(metadata.get("unit", "")).replace("\\u00B5", "µ"))
    return Geometry(_length(metadata.get("spacing"), unit), None, _imagej_pixel_size(tiff.pages[0], unit))


def channel_names(tiff: tifffile.TiffFile) -> list[str]:
    """The names of the channels in OME-XML, as far as they have one."""
    return [name for name in (element.get("Name") for element in _elements(tiff, "Channel")) if name]


def unused_bits(tiff: tifffile.TiffFile) -> int:
    """The upper bits of 16-bit samples that OME-XML says a camera of fewer bits left empty; 0 when it does not say."""
    stated = next((_integer(pixels.get("SignificantBits")) for pixels in _elements(tiff, "Pixels")), None)
    return 16 - stated if stated is not None and 8 <= stated < 16 and tiff.pages[0].dtype == "uint16" else 0


def _from_ome(tiff: tifffile.TiffFile, pixels: ElementTree.Element) -> Geometry:
    positions: dict[tuple[int, int], dict[int, float]] = {}
    for plane in _elements(tiff, "Plane"):
        c, t, z = (_integer(plane.get(name)) for name in ("TheC", "TheT", "TheZ"))
        at = _length(plane.get("PositionZ"), plane.get("PositionZUnit", ""), zero=True)
        if at is not None and c is not None and t is not None and z is not None:
            positions.setdefault((c, t), {})[z] = at
    step, size = (
        _length(pixels.get(name), pixels.get(f"{name}Unit", "µm")) for name in ("PhysicalSizeZ", "PhysicalSizeX")
    )
    return Geometry(step, positions or None, size)


def _elements(tiff: tifffile.TiffFile, name: str) -> Iterator[ElementTree.Element]:
    """The elements of this name of the first image, whatever the version of the schema."""
    try:
        root = ElementTree.fromstring(tiff.ome_metadata or "")
    except (ElementTree.ParseError, ValueError):
        return
    images = [element for element in root.iter() if _local(element.tag) == "Image"]
    for element in images[0].iter() if images else ():
        if _local(element.tag) == name:
            yield element


def _local(tag: Any) -> str:
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _imagej_pixel_size(page: Any, unit: str) -> float | None:
    """ImageJ keeps pixels per unit where other TIFFs keep dots per inch."""
    top, bottom = page.tags.valueof("XResolution", (0, 0))
    return _length(bottom / top, unit) if top else None


def _length(value: Any, unit: str, zero: bool = False) -> float | None:
    """A length in micrometres; None when it is no number, has another unit, or is 0 where that means unknown."""
    try:
        length = float(value) * _IN_MICROMETRES[unit]
    except (TypeError, ValueError, KeyError):
        return None
    return length if math.isfinite(length) and (zero or length != 0) else None


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None
