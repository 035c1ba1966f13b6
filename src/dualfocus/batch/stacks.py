"""Which stacks the arguments of `dualfocus predict` are: one, or a batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dualfocus.outputs.files import RESULT_NAMES
from dualfocus.readers.files import VIDEO_SUFFIXES, folder_images, natural_key, why_closed
from dualfocus.readers.sidecar import SIDECAR
from dualfocus.result_mark import BATCH_RECORD, is_ours

_TIFF_SUFFIXES = (".tif", ".tiff")


def find_batch(arguments: Sequence[Path], warnings: list[str] | None = None) -> list[Path] | None:
    """The stacks of a batch, or None where the arguments are one stack.

    A batch is several arguments that are stacks of their own (folders, sidecars, ZIPs, videos, z-stacks), or a folder
    of such stacks. Several photographs are the planes of one stack.

    Args:
        arguments: the paths as they were given.
        warnings: gets a line for each folder in a folder of stacks that cannot be read and is left out.
    """
    said = [] if warnings is None else warnings
    if len(arguments) == 1:
        return _inside(arguments[0], said) or None
    if not all(_is_stack(path) for path in arguments):
        return None
    return [stack for path in arguments for stack in _inside(path, said) or [path]]


def name_stacks(stacks: Sequence[Path], earlier: Mapping[str, str]) -> dict[str, Path]:
    """A folder name for every stack; a stack of an earlier run keeps its own.

    Args:
        stacks: the sources; one that is given twice counts once.
        earlier: name to source (absolute path) of stacks that have a name.
    """
    known = {source: name for name, source in earlier.items()}
    # a folder called like a file of a result would block the place of that file for every later run
    taken = {BATCH_RECORD, *RESULT_NAMES, *(name.casefold() for name in earlier)}
    named = {}
    for real, path in _distinct(stacks).items():
        name = known.get(str(path), known.get(str(real)))
        if name is None:
            name = _free_name(path, taken)
            taken.add(name.casefold())
        named[name] = path
    return named


def _distinct(stacks: Sequence[Path]) -> dict[Path, Path]:
    """Resolved path to absolute path as given: a link names its stack, but two links to one stack are one."""
    found: dict[Path, Path] = {}
    for stack in stacks:
        real = stack.resolve()
        found.setdefault(real, real if ".." in stack.parts else stack.absolute())
    return found


def _free_name(path: Path, taken: set[str]) -> str:
    """The folder's name or the file's without its suffix, with a number where another stack has it."""
    base = path.parent.name if path.name == SIDECAR else path.name if os.path.isdir(path) else path.stem
    base = base.lstrip(".") or "stack"
    number = 1
    while (name := base if number == 1 else f"{base}-{number}").casefold() in taken:
        number += 1
    return name


def _is_stack(path: Path) -> bool:
    """Whether a path is a stack of its own, not a plane of one; so is a folder that does not exist."""
    suffix = path.suffix.lower()
    if os.path.isdir(path) or path.name == SIDECAR or suffix in (".zip", *VIDEO_SUFFIXES):
        return True
    return _is_multipage(path) if suffix in _TIFF_SUFFIXES else not suffix and not os.path.exists(path)


def _inside(folder: Path, warnings: list[str]) -> list[Path]:
    """Stacks in a folder that is not a stack itself, in natural order; none in everything else.

    Only functions of os.path are asked what there is: those of `Path` raise where a folder may not be looked into.
    """
    if not os.path.isdir(folder) or _has_sidecar(folder) or why_closed(folder):
        return []
    images = _images(folder)
    if not all(_is_multipage(path) for path in images):  # the planes of one stack
        return []
    seen = [path for path in folder.iterdir() if not path.name.startswith(".") and _is_stack(path)]
    seen = _natural(path for path in seen if not is_ours(path / "result.json"))  # results of an earlier run
    found = [path for path in seen if not os.path.isdir(path) or _has_sidecar(path) or _images(path)]
    if len(images) == 1 and found == images:  # the folder is that stack
        return []
    for path in seen:
        if path not in found and (reason := why_closed(path)):
            warnings.append(f"{path}: left out, the folder cannot be read ({reason})")
    return found


def _has_sidecar(folder: Path) -> bool:
    return os.path.exists(folder / SIDECAR)


def _images(folder: Path) -> list[Path]:
    try:
        return [path for path in folder_images(folder) if isinstance(path, Path)]
    except ValueError:
        return []


def _natural(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: (natural_key(path.name), path.name))


def _is_multipage(path: Path) -> bool:
    """Whether a file is a stack of its own: several planes, not a photograph with its thumbnail."""
    import tifffile

    from dualfocus.readers.tiff import read_tiff_headers

    if path.suffix.lower() not in _TIFF_SUFFIXES:
        return False
    try:
        return len(read_tiff_headers(path, alone=True)) > 1
    except ValueError:  # a channel has to be chosen, or the file is damaged
        pass
    try:
        with tifffile.TiffFile(path) as tiff:
            return tiff.pages.is_multipage
    except Exception:  # tifffile raises all sorts at a damaged file; as a plane of a stack it is refused by its name
        return False
