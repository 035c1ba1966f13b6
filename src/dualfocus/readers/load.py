"""`load_stack`: from what a user has (a folder, photos, a z-stack, a video, a ZIP, a sidecar) to a `FocalStack`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from dualfocus.readers.archive import File, ZipPath
from dualfocus.readers.distances import FocusDistances, even_steps, normalise_unit, parse_focus
from dualfocus.readers.files import VIDEO_SUFFIXES, check_file, folder_images, is_file, without_raw_twins
from dualfocus.readers.frames import Frame, LazyFrames
from dualfocus.readers.microscope import Geometry
from dualfocus.readers.planes import geometry_of, read_planes
from dualfocus.readers.sidecar import SIDECAR, Sidecar, named_files, read_sidecar
from dualfocus.readers.source import Source, check_once, is_folder, paths_of, places_of
from dualfocus.readers.stated import Stated, choose, conflicts, maker_note_hint, stated_by_files
from dualfocus.remedies import CALIBRATE, FOCUS_EXAMPLE, Answerable, Remedy
from dualfocus.result_mark import is_ours
from dualfocus.stack import FocalStack

_LARGEST_STEP_UM = 1e9
_FAR_M = 50  # no nearest plane is as far: such distances without a unit are rather millimetres


def load_stack(
    source: Source | Sequence[Source],
    *,
    focus: str | Iterable[float] | None = None,
    unit: str | None = None,
    channel: int | None = None,
    time: int | None = None,
    z_step: float | None = None,
    pixel_size: float | None = None,
    frames: int | None = None,
) -> FocalStack:
    """Load a focal stack; files are checked by their headers now and decoded one at a time as `stack[n]`.

    Args:
        source: a folder of images (with or without `stack.json`) or a ZIP of one, a list of image files, a multi-page
            TIFF whose pages are the planes, a video of a focus sweep, or the path of a `stack.json`. The formats are in
            docs/data.md. EXIF orientation is applied, colours are brought to sRGB, transparency is dropped. A folder's
            order is natural (img2 before img10); a list keeps its order.
        focus: focus distances in that order, numbers or text with commas; wins over every other source.
        unit: "m", "mm", "um", "dioptre" or "index" (some aliases are understood); wins over the sidecar's.
        channel: which channel of a microscope's file, counted from 0.
        time: which time point of it, counted from 0.
        z_step: micrometres from plane to plane; in place of `focus`.
        pixel_size: micrometres of the scene to a pixel; wins over the file's.
        frames: how many frames of a video to use.

    Returns:
        The stack. Without `focus` and `z_step` its distances come from the sidecar, the photographs' metadata, the z
        positions in a microscope's file, or the file names; when none states them its unit is "index" and `warnings`
        says so.

    Raises:
        ValueError: one line that names the file or value that is wrong.
    """
    unit, given = parse_distances(focus, unit, z_step)
    paths = paths_of(source)
    label = paths[0] if len(paths) == 1 else paths[0].parent
    places = places_of(paths)
    sidecar = _find_sidecar(places)
    warnings = list(sidecar.warnings) if sidecar else _unread_sidecar(places)
    planes = read_planes(_image_files(places, sidecar, warnings), channel, time, frames, warnings)
    geometry = geometry_of(planes)
    distances: FocusDistances | None
    if z_step is not None:
        distances = even_steps(len(planes), z_step)
    elif given is not None:
        distances = FocusDistances(given, _unit_of_given(unit, sidecar) or "m")
    else:
        distances = _stated(planes, sidecar, unit, geometry, channel or 0, time or 0, warnings)
    try:
        stack = FocalStack(
            LazyFrames(planes),
            distances.values if distances else None,
            distances.unit if distances else unit,
            camera=(sidecar.camera if sidecar else None) or planes[0].camera,
            names=[frame.name for frame in planes],
            order=sidecar.order if sidecar else None,
            ground_truth=_truth(sidecar, distances, warnings),
            aligned=sidecar.aligned if sidecar else None,
            pixel_size_um=geometry.pixel_size_um if pixel_size is None else pixel_size,
        )
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error
    _note_origin(stack, planes, sidecar)
    stack.warnings += warnings + _order_warning(stack)
    if given is not None and _unit_of_given(unit, sidecar) is None:
        stack.warnings += _far_warning(stack)
    if stack.unit == "index":
        stack.warnings += [_unknown_distances(), *maker_note_hint(planes)]
    return stack


def _note_origin(stack: FocalStack, planes: Sequence[Frame], sidecar: Sidecar | None) -> None:
    """Keep with a stack the files it was read from, and what its sidecar says beyond the known keys."""
    stack.extra = sidecar.extra if sidecar else {}
    named = named_files(sidecar) if sidecar else []
    read = dict.fromkeys([*(plane.path for plane in planes), *named])
    stack.files = [path for path in read if isinstance(path, Path)]  # not what is in a ZIP


def _unknown_distances() -> Answerable:
    return Answerable(
        "focus distances are unknown: depth is relative, the position between the planes; give one distance for each "
        f"image with {Remedy('focus')}, such as {FOCUS_EXAMPLE} (metres; other units with {Remedy('unit')}), with "
        f"{Remedy('z-step')}, in stack.json, or two known points with {CALIBRATE}"
    )


def _far_warning(stack: FocalStack) -> list[str]:
    """Asks about distances without a unit, taken as metres, that look like millimetres."""
    distances = stack.focus_distances
    if distances is None or distances.min() <= _FAR_M:
        return []
    nearest, farthest = distances.min(), distances.max()
    return [
        f"focus distances are taken as metres ({nearest:g} to {farthest:g}); if they are millimetres, say "
        f"{Remedy('unit', 'mm')}"
    ]


def parse_distances(focus: Any, unit: str | None, z_step: float | None) -> tuple[str | None, Any]:
    """The unit by its own name and the distances as numbers, as the user gave them."""
    unit = normalise_unit(unit)
    distances = None if focus is None else parse_focus(focus)
    if z_step is not None:
        _check_z_step(z_step, focus, unit)
    return unit, distances


def _check_z_step(z_step: float, focus: Any, unit: str | None) -> None:
    if focus is not None:
        raise ValueError("focus distances and a z step are both given: leave one out")
    if unit not in (None, "um"):
        raise ValueError(f"the z step is in micrometres, so unit {unit!r} does not go with it: leave the unit out")
    if not (isinstance(z_step, Real) and 0 < abs(z_step) < _LARGEST_STEP_UM):
        raise ValueError(
            f"the z step must be a number of micrometres other than zero and below a kilometre, not {z_step!r}"
        )


def _find_sidecar(places: Sequence[File]) -> Sidecar | None:
    if len(places) > 1:
        return None
    place = places[0]
    if is_folder(place):
        beside = place / SIDECAR
        return read_sidecar(beside) if is_file(beside) else None
    return read_sidecar(place) if place.suffix.lower() == ".json" else None


def _unread_sidecar(places: Sequence[File]) -> list[str]:
    beside = places[0].parent / SIDECAR
    if is_folder(places[0]) or not is_file(beside):
        return []
    return [f"{beside} is not read when files are listed; give the folder to use what it says"]


def _image_files(places: Sequence[File], sidecar: Sidecar | None, warnings: list[str]) -> list[File]:
    if sidecar and sidecar.images is not None:
        check_once(sidecar.images)
        return [check_file(path) for path in sidecar.images]
    if sidecar or is_folder(places[0]) and len(places) == 1:
        folder = sidecar.path.parent if sidecar else places[0]
        if isinstance(folder, Path) and is_ours(folder / "result.json"):
            raise ValueError(f"{folder}: holds a result, not photographs; give the folder they are in")
        # other images a sidecar names, such as an all-in-focus picture, are not planes
        named = [name for name in sidecar.extra.values() if isinstance(name, str)] if sidecar else []
        images, said = without_raw_twins(folder_images(folder, named))
        warnings += said
        return [check_file(path) for path in images]
    if len(places) == 1 and places[0].suffix.lower() in VIDEO_SUFFIXES and is_file(places[0]):
        return list(places)
    return [check_file(path) for path in places]


def _unit_of_given(unit: str | None, sidecar: Sidecar | None) -> str | None:
    """The unit of the distances that the user gave: the one given with them, else the sidecar's; None when unsaid."""
    return unit or (sidecar.unit if sidecar and sidecar.unit != "index" else None)


