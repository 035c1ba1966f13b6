"""The numbers of an image of any type that a stack knows: uint8, uint16, or float from 0 to 1; and fewer of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def white(dtype: np.dtype[Any]) -> int:
    """The value of white: 1 for floats, the largest level for integers."""
    return 1 if dtype.kind == "f" else int(np.iinfo(dtype).max)


def to_unit(image: NDArray[Any]) -> NDArray[np.float32]:
    """A new image from 0 to 1, any shape."""
    values = image.astype(np.float32)
    if image.dtype.kind != "f":
        values /= np.float32(white(image.dtype))
    return values


def to_uint8(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image in 8 bits, any shape: levels are rounded; one that has 8 bits is given as it is."""
    if image.dtype == np.uint8:
        return image
    levels = image.astype(np.float32)
    levels *= np.float32(255 / white(image.dtype))
    return np.rint(levels, out=levels).clip(0, 255, out=levels).astype(np.uint8)


def pick_pixels(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A map (H, W) at a smaller size (height, width): the pixel in the middle of each cell.

    Picked, never mixed: a mean over an edge of depth is the depth of nothing.
    """
    rows, columns = (((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip(size, values.shape, strict=True))
    return values[rows[:, None], columns]
