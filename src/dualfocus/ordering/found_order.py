"""The order of focus that the sharpness of the planes tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.ordering.round_trip import shortest_trip, trip_length
from dualfocus.ordering.sharpness import pattern_distances, sharpness_pattern
from dualfocus.stack import FocalStack, check_stack

_CLEAR_EXCESS = 0.04  # excess length of the round trip from which the order given is called wrong


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


def find_order(stack: FocalStack, progress: Callable[[], None] | None = None) -> FoundOrder:
    """Find the order of focus of a stack's planes; each is decoded once.

    Args:
        stack: the planes; distances are not looked at.
        progress: called after each plane.

    Raises:
        ValueError: no focal stack.
    """
    check_stack(stack, "find_order")
    patterns = []
    for plane in stack:
        patterns.append(sharpness_pattern(plane))
        if progress is not None:
            progress()
    return order_of(np.stack(patterns))


def order_of(patterns: NDArray[np.floating[Any]]) -> FoundOrder:
    """The order of focus of planes with these sharpness patterns, (N, ...)."""
    distances = pattern_distances(patterns)
    best = shortest_trip(distances)
    length = trip_length(best, distances)
    agreement = _kendall(best)
    if agreement < 0:
        best, agreement = best[::-1], -agreement
    given = np.arange(len(patterns))
    excess = trip_length(given, distances) / length - 1 if length > 0 else 0.0
    return FoundOrder(best, agreement, max(0.0, excess))


def _kendall(path: NDArray[np.intp]) -> float:
    """Rank correlation of a permutation with the identity."""
    later = np.sign(path[None, :] - path[:, None])[np.triu_indices(len(path), 1)]
    return float(later.mean())
