"""A result as files in a folder, written as a whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus import __version__
from dualfocus.atomic import remove_leftovers, temporary_name
from dualfocus.outputs.codes import encode_depth
from dualfocus.outputs.colour import colour_picture
from dualfocus.outputs.formats import FORMATS, check_formats, write_formats
from dualfocus.outputs.result import DepthResult
from dualfocus.remedies import Remedy
from dualfocus.result_mark import BATCH_RECORD, MARK, is_ours
from dualfocus.stack import FocalStack

RESULT_FILES = (
    "depth.npy",
    "depth.png",
    "depth_color.png",
    "confidence.png",
    "valid.png",
    "all_in_focus.png",
    "result.json",
)

RESULT_NAMES = frozenset((*RESULT_FILES, *FORMATS.values()))  # what is only written on request, too
_ENCODERS = 2  # pictures compressed at once: the largest takes as long as all others
_LONGEST_WRITING_S = 24 * 3600  # what is older is of a writer that was killed
_WRITE_AMONG = Remedy(
    "overwrite",
    python="overwrite=True to write among them",
    command="--overwrite to write among them (in Python, overwrite=True)",
)
_LITTER = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))  # what a file manager leaves in a folder it has shown


def check_output(folder: str | Path, overwrite: bool = False) -> None:
    """Find out whether a result can be written to a folder, before anything is computed; leaves nothing behind.

    Raises:
        ValueError: a file is in the way, the folder holds files that are not ours (without `overwrite`), or it cannot
            be written.
    """
    with plain_errors(folder):
        target = real_path(folder)
        ancestor = _nearest_existing(target)
        if not ancestor.is_dir():
            shown = folder if ancestor == target else ancestor
            raise ValueError(f"cannot write to {folder}: {shown} is a file, not a folder; choose another output folder")
        if target.is_dir():
            _check_contents(target, folder, overwrite)
        for place in {ancestor, _staging_place(target) if target.is_dir() else ancestor}:
            probe = place / temporary_name(target)
            probe.mkdir()
            probe.rmdir()


def _check_contents(target: Path, given: str | Path, overwrite: bool) -> None:
    """Refuse an existing folder (ValueError that shows it as it was given) for what is in it."""
    blocked = sorted(name for name in RESULT_NAMES if (target / name).is_dir())
    if blocked:
        raise ValueError(f"cannot write to {given}: {blocked[0]} in it is a folder; choose another output folder")
    foreign = foreign_names(target)
    if not foreign or overwrite:
        return
    if is_ours(target / BATCH_RECORD):
        raise ValueError(f"{given} holds the results of several stacks: choose another output folder for one")
    more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
    raise ValueError(
        f"{given} holds files that are not an earlier result ({foreign[0]}{more}): "
        f"choose another output folder, or say {_WRITE_AMONG}"
    )


def write_result(
    result: DepthResult,
    folder: str | Path,
    overwrite: bool = False,
    also: Collection[str] = (),
    fov: float | None = None,
    stack: FocalStack | None = None,
) -> Path:
    """Write a result to a folder; see `DepthResult.save`.

    The files are made in a temporary folder beside it, which then takes its place. Where other files are kept
    (`overwrite`), or the folder itself cannot be moved, ours are replaced one by one instead.
    """
    folder = Path(folder)
    check_formats(also, result.unit, result.pixel_size_um, fov)
    check_output(folder, overwrite)
    target = real_path(folder)
    with plain_errors(folder), _made_parents(target):
        staging = _staging_place(target) / temporary_name(target)
        remove_leftovers(staging.with_name(target.name), _LONGEST_WRITING_S)
        try:
            staging.mkdir()
            _write_files(result, staging, also, fov, stack)
            _put_in_place(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


def remove_result(folder: Path) -> None:
    """Remove an earlier result, and the folder when nothing else is in it."""
    if not folder.is_dir() or not is_ours(folder / "result.json"):
        return
    for name in RESULT_NAMES:
        (folder / name).unlink(missing_ok=True)
    if {path.name for path in folder.iterdir()} <= _LITTER:
        shutil.rmtree(folder)


def _write_files(
    result: DepthResult, folder: Path, also: Collection[str], fov: float | None, stack: FocalStack | None
) -> None:
    depth_png, scale, offset = encode_depth(result.depth, result.valid)
    confidence = np.where(result.valid, np.nan_to_num(result.confidence), 0)
    np.save(folder / "depth.npy", np.asarray(result.depth, np.float32))
    pictures: dict[str, Callable[[], NDArray[Any]]] = {
        "all_in_focus.png": lambda: result.all_in_focus,
        "depth.png": lambda: depth_png,
        "depth_color.png": lambda: colour_picture(result),
        "confidence.png": lambda: np.round(255 * np.clip(confidence, 0, 1)).astype(np.uint8),
        "valid.png": lambda: np.where(result.valid, np.uint8(255), np.uint8(0)),
    }
    with ThreadPoolExecutor(_ENCODERS) as threads:
        list(threads.map(lambda name: _write_png(folder / name, pictures[name]()), pictures))
    record = _record(result, scale, offset)
    record.update(write_formats(result, folder, also, fov, stack))
    text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False)
    # A file name in a warning may hold bytes that are no text: JSON knows their escapes.
    (folder / "result.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _record(result: DepthResult, scale: float, offset: float) -> dict[str, Any]:
    height, width = result.depth.shape
    finite = result.depth[result.valid & np.isfinite(result.depth)]
    distances = None if result.focus_distances is None else np.asarray(result.focus_distances, np.float64).tolist()
    return {
        MARK: __version__,
        "model": result.model,
        "precision": result.precision,
        "width": width,
        "height": height,
        "unit": result.unit,
        "depth_png": {"scale": scale, "offset": offset, "invalid": 0, "formula": "depth = offset + scale * value"},
        "confidence_png": {"scale": 1 / 255},
        "depth_range": [float(finite.min()), float(finite.max())] if finite.size else None,
        "valid_fraction": float(result.valid.mean()),
        "images": list(result.images),
        "order": result.order,
        "focus_distances": distances,
        "focus_unit": None if distances is None else result.focus_unit or result.unit,
        "alignment": result.alignment,
        "calibration": result.calibration,
        "timings": {name: round(float(seconds), 4) for name, seconds in result.timings.items()},
        "warnings": list(result.warnings),
    }


def _write_png(path: Path, image: NDArray[Any]) -> None:
    # Through bytes: cv2.imwrite cannot take every file name on Windows, and only reports failure by its return value.
    done, data = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)
    if not done:
        raise ValueError(
            f"{path.name}: an image of shape {image.shape} and type {image.dtype} cannot be written as PNG"
        )
    path.write_bytes(data.tobytes())


def _put_in_place(staging: Path, folder: Path) -> None:
    if not folder.exists():
        staging.rename(folder)
        return
    if foreign_names(folder) or folder == Path.cwd() or not _swap(staging, folder):
        _replace_files(staging, folder)


def _swap(staging: Path, folder: Path) -> bool:
    """Let the staging folder take the place of the folder; False when that one cannot be moved (e.g. a mount point)."""
    old = folder.parent / temporary_name(folder)
    shutil.copymode(folder, staging)
    try:
        folder.rename(old)
    except OSError:
        return False
    try:
        staging.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return True


def _replace_files(staging: Path, folder: Path) -> None:
    if is_ours(folder / "result.json"):  # else what has our names may be the user's own
        for name in RESULT_NAMES - {path.name for path in staging.iterdir()}:
            (folder / name).unlink(missing_ok=True)
    for path in staging.iterdir():
        path.replace(folder / path.name)


def foreign_names(folder: Path) -> list[str]:
    """Names in a folder that are not an earlier result of ours."""
    ours = RESULT_NAMES | _LITTER if is_ours(folder / "result.json") else _LITTER
    return sorted(path.name for path in folder.iterdir() if path.name not in ours or not path.is_file())


def real_path(folder: str | Path) -> Path:
    """Where an output folder really is: made once, so that nothing depends on what a link or a `..` leads to later."""
    return Path(os.path.realpath(folder))


def _staging_place(target: Path) -> Path:
    # Beside the real folder, so that a move stays on one disk. Inside it where only the folder itself may be written
    # (a mounted one).
    return target if target.is_dir() and not os.access(target.parent, os.W_OK) else target.parent


def _nearest_existing(target: Path) -> Path:
    return next(path for path in (target, *target.parents) if path.exists() or path.is_symlink())


@contextlib.contextmanager
def _made_parents(target: Path) -> Iterator[None]:
    """Make the folders above; take those that were made away again when the block fails."""
    missing = [path for path in target.parents if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
        yield
    except BaseException:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


@contextlib.contextmanager
def plain_errors(folder: str | Path) -> Iterator[None]:
    """Turn an error of the file system into one line about the output folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"cannot write to {folder}: {reason}; choose another output folder") from error
