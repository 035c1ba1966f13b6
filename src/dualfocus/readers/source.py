"""What a user gives as a source, as paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dualfocus.messages import one_line
from dualfocus.readers.archive import File, ZipPath, is_zip, zip_folder
from dualfocus.readers.files import SUFFIXES
from dualfocus.readers.sidecar import SIDECAR

_WANTED = "give a folder, two or more images, a multi-page TIFF, a video, a ZIP or a stack.json"
_LONGEST = 80  # characters of a value that is shown

Source = str | os.PathLike[str]


def paths_of(source: Any) -> list[Path]:
    """The source as paths, each given once: a plane that is there twice would be as sharp as itself everywhere.

    Raises:
        ValueError: what is no path or list of paths, such as images in memory; an empty path or list; a file given
            twice.
    """
    item = source
    try:
        if isinstance(source, (str, os.PathLike)):
            return [_path(source)]
        paths = []
        for item in source:
            paths.append(_path(item))
    except TypeError as error:
        raise ValueError(_what_it_is(source, item)) from error
    if not paths:
        raise ValueError(f"no files were given: {_WANTED}")
    check_once(paths)
    return paths


def _what_it_is(source: Any, item: Any) -> str:
    """The line on a source of which this item is no path."""
    for found in (source, item):
        if getattr(found, "ndim", 0) >= 2:
            shape = " x ".join(map(str, found.shape))
            return f"an array of {shape} is no file: images in memory make a stack by FocalStack(images)"
    shown = one_line(repr(item))
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    return f"{shown} is not a path or a list of paths: {_WANTED}"


def _path(given: Any) -> Path:
    """A path; an empty one would be the current folder, which nobody meant."""
    if isinstance(given, str) and not given:
        raise ValueError("the path of the stack is empty: give one, or . for the current folder")
    return Path(given)


def places_of(paths: list[Path]) -> list[File]:
    """The paths; a ZIP alone stands for the folder in it."""
    if len(paths) == 1 and is_zip(paths[0]):
        return [zip_folder(paths[0], SIDECAR, SUFFIXES)]
    return list(paths)


def check_once(paths: Sequence[File]) -> None:
    """ValueError naming a file that is given twice."""
    seen = set()
    for path in paths:
        real = os.path.realpath(path) if isinstance(path, Path) else str(path)
        if real in seen:
            raise ValueError(f"{path}: this file is given twice; give every image of the stack once")
        seen.add(real)


def is_folder(place: File) -> bool:
    """Whether a place is a folder, or the one in a ZIP."""
    return isinstance(place, ZipPath) or os.path.isdir(place)  # unlike Path.is_dir, False for a name that is too long
