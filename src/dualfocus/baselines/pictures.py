"""Pictures with dense depth to train single-image networks on."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.files import read_image
from dualfocus.datasets.nyu import MAX_DEPTH_M, MIN_DEPTH_M
from dualfocus.datasets.nyu_forms import open_nyu
from dualfocus.datasets.rgbd import read_depth, rgbd_pairs
from dualfocus.datasets.unpacked import unpacked
from dualfocus.pixels import pick_pixels


class Pictures(Protocol):
    """Pictures by index, each with depth in metres, 0 where unknown."""

    names: list[str]

    def rgbd(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """(H, W, 3) uint8 and (H, W)."""
        ...


class RgbdFolder:
    """`rgb/NAME.jpg` beside `depth/NAME.npy` (metres) or `.png` (16-bit millimetres).

    Raises:
        ValueError: a missing folder, no pictures, or a picture without depth.
    """

    def __init__(self, folder: Path) -> None:
        self._pairs = rgbd_pairs(folder)
        self.names = [image.stem for image, _ in self._pairs]

    def rgbd(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """See `Pictures`."""
        image, depth = read_image(self._pairs[index][0], "RGB"), read_depth(self._pairs[index][1])
        return image, np.where(np.isfinite(depth), depth, 0).astype(np.float64)


def open_pictures(path: Path, kind: str) -> Pictures:
    """The training images of NYU in any of its forms or in a pack ("nyu"), or a folder with rgb and depth ("rgbd")."""
    if kind == "rgbd":
        return RgbdFolder(path)
    return open_nyu(unpacked(path), "train", planes=2)  # of the stacks it could make, nothing is used


def shrunk(picture: NDArray[np.uint8], depth: NDArray[np.float64], size: tuple[int, int]) -> tuple[NDArray, NDArray]:
    """Both at `size`: colours averaged, depth picked, because it must not be averaged across edges.

    Returns:
        (h, w, 3) uint8 and (h, w) float32 metres, 0 where unknown or not between `MIN_DEPTH_M` and `MAX_DEPTH_M`.
    """
    picked = pick_pixels(depth, size).astype(np.float32)
    known = (picked > MIN_DEPTH_M) & (picked < MAX_DEPTH_M)
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.where(known, picked, 0)
