"""The order of focus of planes without distances, found from their sharpness.

Each region of a scene becomes sharper plane by plane up to the one it is in focus in, and then blurrier again. Along
the right order the sharpness of every region goes up from blurred once and down to blurred once, so its total variation
is as small as it can be: the right order is the shortest round trip from a plane in which nothing is sharp, through all
planes and back, where the distance between two planes is the change in sharpness summed over all regions. A round trip
has no direction: which end is near cannot be told from sharpness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.derived import said_of, same_planes
from dualfocus.pixels import white
from dualfocus.remedies import Answerable, Remedy
from dualfocus.stack import ORDERS, FocalStack

_EITHER = Remedy("order", "near_to_far or far_to_near", python='order="near_to_far" or order="far_to_near"')
CHOICES = ("given", "auto", *ORDERS)

_LONGEST_SIDE = 1280  # of the picture in which sharpness is measured
_CELLS = 24  # along the longer side
_SCALES = 3  # of the Laplacian pyramid: the coarse ones still change where everything is far out of focus
_SMALLEST_GAIN = 1e-9  # as a share of the largest distance: what rounding may pretend
# The first and last leg count less than the rest: a real plane is never blurred all over. Every value from 0.7 to 0.9
# orders the same 19 of the 20 stacks it was chosen on.
_END_SHARE = 0.75
_MANY = 100  # planes, beyond which only the most promising start is worked out
_SAME_WAY = 0.5  # rank correlation from which the order found still goes the way that is said of the order given
_CLEAR_EXCESS = 0.04  # of a round trip, from which the order given is called wrong


@dataclass(frozen=True)
class FoundOrder:
    """An order of focus.

    Attributes:
        planes: (N,) indices of the planes along the focus axis; the end that is nearer is not known, so the direction
            is the one most like the order given.
        agreement: Kendall's rank correlation of the order given with it, 0 to 1; 1 when they are the same.
        excess: how much longer the round trip is in the order given, as a share; 0 when they are the same.
    """

    planes: NDArray[np.intp]
    agreement: float
    excess: float

    @property
    def is_as_given(self) -> bool:
        """Whether focus moves one way through the order given, as far as that can be told."""
        return self.excess < _CLEAR_EXCESS


def sharpness_pattern(image: NDArray[Any]) -> NDArray[np.float32]:
    """(scales, rows, columns) mean band-pass contrast of an image (H, W, 3) in cells, its exposure divided out."""
    height, width = image.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    grey = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32).mean(axis=2) / white(image.dtype)
    grey /= max(float(grey.mean()), 1e-6)
    step = max(size) / min(_CELLS, max(size))
    grid = (max(1, round(size[0] / step)), max(1, round(size[1] / step)))
    levels = []
    for _ in range(_SCALES):
        smaller = cv2.pyrDown(grey)
        band = np.abs(grey - cv2.pyrUp(smaller, dstsize=(grey.shape[1], grey.shape[0])))
        levels.append(cv2.resize(band, grid, interpolation=cv2.INTER_AREA))
        grey = smaller
    return np.stack(levels)


def relative_sharpness(
    patterns: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sharpness (N, C) of planes in cells, relative to the largest of each cell, and what each cell counts (C,).

    A cell counts by how much it changes and by its contrast, so that noise and flat areas do not.

    Args:
        patterns: (N, ...) of `sharpness_pattern`.
    """
    flat = patterns.reshape(len(patterns), -1).astype(np.float64)
    largest = np.maximum(flat.max(axis=0), 1e-12)
    relative = flat / largest
    weight = (1 - relative.min(axis=0)) ** 2 * np.sqrt(largest)
    return relative, weight / max(float(weight.sum()), 1e-12)


