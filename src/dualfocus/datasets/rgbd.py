"""A folder of photographs with dense depth: `rgb/NAME.jpg` beside `depth/NAME.npy` or `depth/NAME.png`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.datasets.files import DAMAGED

_IMAGES = (".jpg", ".jpeg", ".png", ".webp")
_DEPTH = (".npy", ".png")  # in metres, and 16-bit millimetres; where there are both the first counts


def rgbd_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Pictures and their depth, by name.

    Raises:
        ValueError: a missing folder, no pictures, two of one name, or a picture without depth.
    """
    pictures = folder / "rgb"
    if not pictures.is_dir() or not (folder / "depth").is_dir():
        raise ValueError(f"{folder}: RGB-D data needs the folders rgb and depth in it")
    images = _files(pictures, _IMAGES)
    if not images:
        raise ValueError(f"{pictures}: no .jpg, .png or .webp pictures")
    names = [path.stem for path in images]
    twice = next((image for image, name in zip(images, names, strict=True) if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice}: another picture has this name, and both would have one depth; rename one")
    depth = {path.stem: path for path in reversed(depth_maps(folder))}
    return [(image, _depth_of(image, depth)) for image in images]


def depth_maps(folder: Path) -> list[Path]:
    """The files of depth, those that count first."""
    return sorted(_files(folder / "depth", _DEPTH), key=lambda path: _DEPTH.index(path.suffix.lower()))


def read_depth(path: Path) -> NDArray[np.float32]:
    """Depth in metres, (H, W) float32, anything not finite and positive being unknown (ValueError naming the file)."""
    try:
        if path.suffix.lower() == ".npy":
            depth, scale = np.load(path, allow_pickle=False), 1.0
        else:
            with Image.open(path) as opened:
                depth, scale = np.array(opened), 1e-3
    except (*DAMAGED, ValueError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read as depth ({error})") from None
    if depth.ndim != 2 or depth.dtype.kind not in "iuf" or depth.dtype == np.uint8:
        raise ValueError(f"{path}: depth must be (H, W) metres in .npy or 16-bit millimetres in .png, one channel")
    return depth.astype(np.float32) * np.float32(scale)


def _depth_of(image: Path, depth: dict[str, Path]) -> Path:
    if image.stem not in depth:
        raise ValueError(f"{image}: no depth/{image.stem}.npy or depth/{image.stem}.png beside it")
    return depth[image.stem]


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """By name, without hidden ones, such as those that macOS puts beside every file on other disks."""
    there = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in there if path.suffix.lower() in suffixes)
