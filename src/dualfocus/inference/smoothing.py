"""Smoothing of an estimate within surfaces, which keeps the steps between them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

RADIUS = 4  # radius of the windows in pixels: the grid that the networks answer on has cells of four
LEAST_STEP = 0.02  # in focus ranges; a window whose deviation is larger keeps more than half of it
ROUNDS = 2


def smooth_within_surfaces(coordinate: NDArray[np.float32], error: NDArray[np.float32]) -> NDArray[np.float32]:
    """The guided filter (He, Sun and Tang, ECCV 2010) with the map itself as its guide; linear in the pixels.

    In every window the map becomes a straight line between its mean, where it varies by less than its expected error,
    and itself, where it varies by more; a pixel takes the mean of the windows that it is in.

    Args:
        coordinate: (h, w) normalised focus coordinate.
        error: (h, w) expected error in the same unit; above `LEAST_STEP` it counts as that.

    Returns:
        (h, w), within the range of `coordinate`.
    """
    noise = np.square(np.minimum(error, np.float32(LEAST_STEP)))
    for _ in range(ROUNDS):
        mean = _window_mean(coordinate)
        variance = np.maximum(_window_mean(coordinate * coordinate) - mean * mean, 0)
        kept = variance / (variance + noise)
        coordinate = _window_mean(kept) * coordinate + _window_mean((1 - kept) * mean)
    return coordinate


def blend_cells(confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean around every pixel, in windows just larger than a cell of the grid that a network answers on.

    Within a cell a network hardly tells pixels apart. On held-out stacks the smoothed confidence is a little likelier,
    and a threshold on it does not follow the outlines of cells.

    Args:
        confidence: (h, w) confidence in [0, 1].
    """
    return _window_mean(confidence, RADIUS // 2)


def _window_mean(values: NDArray[np.float32], radius: int = RADIUS) -> NDArray[np.float32]:
    side = 2 * radius + 1
    return np.asarray(cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)
