"""Smooth depth out of depth that was rounded to a few levels, without leaving what the rounding allows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 300


def remove_steps(level: NDArray[Any], iterations: int = ITERATIONS) -> NDArray[np.float64]:
    """Turn the stairs of rounded values into slopes: the smoothest surface that rounds to ``level`` everywhere.

    Minimises the sum of squared differences between neighbours, subject to |z - level| <= 1/2, by accelerated
    projected gradient descent. Neighbours more than one level apart do not pull on each other: that is an edge, or a
    slope so steep that its steps are small.

    Args:
        level: (H, W) integers.
        iterations: of the descent; a step's flank reaches about as many pixels as a third of them.

    Returns:
        (H, W) float64, in levels.
    """
    rounded = np.asarray(level, np.float32)
    low, high = rounded - 0.5, rounded + 0.5
    across = (np.abs(np.diff(rounded, axis=1)) <= 1).astype(np.float32)
    along = (np.abs(np.diff(rounded, axis=0)) <= 1).astype(np.float32)
    z: NDArray[Any] = rounded
    ahead: NDArray[Any] = rounded
    momentum = 1.0
    for _ in range(iterations):
        pull_x, pull_y = across * np.diff(ahead, axis=1), along * np.diff(ahead, axis=0)
        step = np.zeros_like(ahead)
        step[:, :-1] += pull_x
        step[:, 1:] -= pull_x
        step[:-1] += pull_y
        step[1:] -= pull_y
        new = np.clip(ahead + step / 8, low, high)  # 8 bounds the largest eigenvalue of the graph's Laplacian
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + np.float32((momentum - 1) / following) * (new - z)
        z, momentum = new, following
    return z.astype(np.float64)
