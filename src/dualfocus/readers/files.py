"""Which files of a folder or of a ZIP are planes, and in which order."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path

from dualfocus.readers import heic, raw
from dualfocus.readers.archive import File, ZipPath

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
_PLAIN_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")
SUFFIXES = (*_PLAIN_SUFFIXES, *heic.SUFFIXES, *raw.SUFFIXES)


def natural_key(name: str) -> list[str | int]:
    """Sort key that puts img2 before img10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if n % 2 else part for n, part in enumerate(parts)]


def folder_images(folder: File, skip: Collection[str] = ()) -> list[File]:
    """Images directly in a folder in natural order, without hidden files and the names in `skip`.

    Links to images that are not there are among them: without a plane, those behind it would be counted one too low.

    Raises:
        ValueError: the folder cannot be read or holds no image.
    """
    try:
        named = [path for path in folder.iterdir() if _is_image_name(path) and path.name not in skip]
        found = [path for path in named if path.is_file() or leads_nowhere(path)]
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{folder}: the folder cannot be read ({getattr(error, 'strerror', error)})") from error
    if not found:
        raise ValueError(f"{folder}: no images in this folder{_elsewhere(folder)}")
    return sorted(found, key=lambda path: (natural_key(path.name), path.name))


def why_closed(folder: Path) -> str | None:
    """Why a folder cannot be looked into; None when it can. A search would find nothing there, as if it were empty."""
    try:
        next(folder.iterdir(), None)
        (folder / "any").is_file()  # a folder may let its names be read, and not what they stand for
    except OSError as error:
        return error.strerror or str(error)
    return None


def without_raw_twins(images: Sequence[File]) -> tuple[list[File], list[str]]:
    """Images without the RAW files that lie beside a developed one of the same name, and a warning that says so."""
    developed = {path.stem for path in images if path.suffix.lower() not in raw.SUFFIXES}
    kept = [path for path in images if path.suffix.lower() not in raw.SUFFIXES or path.stem not in developed]
    left_out = [path.name for path in images if path not in kept]
    if not left_out:
        return kept, []
    more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
    return kept, [f"{left_out[0]}{more} not used: the photographs are there as other files of the same name"]


def check_file(path: File) -> File:
    """The path itself when it is an existing file of a supported kind (else ValueError)."""
    if isinstance(path, Path):
        if leads_nowhere(path):
            raise ValueError(f"{path}: a link to a file that is not there; bring the file back, or remove the link")
        if not os.path.exists(path):  # unlike Path.exists, also False for a name that is too long
            raise ValueError(f"{path}: no such file or folder, or no permission to see it")
        if path.is_dir():
            raise ValueError(f"{path}: a folder among the files; give the folder alone or list its images")
    if path.suffix.lower() in (*VIDEO_SUFFIXES, ".zip"):
        raise ValueError(f"{path}: a video or a ZIP is a stack of its own; give it alone")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: not a supported image file; convert it to one of {', '.join(SUFFIXES)}")
    return path


def leads_nowhere(path: File) -> bool:
    """Whether this is a link to what is not there."""
    return isinstance(path, Path) and os.path.islink(path) and not os.path.exists(path)


def is_file(path: File) -> bool:
    """Whether there is such a file; False for a name that no file can have."""
    return path.is_file() if isinstance(path, ZipPath) else os.path.isfile(path)


def _elsewhere(folder: File) -> str:
    """The end of the line on a folder without images: its sub-folders that have some, else which files would be."""
    inner = [] if isinstance(folder, ZipPath) else [path for path in folder.iterdir() if _is_seen_folder(path)]
    inner.sort(key=lambda path: natural_key(path.name))
    holding = [path for path in inner if _holds_images(path)]
    if len(holding) == 1:
        return f", but in its sub-folder {holding[0].name}: give {holding[0]}"
    if holding:
        names = ", ".join(path.name for path in holding[:3]) + (", ..." if len(holding) > 3 else "")
        return f", but in its sub-folders {names}: give one of them"
    closed = [path.name for path in inner if _holds_images(path) is None]
    if closed:
        return f", and its sub-folder {closed[0]} cannot be read; allow it if they are there"
    return f"; supported are {', '.join(SUFFIXES)}"


def _is_seen_folder(path: Path) -> bool:
    return not path.name.startswith(".") and os.path.isdir(path)


def _holds_images(folder: Path) -> bool | None:
    """Whether there are images in a folder; None when that is not ours to see."""
    try:
        return any(map(_is_image_name, folder.iterdir()))
    except OSError:
        return None


def _is_image_name(path: File) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
