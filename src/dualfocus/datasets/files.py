"""Reading the files of datasets, with errors of one line that name the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dualfocus.readers.frames import silence

DAMAGED = (OSError, UnidentifiedImageError, SyntaxError)  # what Pillow raises of a file that is no good image


def missing(path: Path) -> str:
    """What is said of a file that should be there."""
    return f"{path}: missing, so the data set is incomplete"


def below(folder: str | Path, pattern: str) -> Iterator[Path]:
    """Files and folders below a folder whose names match a glob pattern, also behind links to other disks.

    `Path.rglob` passes links to folders by. A folder that several links lead to is searched once, so that a link back
    to where it lies ends there.
    """
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()  # of several links the same one counts on every machine
        yield from (Path(parent, name) for name in (*folders, *files) if fnmatchcase(name, pattern))


def read_image(path: Path, mode: str | None = None) -> NDArray[Any]:
    """An image as an array (ValueError naming the file).

    Args:
        path: the file.
        mode: of Pillow, to convert to; None keeps grey values and colours, without palette and transparency.
    """
    try:
        with Image.open(path) as image:
            wanted = mode or ("RGB" if image.mode in ("P", "RGBA", "CMYK") else None)
            if wanted == "RGB" and image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip at 255
                return np.repeat((np.array(image) >> 8).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
            return np.array(image.convert(wanted) if wanted else image)
    except FileNotFoundError:
        raise ValueError(missing(path)) from None
    except DAMAGED as error:
        raise ValueError(f"{path}: cannot be read as an image ({error})") from None


def read_millimetres(path: Path) -> NDArray[np.float64]:
    """A 16-bit depth image in millimetres as (H, W) metres, 0 in holes (ValueError naming the file)."""
    level = read_image(path)
    if level.ndim != 2 or level.dtype.kind not in "iu" or level.dtype.itemsize == 1:
        raise ValueError(f"{path}: must be a 16-bit depth image of one channel in millimetres")
    return level.astype(np.float64) / 1000


def read_exr(path: Path) -> NDArray[np.float32]:
    """The channel R of an EXR image, or its only one, as (H, W) (ValueError naming the file)."""
    import OpenEXR

    try:  # of a damaged file it prints on both streams
        with silence(), redirect_stdout(None), OpenEXR.File(str(path), separate_channels=True) as file:
            channels = file.channels()
            name = "R" if len(channels) > 1 else next(iter(channels))
            return np.asarray(channels[name].pixels, np.float32)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as an EXR image with a channel R ({error})") from None


def read_array(path: Path) -> NDArray[Any]:
    """A depth map from a .npy file, (H, W) of numbers (ValueError naming the file)."""
    try:
        values = np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read as a .npy array ({error})") from None
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: is {values.shape} {values.dtype}, not a map of numbers")
    return values


def known_depth(depth: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Depth in metres and where it counts, as FOSSA masks it: finite, from 0.01 to 1000 m; 0 elsewhere."""
    values = depth.astype(np.float32)
    mask = (values >= 0.01) & (values <= 1000)
    return np.where(mask, values, 0), mask
