"""Stacks that no depth can be told from: planes of nothing but noise, and planes that are one picture.

Two planes of one scene have details in common, however blurred; noise has none. And they are different pictures: where
they are one, what is in focus cannot be told.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.inference.resizing import shrink, working_size
from dualfocus.outputs import DepthResult
from dualfocus.remedies import Remedy
from dualfocus.stack import FocalStack

_PIXELS = 1_000_000  # most pixels of a plane that are looked at
_SCALES = (1, 2, 4, 8, 16)  # coarse detail may be seen where noise hides the fine one, or blur takes it away
_TILE = 32  # side in pixels of the parts that are compared
_LEAST = 8  # least side in pixels of a reduced picture: with fewer, noise is alike by chance
_ALIKE = 0.6  # least correlation of details: noise reaches 0.47, scenes under strong noise have 0.9 and more
_DETAIL = 1e-4  # least detail as a part of the brightness: less is rounding
_REGISTER = Remedy("align", "auto", python="dualfocus.align", command="--align auto; in Python dualfocus.align")

Map = NDArray[np.float32]


class StackChecks:
    """Both checks of a stack, made on planes that are read for something else."""

    def __init__(self) -> None:
        self._shared, self._repetition = SharedDetail(), Repetition()

    def add(self, n: int, plane: NDArray) -> None:
        """Take in plane n, (H, W, 3) uint8, uint16 or float; all of them, near to far."""
        self._shared.add(plane)
        self._repetition.add(n, plane)

    def apply(self, result: DepthResult, stack: FocalStack) -> None:
        """Say in the result of `stack` what is wrong with it; nothing is valid where no depth can be told at all."""
        if not self._shared.found:
            result.valid[:] = False
            result.warnings.append(
                "the planes have no detail in common: they show nothing but noise, or are not registered "
                f"({_REGISTER}); no depth is valid"
            )
        if self._repetition.one_picture:
            result.valid[:] = False
        if self._repetition.repeats:
            names = [stack.names[int(stack.near_to_far[n])] for n in self._repetition.repeats]
            result.warnings.append(_repeated(names, self._repetition.one_picture))


def _repeated(names: Sequence[str], all_planes: bool) -> str:
    """What is wrong with planes that show the picture of another one."""
    if all_planes:
        return "all planes are the same picture: nothing tells depth, and none is valid"
    which = f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more are"
    return f"{which} the same picture as another plane: no depth can be told between such planes"


class SharedDetail:
    """Looks for a part of the picture whose details two neighbouring planes have in common.

    Attributes:
        most: largest correlation of such details so far, at most 1; 0 where there are none.
    """

    def __init__(self) -> None:
        self.most = 0.0
        self._before: list[Map] = []

    @property
    def found(self) -> bool:
        """Whether there is anything in the planes so far."""
        return self.most >= _ALIKE

    def add(self, plane: NDArray) -> None:
        """Take in the next plane, (H, W, 3) uint8, uint16 or float, near to far; tiny ones are not doubted."""
        if self.found:
            return
        if min(plane.shape[:2]) < _LEAST:
            self.most = 1.0
            return
        details = _details(plane)
        for one, other in zip(self._before, details, strict=False):  # before the first plane there is none
            self.most = max(self.most, float(_correlation(one, other).max()))
        self._before = details


class Repetition:
    """Notes which planes show the same picture as one before them.

    Attributes:
        repeats: the numbers of those planes.
    """

    def __init__(self) -> None:
        self.repeats: list[int] = []
        self._seen: set[int] = set()

    @property
    def one_picture(self) -> bool:
        """Whether all planes so far, two or more, are one picture."""
        return len(self._seen) == 1 and bool(self.repeats)

    def add(self, n: int, plane: NDArray) -> None:
        """Take in plane n, (H, W, 3) of any type."""
        key = _checksum(plane)
        if key in self._seen:
            self.repeats.append(n)
        self._seen.add(key)


def _checksum(plane: NDArray) -> int:
    """Checksum of a few hundred rows: that costs next to nothing, and noise tells photographs apart."""
    return zlib.crc32(np.ascontiguousarray(plane[:: max(1, len(plane) // 256)]).tobytes())


def _details(plane: NDArray) -> list[Map]:
    """Laplacians of the grey image at every scale, in parts of its brightness."""
    small = shrink(plane, working_size((plane.shape[0], plane.shape[1]), _PIXELS))
    grey: Map = small.astype(np.float32).mean(axis=2)
    grey /= max(float(grey.mean()), 1e-6)
    sizes = [(grey.shape[0] // scale, grey.shape[1] // scale) for scale in _SCALES]
    reduced = [shrink(grey, size) for size in sizes if min(size) >= _LEAST]
    return [np.asarray(cv2.Laplacian(image, cv2.CV_32F), np.float32) for image in reduced]


def _correlation(one: Map, other: Map) -> Map:
    """Correlation of two maps of details, tile by tile; 0 where either has none."""
    size = tuple(max(1, side // _TILE) for side in one.shape)
    product, first, second = (shrink(a * b, size) for a, b in ((one, other), (one, one), (other, other)))
    detailed = np.minimum(first, second) > _DETAIL**2
    return np.divide(product, np.sqrt(first * second), out=np.zeros_like(product), where=detailed)
