"""Smooth depth out of depth that was rounded to a few levels, without leaving what the rounding allows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 300


def remove_steps(level: NDArray[Any], iterations: int = ITERATIONS) -> NDArray[np.float64]:
    """Turn the stairs of rounded values into slopes: the smoothest surface that rounds to `level` everywhere.

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
    # 8 bounds the largest eigenvalue of the graph's Laplacian
    across = (np.abs(np.diff(rounded, axis=1)) <= 1).astype(np.float32) / 8
    along = (np.abs(np.diff(rounded, axis=0)) <= 1).astype(np.float32) / 8
    z, new, ahead = rounded.copy(), rounded.copy(), rounded.copy()
    pull_x, pull_y = np.empty_like(across), np.empty_like(along)  # buffers: fresh arrays would cost half of the time
    momentum = 1.0
    for _ in range(iterations):
        np.subtract(ahead[:, 1:], ahead[:, :-1], out=pull_x)
        pull_x *= across
        np.subtract(ahead[1:], ahead[:-1], out=pull_y)
        pull_y *= along
        np.copyto(new, ahead)
        new[:, :-1] += pull_x
        new[:, 1:] -= pull_x
        new[:-1] += pull_y
        new[1:] -= pull_y
        np.clip(new, low, high, out=new)
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        np.subtract(new, z, out=ahead)
        ahead *= np.float32((momentum - 1) / following)
        ahead += new
        z, new, momentum = new, z, following
    return z.astype(np.float64)