def pattern_distances(patterns: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N + 1, N + 1) change in sharpness between planes, from their patterns (N, ...); the last is blurred all over."""
    relative, weight = relative_sharpness(patterns)
    relative = np.concatenate([relative, np.zeros((1, relative.shape[1]))])
    distances = np.stack([np.abs(relative - row) @ weight for row in relative])
    distances[-1] *= _END_SHARE
    distances[:, -1] *= _END_SHARE
    return distances


def find_order(stack: FocalStack, progress: Callable[[], None] | None = None) -> FoundOrder:
    """Find the order of focus of a stack's planes; each is decoded once.

    Args:
        stack: the planes; distances are not looked at.
        progress: called after each plane.
    """
    patterns = []
    for plane in stack:
        patterns.append(sharpness_pattern(plane))
        if progress is not None:
            progress()
    return order_of(np.stack(patterns))


def order_of(patterns: NDArray[np.floating[Any]]) -> FoundOrder:
    """The order of focus of planes with these sharpness patterns, (N, ...)."""
    distances = pattern_distances(patterns)
    given, planes = np.arange(len(patterns)), distances[:-1, :-1]
    starts = [given, _spectral_order(planes), _greedy_order(planes)]
    starts.sort(key=lambda path: _length(path, distances))
    tried = starts if len(planes) <= _MANY else starts[:1]
    best = min((_shorten(start, distances) for start in tried), key=lambda path: _length(path, distances))
    length = _length(best, distances)
    agreement = _kendall(best)
    if agreement < 0:
        best, agreement = best[::-1], -agreement
    excess = _length(given, distances) / length - 1 if length > 0 else 0.0
    return FoundOrder(best, agreement, max(0.0, excess))


def check_order(wanted: str) -> None:
    """Refuse what is not one of `CHOICES` (ValueError naming it)."""
    if wanted not in CHOICES:
        raise ValueError(f"order {wanted!r} is not one of {', '.join(CHOICES)}")


def settle_order(stack: FocalStack, wanted: str = "given") -> FocalStack:
    """The stack in the order that is wanted, with warnings for what cannot be known; only for one without distances.

    Args:
        stack: stays as it is. One with distances keeps its order: they state it.
        wanted: "given" looks whether focus moves one way through the images, and warns when it does not; "auto" puts
            them in the order found; "near_to_far" and "far_to_near" say what the order given is.

    Returns:
        A stack of the same planes, still lazy, with the warnings. A result counts its planes in the order of that one.

    Raises:
        ValueError: another word, or a registered stack that is to be put in another order.
    """
    check_order(wanted)
    stack = same_planes(stack)
    if stack.focus_distances is not None:
        if wanted != "given":
            stack.warnings.append(f"the order {wanted} is not used: the focus distances state the order")
        return stack
    if wanted in ORDERS:
        stack.order = wanted
        return stack
    found = find_order(stack)
    if not found.is_as_given:
        names = ", ".join(stack.names[n] for n in found.planes)
        if wanted == "auto":
            stack = reorder(stack, found.planes)
            stack.order = stack.order if found.agreement >= _SAME_WAY else None
            stack.warnings.append(f"the images are put in the order of focus that was found: {names}")
        else:
            stack.warnings.append(
                "focus does not move one way through the images in the order given, so their depth is not in order; "
                f"found was {names}: use it with {Remedy('order', 'auto')}"
            )
    if stack.order is None:
        stack.warnings.append(
            Answerable(f"which end of the stack is near cannot be told from the images; say it with {_EITHER}")
        )
    return stack


def reorder(stack: FocalStack, planes: Sequence[int] | NDArray[np.intp]) -> FocalStack:
    """The stack with its planes in another order (a permutation), still lazy.

    Raises:
        ValueError: frames that `align` has registered: what it says of them counts the planes in their old order.
    """
    if stack.common_region is not None or "planes" in (stack.alignment or {}):
        raise ValueError("the stack is aligned, and its order can no longer be changed: order it first, then align")
    order = [int(n) for n in planes]
    found = FocalStack(_Reordered(stack, order), **said_of(stack, order))
    found.extra, found.warnings, found.alignment = dict(stack.extra), list(stack.warnings), stack.alignment
    return found


class _Reordered:
    """Planes of a stack in another order, as a lazy sequence."""

    def __init__(self, stack: FocalStack, order: list[int]) -> None:
        self.stack, self.order, self.shape, self.dtype = stack, order, stack.size, stack.dtype

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, n: int) -> NDArray[Any]:
        return self.stack[self.order[n]]


def _length(path: NDArray[np.intp], distances: NDArray[np.float64]) -> float:
    """Of the round trip from the blurred plane along a path and back."""
    trip = np.array([-1, *path, -1])
    return float(distances[trip[:-1], trip[1:]].sum())


def _kendall(path: NDArray[np.intp]) -> float:
    """Rank correlation of a permutation with the identity."""
    later = np.sign(path[None, :] - path[:, None])[np.triu_indices(len(path), 1)]
    return float(later.mean())


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
    here, gap = (
        np.arange(1, len(path) + 1),
        np.arange(len(path) + 1),
    )  # places of the trip; gap is between it and the next
    freed = along[here - 1, here] + along[here, here + 1] - along[here - 1, here + 1]
    gain = freed[:, None] - (along[np.ix_(here, gap)] + along[np.ix_(here, gap + 1)] - along[gap, gap + 1])
    gain[here - 1, here - 1] = gain[here - 1, here] = -np.inf  # where it is already
    plane, place = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return float(gain[plane, place]), np.insert(np.delete(path, plane), place - (place > plane), path[plane])
