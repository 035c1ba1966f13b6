"""The sidecar `stack.json`: what its writer says of a focal stack."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dualfocus.readers.archive import File
from dualfocus.readers.distances import normalise_unit
from dualfocus.readers.files import is_file
from dualfocus.stack import ORDERS, Camera

SIDECAR = "stack.json"
_LARGEST = 1e300  # whole numbers of JSON have no limit
_KEYS = (
    "images",
    "focus_distances",
    "unit",
    "order",
    "camera",
    "aligned",
    "ground_truth",
    "source",
    "licence",
    "notes",
)
_CAMERA_KEYS = tuple(entry.name for entry in fields(Camera))


@dataclass
class Sidecar:
    """A checked `stack.json`; a key that is missing or null is None.

    Attributes:
        path: the file itself.
        images: the planes, as paths.
        focus_distances: one number for each image, in `unit`.
        unit: m, mm, um, dioptre or index.
        order: near_to_far or far_to_near.
        camera: what is known of the camera.
        aligned: whether the frames are registered.
        ground_truth: path of a .npy that exists.
        extra: all other keys, as they are.
        warnings: keys that look misspelt.
    """

    path: File
    images: list[File] | None = None
    focus_distances: list[float] | None = None
    unit: str | None = None
    order: str | None = None
    camera: Camera | None = None
    aligned: bool | None = None
    ground_truth: File | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_sidecar(path: File) -> Sidecar:
    """Read and check a `stack.json` (ValueError naming the file and the key)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: the file cannot be read ({error.strerror})") from error
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(data, dict):
        raise ValueError(f'{path}: must be a JSON object such as {{"images": [...], "focus_distances": [...]}}')
    try:
        return _check(path, data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def named_files(sidecar: Sidecar) -> list[Path]:
    """Files beside the planes that a sidecar names: its ground truth, and pictures such as an all-in-focus one."""
    named = [sidecar.path.parent / name for name in sidecar.extra.values() if isinstance(name, str)]
    return [file for file in (sidecar.ground_truth, *named) if isinstance(file, Path) and is_file(file)]


def _check(path: File, data: dict[str, Any]) -> Sidecar:
    sidecar = Sidecar(path)
    sidecar.images = _images(path.parent, data.get("images"))
    sidecar.focus_distances = _numbers(data.get("focus_distances"))
    sidecar.unit = _unit(data.get("unit"))
    sidecar.order = data.get("order")
    if sidecar.order is not None and sidecar.order not in ORDERS:
        raise ValueError(f'"order" must be {", ".join(ORDERS)} or null, not {sidecar.order!r}')
    sidecar.aligned = data.get("aligned")
    if sidecar.aligned is not None and not isinstance(sidecar.aligned, bool):
        raise ValueError(f'"aligned" must be true, false or null, not {sidecar.aligned!r}')
    sidecar.ground_truth = _truth(path.parent, data.get("ground_truth"))
    sidecar.extra = {key: value for key, value in data.items() if key not in _KEYS[:7]}
    sidecar.warnings = _misspelt(path, data, _KEYS)
    camera = data.get("camera")
    if camera is not None:
        if not isinstance(camera, dict):
            raise ValueError(f'"camera" must be an object with {", ".join(_CAMERA_KEYS)}, not {camera!r}')
        sidecar.camera = Camera(**{key: value for key, value in camera.items() if key in _CAMERA_KEYS})
        sidecar.warnings += _misspelt(path, camera, _CAMERA_KEYS)
    return sidecar


def _images(folder: File, images: Any) -> list[File] | None:
    if images is None:
        return None
    if not isinstance(images, list) or not images or not all(isinstance(name, str) and name for name in images):
        raise ValueError('"images" must be a list of file names')
    missing = [name for name in images if not is_file(folder / name)]
    if missing:
        raise ValueError(f'"images" names {missing[0]!r}, which is not there')
    return [folder / name for name in images]


def _numbers(values: Any) -> list[float] | None:
    if values is None:
        return None
    if not isinstance(values, list):
        raise ValueError('"focus_distances" must be a list of numbers or null')
    for value in values:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ValueError(f'"focus_distances" must be numbers, not {value!r}')
        if abs(value) > _LARGEST:
            raise ValueError('"focus_distances" holds a number that is too large')
    return values


def _unit(unit: Any) -> str | None:
    if unit is not None and not isinstance(unit, str):
        raise ValueError(f'"unit" must be text or null, not {unit!r}')
    return normalise_unit(unit)


def _truth(folder: File, name: Any) -> File | None:
    if name is None:
        return None
    if not isinstance(name, str):
        raise ValueError(f'"ground_truth" must be the name of a .npy file or null, not {name!r}')
    if not name.endswith(".npy") or not is_file(folder / name):
        raise ValueError(f'"ground_truth" names {name!r}, which is not a .npy file that is there')
    return folder / name


def _misspelt(path: File, data: dict[str, Any], known: tuple[str, ...]) -> list[str]:
    """A warning for each unknown key that is close to a known one which is not there."""
    absent = [key for key in known if key not in data]
    found = []
    for key in data:
        close = difflib.get_close_matches(key.lower(), absent, n=1, cutoff=0.8) if key not in known else []
        if close:
            found.append(f'{path}: the key "{key}" is ignored; did you mean "{close[0]}"?')
    return found
