"""NYU Depth v2 with focal stacks rendered as HybridDepth does, whatever form the RGB-D images have on disk.

The small form, JPEG with 8-bit depth, is in `nyu_labelled`, the forms with full depth in `nyu_bts` and `nyu_mat`;
`open_nyu` tells them apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.sample import Sample
from dualfocus.rendering.gathered_stack import Lens, planes_over, render_gather_stack
from dualfocus.stack import Camera, FocalStack

LENS = Lens(focal_length=0.050, f_number=8.0, pixel_pitch=12e-6)
MIN_DEPTH_M, MAX_DEPTH_M = 0.001, 10.0
HEIGHT, WIDTH = 480, 640
CROP_HEIGHT, CROP_WIDTH = 384, 512
SPLITS = {"train": 795, "test": 654}

_CAMERA = Camera(
    "thin lens", focal_length_mm=50, f_number=LENS.f_number, sensor_width_mm=CROP_WIDTH * LENS.pixel_pitch * 1e3
)


class NyuImages(ABC):
    """RGB-D images of one split of NYU, in any form, as focal stacks.

    Args:
        root: file or folder of the data.
        split: "train" or "test".
        planes: number of focus distances, equally spaced in metres between the smallest and the largest valid depth
            of each image. This tells the network the true depth range of the image, as HybridDepth's protocol does.
        focus_distances: fixed distances in metres for every image instead, which tell nothing.

    Raises:
        ValueError: an unknown split, or not exactly one of planes / focus_distances.
    """

    names: list[str]

    def __init__(
        self,
        root: str | Path,
        split: str = "test",
        *,
        planes: int | None = None,
        focus_distances: Sequence[float] | None = None,
    ) -> None:
        if (planes is None) == (focus_distances is None):
            raise ValueError("give either planes (per-image range) or focus_distances (fixed)")
        if planes is not None and planes < 2:
            raise ValueError(f"planes must be at least 2, not {planes}")
        if split not in SPLITS:
            raise ValueError(f"{root}: no split {split!r}; use {' or '.join(SPLITS)}")
        self.root = Path(root)
        self.split = split
        self._planes = planes
        self._distances = np.asarray([] if focus_distances is None else focus_distances, np.float64)
        self.names = self._open()

    def __len__(self) -> int:
        """Number of images of the split."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Render the focal stack of image `index`: float32, near to far, 384 x 512."""
        name = self.names[index]
        rgb, depth = self.rgbd(index)
        mask = (depth > MIN_DEPTH_M) & (depth < MAX_DEPTH_M)
        if self._planes is None:
            distances = self._distances
        else:
            distances = planes_over(depth, mask, self._planes, f"{self.root}: {name}")
        images = render_gather_stack(rgb, depth, distances, LENS)
        return Sample(name, FocalStack(images, distances, "m", _CAMERA), depth.astype(np.float32), mask, rgb)

    @abstractmethod
    def _open(self) -> list[str]:
        """Look at what is in `root`; returns the names of the split's images."""

    @abstractmethod
    def rgbd(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The (384, 512, 3) uint8 image and its (384, 512) depth in metres, 0 in holes, before any blur."""


def centre_crop(array: NDArray[Any]) -> NDArray[Any]:
    """The middle 384 x 512 (rows 48-431 and columns 64-575 of 480 x 640)."""
    top, left = (array.shape[0] - CROP_HEIGHT) // 2, (array.shape[1] - CROP_WIDTH) // 2
    return np.ascontiguousarray(array[top : top + CROP_HEIGHT, left : left + CROP_WIDTH])
