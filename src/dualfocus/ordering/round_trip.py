"""The shortest round trip from a place outside through all planes and back: a travelling salesman's problem.

Distances are (N + 1, N + 1), between the N planes and, last, the place outside. A path is a permutation of the planes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALLEST_GAIN = 1e-9  # share of the largest distance; rounding may pretend less
_MANY = 100  # planes, beyond which only the most promising start is worked out


def trip_length(path: NDArray[np.intp], distances: NDArray[np.float64]) -> float:
    """Length of the round trip from the place outside along a path and back."""
    trip = np.array([-1, *path, -1])
    return float(distances[trip[:-1], trip[1:]].sum())


def shortest_trip(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """(N,) the shortest path found: from the order given and from two good guesses, each shortened while it can be."""
    planes = distances[:-1, :-1]
    starts = [np.arange(len(planes)), _spectral_order(planes), _greedy_order(planes)]
    starts.sort(key=lambda path: trip_length(path, distances))
    tried = starts if len(planes) <= _MANY else starts[:1]
    return min((_shorten(start, distances) for start in tried), key=lambda path: trip_length(path, distances))


def _spectral_order(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Order by the second eigenvector of the affinity's Laplacian (Atkins, Boman, Hendrickson 1998)."""
    scale = np.median(distances[distances > 0]) if (distances > 0).any() else 1.0
    affinity = np.exp(-((distances / scale) ** 2))
    laplacian = np.diag(affinity.sum(axis=1)) - affinity
    return np.argsort(np.linalg.eigh(laplacian)[1][:, 1], kind="stable")


def _greedy_order(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """From one of the two planes farthest apart, always on to the nearest one left."""
    path = [int(np.unravel_index(np.argmax(distances), distances.shape)[0])]
    left = set(range(len(distances))) - set(path)
    while left:
        path.append(min(left, key=lambda n: distances[path[-1], n]))
        left.remove(path[-1])
    return np.array(path)


def _shorten(path: NDArray[np.intp], distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Shorten a path by its best reversal (2-opt) or move of one plane, until none helps."""
    smallest = _SMALLEST_GAIN * max(float(distances.max()), 1e-12)
    for _ in range(20 * len(path)):
        gain, shorter = max(
            (_best_reversal(path, distances), _best_move(path, distances)), key=lambda candidate: candidate[0]
        )
        if gain <= smallest:
            break
        path = shorter
    return path


def _best_reversal(path: NDArray[np.intp], distances: NDArray[np.float64]) -> tuple[float, NDArray[np.intp]]:
    """The reversal of a piece of the path that shortens most, and by how much."""
    trip = np.array([-1, *path, -1])
    along = distances[np.ix_(trip, trip)]
    i, j = np.triu_indices(len(path), 1)  # the piece is places i + 1 to j + 1 of the trip
    gain = along[i, i + 1] + along[j + 1, j + 2] - along[i, j + 1] - along[i + 1, j + 2]
    best = int(np.argmax(gain))
    piece = slice(int(i[best]), int(j[best]) + 1)
    shorter = path.copy()
    shorter[piece] = path[piece][::-1]
    return float(gain[best]), shorter


def _best_move(path: NDArray[np.intp], distances: NDArray[np.float64]) -> tuple[float, NDArray[np.intp]]:
    """The move of one plane to another place that shortens most, and by how much."""
    trip = np.array([-1, *path, -1])
    along = distances[np.ix_(trip, trip)]
    here = np.arange(1, len(path) + 1)  # places of the trip
    gap = np.arange(len(path) + 1)  # between the place of that number and the next
    freed = along[here - 1, here] + along[here, here + 1] - along[here - 1, here + 1]
    gain = freed[:, None] - (along[np.ix_(here, gap)] + along[np.ix_(here, gap + 1)] - along[gap, gap + 1])
    gain[here - 1, here - 1] = gain[here - 1, here] = -np.inf  # where it is already
    plane, place = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return float(gain[plane, place]), np.insert(np.delete(path, plane), place - (place > plane), path[plane])
