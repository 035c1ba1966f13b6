"""Whether a stack shows anything: two planes of one scene have details in common, however blurred, noise has none.

And they are different pictures: where they are one, what is in focus cannot be told.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.inference.resizing import shrink, working_size

_PIXELS = 1_000_000  # of a plane, at most
_SCALES = (1, 2, 4, 8, 16)  # where noise hides what is fine, and blur takes it away, what is coarse may still be seen
_TILE = 32  # pixels of a side of the parts that are compared
_LEAST = 8  # of the sides of a reduced picture: with fewer pixels noise is alike by chance
_ALIKE = 0.6  # noise reaches 0.47, scenes under strong noise have 0.9 and more
_DETAIL = 1e-4  # of the brightness: less is no detail but rounding

Map = NDArray[np.float32]


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
    """Of a few hundred rows, which costs next to nothing and tells photographs apart by their noise."""
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
    """Of two maps of details, tile by tile; 0 where either has none."""
    size = tuple(max(1, side // _TILE) for side in one.shape)
    product, first, second = (shrink(a * b, size) for a, b in ((one, other), (one, one), (other, other)))
    detailed = np.minimum(first, second) > _DETAIL**2
    return np.divide(product, np.sqrt(first * second), out=np.zeros_like(product), where=detailed)
