"""Which files of a folder are planes, and in which order."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def natural_key(name: str) -> list[str | int]:
    """Sort key that puts img2 before img10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if n % 2 else part for n, part in enumerate(parts)]


def folder_images(folder: Path, skip: Collection[str] = ()) -> list[Path]:
    """Images directly in a folder in natural order, without hidden files and the names in `skip`.

    Raises:
        ValueError: the folder cannot be read or holds no image.
    """
    try:
        found = [path for path in folder.iterdir() if _is_image_name(path) and path.name not in skip and path.is_file()]
    except OSError as error:
        raise ValueError(f"{folder}: the folder cannot be read ({error.strerror})") from error
    if not found:
        raise ValueError(f"{folder}: no images in this folder; supported are {', '.join(SUFFIXES)}")
    return sorted(found, key=lambda path: (natural_key(path.name), path.name))


def check_file(path: Path) -> Path:
    """The path itself when it is an existing file of a supported kind (else ValueError)."""
    if not os.path.exists(path):  # unlike Path.exists, also False for a name that is too long
        raise ValueError(f"{path}: no such file or folder, or no permission to see it")
    if path.is_dir():
        raise ValueError(f"{path}: a folder among the files; give the folder alone or list its images")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: not a supported image file; convert it to one of {', '.join(SUFFIXES)}")
    return path


def _is_image_name(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
