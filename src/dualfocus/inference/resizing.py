"""Working size of large photographs, and the way back that keeps edges."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.pixels import to_unit

WORKING_PIXELS = 1_050_000  # most pixels of a plane that a network works at
_STRIP = 256  # rows worked on at once
_LEAST_STEP = 0.03  # least step between neighbours, in focus ranges, at which a surface may end
_NEAR = 0.8  # deviation of the weights in space, in cells
_ALIKE = 0.06  # deviation of the weights in colour, which is in [0, 1]
_ANY_COLOUR = 1e-4  # weight of a cell of another colour: it decides where none is alike


def working_size(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """Height and width to work at: that of the photographs unless they have more than `pixels`."""
    height, width = size
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    return max(min(16, height), round(height * scale)), max(min(16, width), round(width * scale))


def shrink(image: NDArray, size: tuple[int, int]) -> NDArray:
    """Area average of (H, W) or (H, W, 3) to `size` (height, width)."""
    return image if image.shape[:2] == size else cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def enlarge(values: NDArray, size: tuple[int, int]) -> NDArray:
    """Bilinear interpolation of a float32 map (h, w) to `size` (height, width)."""
    return values if values.shape == size else cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)


def guided_upsample(values: NDArray[np.float32], guide: NDArray) -> NDArray[np.float32]:
    """Upsample a map so that its edges follow those of a full-size photograph.

    Where the map steps, each pixel takes the average of its 3 x 3 coarse neighbours that are of its own colour (joint
    bilateral upsampling, Kopf et al. 2007). Elsewhere it is interpolated: colours there are texture, not depth.

    Args:
        values: (h, w) float32, about [0, 1].
        guide: (H, W, 3), the photograph, of any type that a stack knows.

    Returns:
        (H, W) float32, within the range of `values` around each pixel.
    """
    size = (guide.shape[0], guide.shape[1])
    result = enlarge(values, size)
    kernel = np.ones((3, 3), np.uint8)
    steps = enlarge(cv2.dilate(values, kernel) - cv2.erode(values, kernel), size)
    small = np.pad(to_unit(shrink(guide, values.shape)), ((1, 1), (1, 1), (0, 0)), mode="edge")
    padded = np.pad(values, 1, mode="edge")
    for top in range(0, size[0], _STRIP):
        rows, columns = np.nonzero(steps[top : top + _STRIP] > _LEAST_STEP)
        if len(rows) == 0:
            continue
        rows += top
        share = np.minimum((steps[rows, columns] - _LEAST_STEP) / _LEAST_STEP, 1)
        sharp = _same_colour_mean(
            padded,
            small,
            to_unit(guide[rows, columns]),
            _cells(rows, size[0], values.shape[0]),
            _cells(columns, size[1], values.shape[1]),
        )
        result[rows, columns] += share * (sharp - result[rows, columns])
    return result


def _same_colour_mean(
    values: NDArray[np.float32],
    guide: NDArray[np.float32],
    colours: NDArray[np.float32],
    y: NDArray[np.float32],
    x: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Mean (n,) of the 3 x 3 cells around places (y, x), weighted by nearness and by likeness to `colours` (n, 3).

    `values` and `guide` have a border of one cell.
    """
    row, column = (np.rint(place).astype(np.intp) for place in (y, x))
    # all in 32 bits: integers would turn the weights to 64, whose exp takes several times as long
    down, right = ((place - np.rint(place)) / np.float32(_NEAR) for place in (y, x))
    total, weights = np.zeros_like(y), np.full_like(y, 1e-12)
    for dy, dx in itertools.product((-1, 0, 1), repeat=2):
        cell = row + dy + 1, column + dx + 1
        distance = (down - np.float32(dy / _NEAR)) ** 2 + (right - np.float32(dx / _NEAR)) ** 2
        apart = guide[cell] - colours
        difference = np.einsum("nc,nc->n", apart, apart) / np.float32(_ALIKE**2)
        weight = np.exp(np.float32(-0.5) * distance)
        weight *= np.exp(np.float32(-0.5) * difference) + np.float32(_ANY_COLOUR)
        total += weight * values[cell]
        weights += weight
    return total / weights


def _cells(index: NDArray[np.intp], fine: int, coarse: int) -> NDArray[np.float32]:
    """Where the centres of fine pixels lie on the coarse grid."""
    return np.clip((index + 0.5) * (coarse / fine) - 0.5, 0, coarse - 1).astype(np.float32)