def _stated(
    frames: Sequence[Frame],
    sidecar: Sidecar | None,
    unit: str | None,
    geometry: Geometry,
    channel: int,
    time: int,
    warnings: list[str],
) -> FocusDistances | None:
    """Focus distances the files state: in the sidecar if there is one, else in metadata, else in the names."""
    if unit == "index":
        return None
    if sidecar is None:
        return choose(stated_by_files(frames, geometry, channel, time, warnings), unit, warnings)
    distances = _from_sidecar(sidecar, unit)
    if distances is not None and sidecar.unit not in (None, distances.unit):
        warnings.append(f"{sidecar.path}: its distances are in {sidecar.unit}, and taken in {distances.unit} as told")
    if distances is not None and _is_usable(distances, len(frames)):
        others = stated_by_files(frames, geometry, channel, time, [])
        warnings += conflicts(Stated(distances, SIDECAR), others)
    return distances


def _is_usable(distances: FocusDistances, count: int) -> bool:
    """Whether distances can be compared at all; what is wrong with them is said where the stack is made."""
    values, unit = distances
    if unit == "index" or len(values) != count:
        return False
    return all(math.isfinite(v) and (v > 0 or unit in ("um", "dioptre")) for v in values)


def _from_sidecar(sidecar: Sidecar, unit: str | None) -> FocusDistances | None:
    if sidecar.focus_distances is None:
        if sidecar.unit not in (None, "index") and unit is None:
            raise ValueError(
                f'{sidecar.path}: "unit" is {sidecar.unit!r} but there are no "focus_distances"{_hint(sidecar)}'
            )
        return None
    unit = unit or sidecar.unit
    if unit is None:
        raise ValueError(f'{sidecar.path}: "focus_distances" need a "unit": m, mm, um or dioptre{_hint(sidecar)}')
    return FocusDistances(sidecar.focus_distances, unit)


def _hint(sidecar: Sidecar) -> str:
    """What may be the reason that a key is missing: another that looks misspelt."""
    return f" ({sidecar.warnings[0].removeprefix(f'{sidecar.path}: ')})" if sidecar.warnings else ""


def _truth(sidecar: Sidecar | None, distances: FocusDistances | None, warnings: list[str]) -> Path | None:
    """The sidecar's ground truth, unless the user changed the unit it is in."""
    if sidecar is None or sidecar.ground_truth is None:
        return None
    if isinstance(sidecar.ground_truth, ZipPath):
        warnings.append(f"{sidecar.ground_truth} is not used: unpack the ZIP to use the ground truth in it")
        return None
    if (sidecar.unit or "index") != (distances.unit if distances else "index"):
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
