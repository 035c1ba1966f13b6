"""Where every frame has pixels: the region of the reference frame that all motions keep inside the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dualfocus.alignment.motion import Matrix


def row_bounds(
    motions: Sequence[Matrix], size: tuple[int, int], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leftmost and rightmost column, for every row, that all motions keep among the pixels of their frames.

    A motion keeps a convex region inside its frame: four half planes, so each row is one interval.

    Args:
        motions: 3 x 3, pixels of the reference to pixels of a frame.
        size: height, width.
        rows: (R,) y coordinates.
    """
    low, high = np.zeros(len(rows)), np.full(len(rows), size[1] - 1.0)
    for matrix in motions:
        slack = 1e-6 * np.array([0, 0, 1])  # an identity must keep its outermost pixels
        for row, last in ((0, size[1] - 1), (1, size[0] - 1)):
            for a, b, c in (matrix[row] + slack, last * matrix[2] - matrix[row] + slack):
                rest = b * rows + c  # a x + rest >= 0
                if abs(a) < 1e-12:
                    high = np.where(rest >= 0, high, -1)
                elif a > 0:
                    low = np.maximum(low, -rest / a)
                else:
                    high = np.minimum(high, -rest / a)
    return low, high


def common_region(motions: Sequence[Matrix], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) pixels of the reference at which every frame has one; see `row_bounds`."""
    low, high = row_bounds(motions, size, np.arange(size[0], dtype=np.float64))
    columns = np.arange(size[1])
    return (columns >= low[:, None]) & (columns <= high[:, None])


def common_share(motions: Sequence[Matrix], size: tuple[int, int]) -> float:
    """Share of the reference that is in every frame."""
    low, high = row_bounds(motions, size, np.linspace(0, size[0] - 1, 65))
    return float(np.maximum(high - low, 0).mean() / max(size[1] - 1, 1))
