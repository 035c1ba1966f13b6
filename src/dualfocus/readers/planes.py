"""From files to planes: each by the reader of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from dualfocus.readers import heic, raw
from dualfocus.readers.archive import File
from dualfocus.readers.files import VIDEO_SUFFIXES
from dualfocus.readers.frames import Frame, naming
from dualfocus.readers.microscope import Geometry, read_geometry
from dualfocus.readers.photo import read_photo_header
from dualfocus.readers.tiff import TiffFrame, is_tiff, open_tiff, read_tiff_headers
from dualfocus.readers.video import read_sweep


def read_planes(
    files: Sequence[File], channel: int | None, time: int | None, count: int | None, warnings: list[str]
) -> list[Frame]:
    """The planes of all files, known from their headers.

    Args:
        files: images, one multi-page TIFF, or one video.
        channel: the channel of a microscope's TIFF to read.
        time: the time point of a microscope's TIFF to read.
        count: frames of a video; None leaves it to `read_sweep`.
        warnings: gets a sentence about what could be read only in part.

    Raises:
        ValueError: naming the file or the number that is wrong.
    """
    _check_number("channel", channel)
    _check_number("time point", time)
    kinds = [_kind(path) for path in files]
    if (channel is not None or time is not None) and "tiff" not in kinds:
        raise ValueError(f"{files[0]}: a channel or a time point can be chosen in a TIFF only; leave it out")
    if kinds == ["video"]:
        return list(read_sweep(Path(str(files[0])), count, warnings))
    if count is not None:
        raise ValueError(f"{files[0]}: a number of frames can be chosen in a video only; leave it out")
    frames: list[Frame] = []
    for path, kind in zip(files, kinds, strict=True):
        if kind != "tiff":
            read = {"raw": raw.read_raw_header, "heic": heic.read_heic_header, "photo": read_photo_header}[kind]
            frames.append(read(path))
            continue
        pages = read_tiff_headers(path, alone=len(files) == 1, channel=channel, time=time)
        if len(files) > 1 and len(pages) != 1:
            raise ValueError(f"{path}: holds {len(pages)} pages beside other files; give a multi-page TIFF alone")
        frames.extend(pages)
    return frames


def _check_number(name: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise ValueError(f"the {name} must be a whole number, counted from 0, not {value!r}")


def _kind(path: File) -> str:
    """By the name where only that tells (RAW is TIFF inside), else by how the file starts, whatever it is called."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix in raw.SUFFIXES:
        return "raw"
    with naming(path, "the file cannot be opened"), path.open("rb") as file:
        start = file.read(12)
    return "tiff" if is_tiff(start) else "heic" if heic.is_heic(start) else "photo"


def geometry_of(frames: Sequence[Frame]) -> Geometry:
    """What the microscope's file says that all the planes are in; of single files only the pixel size counts."""
    first = frames[0]
    if not isinstance(first, TiffFrame):
        return Geometry()
    with naming(first.path, "not a TIFF file that can be read"), open_tiff(first.path) as tiff:
        geometry = read_geometry(tiff)
    return geometry if first.multiple else Geometry(pixel_size_um=geometry.pixel_size_um)
