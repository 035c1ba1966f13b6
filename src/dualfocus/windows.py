"""How a stack that is too long for a network is cut into parts and windows, and what each pixel takes from which."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

LONGEST = 12  # planes a network takes at once
WINDOW = 12
WINDOW_STEP = 8
WORKING_PIXELS = 2_100_000  # of one plane
COARSE_PIXELS = 80_000  # of one plane, for the coarse answer: at least this, else half the side
COARSE_PLANE_PIXELS = 25_000_000  # planes x pixels of the coarse answer, whose features are all in memory
_SAID = np.linspace(0.02, 0.98, 97)
_QUANTILES = np.array([NormalDist().inv_cdf(0.5 * (1 + said)) for said in _SAID])

Size = tuple[int, int]


def interleaved(planes: int) -> list[list[int]]:
    """Split a long stack into parts of at most ``LONGEST`` planes spread over it; each has the two end planes."""
    parts = -(-(planes - 2) // (LONGEST - 2))
    return [[0, *range(1 + part, planes - 1, parts), planes - 1] for part in range(parts)]


def window_starts(planes: int) -> list[int]:
    """First planes of windows that overlap and cover every plane."""
    count = -(-(planes - WINDOW) // WINDOW_STEP) + 1
    return [round(start) for start in np.linspace(0, planes - WINDOW, count)]


def coarse_size(size: Size, planes: int) -> Size:
    """Half the side, more for small images and less for very long stacks."""
    pixels = size[0] * size[1]
    scale = min(1.0, (min(max(pixels / 4, COARSE_PIXELS), COARSE_PLANE_PIXELS / planes) / pixels) ** 0.5)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def plane_position(coordinate: NDArray, u: ArrayLike) -> NDArray[np.float32]:
    """Fractional plane index of coordinates of any shape, by linear interpolation between the planes u, (N,)."""
    planes = np.asarray(u)
    return np.interp(coordinate, planes, np.arange(len(planes))).astype(np.float32)


def window_share(place: NDArray[np.float32], starts: list[int], number: int) -> NDArray[np.float32]:
    """How much of each pixel comes from a window: linear between the centres of neighbouring windows, sum 1.

    Args:
        place: fractional plane index, any shape.
        starts: of :func:`window_starts`.
        number: of the window.
    """
    centres = [start + (WINDOW - 1) / 2 for start in starts]
    share = np.ones_like(place)
    if number > 0:
        share = np.clip((place - centres[number - 1]) / (centres[number] - centres[number - 1]), 0, 1)
    if number + 1 < len(centres):
        share = share * np.clip((centres[number + 1] - place) / (centres[number + 1] - centres[number]), 0, 1)
    return share.astype(np.float32, copy=False)


def expected_error(confidence: NDArray, planes: int) -> NDArray[np.float32]:
    """Deviation of the normal error that is below half a plane spacing with probability ``confidence``.

    Args:
        confidence: any shape.
        planes: number of planes that span [0, 1].

    Returns:
        the same shape, in that unit.
    """
    return np.minimum(0.5 / np.interp(confidence, _SAID, _QUANTILES) / (planes - 1), 0.5).astype(np.float32)


def average(
    coarse: NDArray[np.float32],
    coarse_error: NDArray[np.float32],
    fine: NDArray[np.float32],
    fine_error: NDArray[np.float32],
    fine_std: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coordinate and std of the coarse and the fine answer together, weighted by inverse variances.

    In a very fine series the planes of a window hardly differ, and the coarse answer is the better one; where the
    series is coarse only a window shows the peak.
    """
    trust = 1 / (1 + np.square(fine_error / coarse_error))
    return coarse + trust * (fine - coarse), coarse_error + trust * (fine_std - coarse_error)
