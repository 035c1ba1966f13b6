"""Training stacks of the NYU protocol: images of any form, blurred on the fly as HybridDepth does."""

from __future__ import annotations

import numpy as np

from dualfocus.datasets.nyu import LENS, MAX_DEPTH_M, MIN_DEPTH_M
from dualfocus.datasets.nyu_forms import open_nyu
from dualfocus.datasets.unpacked import unpacked
from dualfocus.rendering.gathered_stack import WINDOW, planes_over
from dualfocus.stack import FocalStack
from dualfocus.stack.axis import AxisName, FocusAxis
from dualfocus.training.config import SourceConfig
from dualfocus.training.stacks import TrainingStack, draw_square, select
from dualfocus.training.unblurred import SharpStack, blurred

_UNIT_M = 2e-4  # step of the depths kept in memory: 16 bits reach 13 m; deeper pixels are not known anyway
_MOST_KEPT = 1000  # images of 1 MB each: all of the labelled set, but not of BTS's 24 231


class NyuSource:
    """The training images of any form of NYU, or the part of them that `include` and `exclude` leave.

    Focus distances are equally spaced over the true depth range of the whole image, as the test's are, or fixed. Only
    the crop that is asked for is blurred.

    Raises:
        ValueError: no such folder, or no image left.
    """

    def __init__(self, config: SourceConfig, axis: AxisName = "focus") -> None:
        if config.path is None:
            raise ValueError("data source of kind nyu: `path` is missing")
        # any valid number of planes: the stacks are made here, the dataset gives images and depth alone
        self.images = open_nyu(unpacked(config.path), "train", planes=2)
        self.indices = select(self.images.names, config)
        self.distances = None if config.focus_distances is None else np.sort(config.focus_distances)
        self.axis = axis
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """A random square of `crop` pixels of a random image; all fixed distances, or `planes` of its own."""
        return blurred(self.draw_sharp(rng, planes, crop))

    def draw_sharp(self, rng: np.random.Generator, planes: int, crop: int) -> SharpStack:
        """The stack of `draw` before its blur."""
        index = int(rng.choice(self.indices))
        rgb, depth = self._rgbd(index)
        if min(depth.shape) < crop:
            size, name = f"{depth.shape[1]}x{depth.shape[0]}", self.images.names[index]
            raise ValueError(f"NYU image {name}: {size} pixels are smaller than the crop of {crop}")
        known = (depth > MIN_DEPTH_M) & (depth < MAX_DEPTH_M)
        distances = self.distances
        if distances is None:
            distances = planes_over(depth, known, planes, f"NYU image {self.images.names[index]}")
        square = draw_square(rng, depth.shape, crop)
        focus_axis = FocusAxis(FocalStack(np.zeros((len(distances), 1, 1), np.uint8), distances, "m"), self.axis)
        truth = np.where(known, focus_axis.normalise(np.where(known, depth, 1.0)), 0.0)[square]
        radius = np.stack([LENS.blur_radius(_around(depth, square), s) for s in distances.tolist()]).astype(np.float32)
        radius *= _around(np.ones(depth.shape, np.float32), square)
        image = _around(rgb, square)
        return SharpStack(
            image, radius, focus_axis.planes, truth.astype(np.float32), known[square], focus_axis.ratio, WINDOW
        )

    def _rgbd(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and depth in metres; decoded and freed of its steps once."""
        if index not in self._kept:
            rgb, depth = self.images.rgbd(index)
            if len(self._kept) == _MOST_KEPT:
                return rgb, depth
            self._kept[index] = (rgb, np.rint(depth / _UNIT_M).clip(0, 65535).astype(np.uint16))
        rgb, units = self._kept[index]
        return rgb, units * _UNIT_M


def _around(array: np.ndarray, square: tuple[slice, slice]) -> np.ndarray:
    """A square and the pixels around it that can spread into it; 0 outside the picture."""
    margin = WINDOW // 2
    pad, part = [], []
    for side, extent in zip(square, array.shape, strict=False):
        first, last = side.start - margin, side.stop + margin
        part.append(slice(max(0, first), min(extent, last)))
        pad.append((max(0, -first), max(0, last - extent)))
    return np.pad(array[tuple(part)], [*pad, *[(0, 0)] * (array.ndim - 2)])
