"""`load_stack`: from what a user has (a folder, photos, a TIFF, a sidecar) to a `FocalStack`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dualfocus.readers import sidecar as sidecars
from dualfocus.readers.distances import Found, convert, from_exif, from_names, normalise_unit, parse_focus
from dualfocus.readers.files import check_file, folder_images
from dualfocus.readers.frames import Frame, LazyFrames
from dualfocus.readers.photo import PhotoFrame, read_photo_header
from dualfocus.readers.sidecar import Sidecar, read_sidecar
from dualfocus.readers.tiff import TiffFrame, is_tiff, read_tiff_headers, z_spacing_um
from dualfocus.stack import FocalStack

_RELATIVE = (
    "focus distances are unknown: depth is relative, the position between the planes; give one distance for each image "
    "with --focus, such as --focus 0.3,0.5,1 (metres; other units with --unit), or in stack.json"
)

Source = str | os.PathLike[str]


def load_stack(
    source: Source | Sequence[Source], *, focus: str | Iterable[float] | None = None, unit: str | None = None
) -> FocalStack:
    """Load a focal stack; files are checked by their headers now and decoded one at a time as `stack[n]`.

    Args:
        source: a folder of images (with or without `stack.json`), a list of image files, a multi-page TIFF whose pages
            are the planes, or the path of a `stack.json`. JPEG, PNG, WebP, BMP and TIFF, 8 or 16 bits or float in
            [0, 1], grey or colour; EXIF orientation is applied, transparency dropped. A folder's order is natural
            (img2 before img10); a list keeps its order.
        focus: focus distances in that order, numbers or text with commas; wins over every other source.
        unit: "m", "mm", "um", "dioptre" or "index" (some aliases are understood); wins over the sidecar's.

    Returns:
        The stack. Without `focus` its distances come from the sidecar, the EXIF data, the z spacing of a microscope's
        TIFF, or the file names; when none states them its unit is "index" and `warnings` says so.

    Raises:
        ValueError: one line that names the file or value that is wrong.
    """
    unit = normalise_unit(unit)
    distances = None if focus is None else parse_focus(focus)
    paths = _paths(source)
    label = paths[0] if len(paths) == 1 else paths[0].parent
    sidecar = _find_sidecar(paths)
    frames = _frames(_image_files(paths, sidecar))
    lazy = LazyFrames(frames)
    warnings = list(sidecar.warnings) if sidecar else _unread_sidecar(paths)
    found: Found | None = None
    if distances is None:
        found = _stated(frames, sidecar, unit, warnings)
    else:
        stated = sidecar.unit if sidecar and sidecar.unit != "index" else None
        found = distances, unit or stated or "m"
    try:
        stack = FocalStack(
            lazy,
            found[0] if found else None,
            found[1] if found else unit,
            camera=(sidecar.camera if sidecar else None) or getattr(frames[0], "camera", None),
            names=[frame.name for frame in frames],
            order=sidecar.order if sidecar else None,
            ground_truth=_truth(sidecar, found, warnings),
            aligned=sidecar.aligned if sidecar else None,
        )
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error
    stack.extra = sidecar.extra if sidecar else {}
    stack.warnings += warnings + _order_warning(stack) + ([_RELATIVE] if stack.unit == "index" else [])
    return stack


def _paths(source: Any) -> list[Path]:
    """The source as paths, each given once: a plane that is there twice would be as sharp as itself everywhere."""
    wanted = "give a folder, two or more images, a multi-page TIFF or a stack.json"
    try:
        paths = [Path(source)] if isinstance(source, (str, os.PathLike)) else [Path(item) for item in source]
    except TypeError as error:
        raise ValueError(f"{source!r} is not a path or a list of paths: {wanted}") from error
    if not paths:
        raise ValueError(f"no files were given: {wanted}")
    _check_once(paths)
    return paths


def _check_once(paths: Sequence[Path]) -> None:
    seen = set()
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            raise ValueError(f"{path}: this file is given twice; give every image of the stack once")
        seen.add(real)


def _find_sidecar(paths: Sequence[Path]) -> Sidecar | None:
    if len(paths) > 1:
        return None
    path = paths[0]
    if os.path.isdir(path):  # unlike Path.is_dir, False for a name that is too long
        beside = path / sidecars.NAME
        return read_sidecar(beside) if beside.is_file() else None
    return read_sidecar(path) if path.suffix.lower() == ".json" else None


def _unread_sidecar(paths: Sequence[Path]) -> list[str]:
    beside = paths[0].parent / sidecars.NAME
    if os.path.isdir(paths[0]) or not beside.is_file():
        return []
    return [f"{beside} is not read when files are listed; give the folder to use what it says"]


def _image_files(paths: Sequence[Path], sidecar: Sidecar | None) -> list[Path]:
    if sidecar and sidecar.images is not None:
        _check_once(sidecar.images)
        return [check_file(path) for path in sidecar.images]
    if sidecar:  # other images it names, such as an all-in-focus picture, are not planes
        return folder_images(sidecar.path.parent, [name for name in sidecar.extra.values() if isinstance(name, str)])
    if len(paths) == 1 and os.path.isdir(paths[0]):
        return folder_images(paths[0])
    return [check_file(path) for path in paths]


def _frames(files: Sequence[Path]) -> list[Frame]:
    frames: list[Frame] = []
    for path in files:
        if not is_tiff(path):
            frames.append(read_photo_header(path))
            continue
        pages = read_tiff_headers(path, alone=len(files) == 1)
        if len(files) > 1 and len(pages) != 1:
            raise ValueError(f"{path}: holds {len(pages)} pages beside other files; give a multi-page TIFF alone")
        frames.extend(pages)
    return frames


def _stated(frames: Sequence[Frame], sidecar: Sidecar | None, unit: str | None, warnings: list[str]) -> Found | None:
    """Focus distances the files state: in the sidecar if there is one, else in metadata, else in the names."""
    if unit == "index":
        return None
    if sidecar:
        return _from_sidecar(sidecar, unit)
    photos = [frame for frame in frames if isinstance(frame, PhotoFrame)]
    found = from_exif([photo.subject_distance for photo in photos]) if len(photos) == len(frames) else None
    if found is None and isinstance(frames[0], TiffFrame) and frames[0].multiple:
        spacing = z_spacing_um(frames[0].path)
        found = None if spacing is None else ([n * spacing for n in range(len(frames))], "um")
    if found is not None:
        return convert(found, unit)
    found = from_names([frame.path.stem for frame in frames])
    if found is None:
        return None
    found = convert(found, unit)
    text = ", ".join(f"{value:g}" for value in found[0][:4]) + (", ..." if len(found[0]) > 4 else "")
    warnings.append(f"focus distances are read from the file names: {text} {found[1]}; --focus overrides them")
    return found


def _from_sidecar(sidecar: Sidecar, unit: str | None) -> Found | None:
    if sidecar.focus_distances is None:
        if sidecar.unit not in (None, "index") and unit is None:
            raise ValueError(
                f'{sidecar.path}: "unit" is {sidecar.unit!r} but there are no "focus_distances"{_hint(sidecar)}'
            )
        return None
    unit = unit or sidecar.unit
    if unit is None:
        raise ValueError(f'{sidecar.path}: "focus_distances" need a "unit": m, mm, um or dioptre{_hint(sidecar)}')
    return sidecar.focus_distances, unit


def _hint(sidecar: Sidecar) -> str:
    """What may be the reason that a key is missing: another that looks misspelt."""
    return f" ({sidecar.warnings[0].removeprefix(f'{sidecar.path}: ')})" if sidecar.warnings else ""


def _truth(sidecar: Sidecar | None, found: Found | None, warnings: list[str]) -> Path | None:
    """The sidecar's ground truth, unless the user changed the unit it is in."""
    if sidecar is None or sidecar.ground_truth is None:
        return None
    if (sidecar.unit or "index") != (found[1] if found else "index"):
        warnings.append(f"{sidecar.ground_truth} is not used: it is in the unit of {sidecar.path.name}")
        return None
    return sidecar.ground_truth


def _order_warning(stack: FocalStack) -> list[str]:
    if stack.order is None or stack.focus_distances is None:
        return []
    ranks = stack.near_to_far.tolist()
    if (ranks.index(0) < ranks.index(len(stack) - 1)) == (stack.order == "near_to_far"):
        return []
    return [f"the stack is said to be {stack.order} but its focus distances are not; the distances are used"]
