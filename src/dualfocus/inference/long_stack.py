"""Stacks that are too long for a network: a coarse answer from all planes, then a fine one from windows of planes.

A stack is read twice: at a reduced size, interleaved parts of it give a coarse answer from all planes; then windows
give the fine one, every pixel taking it from those around its coarse peak. Only the planes of the windows that are not
yet complete are in memory, and a window is run only where the scene needs it. The result is the mean of both answers,
weighted by their inverse expected variances. What runs the network, torch or a graph, is left to `HeldPlanes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dualfocus.inference.expected_error import confidence_of, expected_error, trust_in_fine
from dualfocus.inference.focus_maps import Box, FocusMaps, Size
from dualfocus.inference.resizing import enlarge
from dualfocus.inference.windows import (
    coarse_size,
    cut_windows,
    interleaved,
    plane_position,
    window_share,
    window_stride,
)

CONTEXT_HALO = 128  # pixels around the part of the image that needs a window


class HeldPlanes(Protocol):
    """Planes of one size, any choice of which a network can fuse."""

    def add(self, n: int, image: Any) -> None:
        """Take plane n, (3, h, w)."""

    def keep(self, wanted: set[int]) -> None:
        """Forget all planes but these."""

    def answer(self, index: Sequence[int], box: Box) -> FocusMaps:
        """The network's answer inside the box from the planes of `index` alone, coordinates spanning [0, 1]."""


def estimate_long(
    hold: Callable[[Size], HeldPlanes], read: Callable[[int, Size], Any], u: NDArray[np.float64], size: Size
) -> FocusMaps:
    """Estimate the focus of every pixel from more than `LONGEST` planes.

    Args:
        hold: makes an empty `HeldPlanes` for images of a size.
        read: n, (h, w) -> plane n at that size, near to far.
        u: (N,) normalised coordinates, increasing.
        size: height and width to work at.
    """
    coarse, coarse_error = (enlarge(values, size) for values in _coarse(hold, read, u, size))
    fine = _fine(hold(size), lambda n: read(n, size), u, plane_position(coarse, u), coarse_error)
    trust = trust_in_fine(coarse_error, fine.error)
    error = coarse_error + trust * (fine.error - coarse_error)
    return FocusMaps(
        coarse + trust * (fine.coordinate - coarse),
        coarse_error + trust * (fine.std - coarse_error),
        confidence_of(error, len(u)),
    )


def _coarse(
    hold: Callable[[Size], HeldPlanes], read: Callable[[int, Size], Any], u: NDArray[np.float64], size: Size
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean answer of the interleaved parts and its expected error, both at a reduced size."""
    small = coarse_size(size, len(u))
    planes = hold(small)
    for n in range(len(u)):
        planes.add(n, read(n, small))
    parts = interleaved(len(u))
    answers = [planes.answer(part, (0, small[0], 0, small[1])) for part in parts]
    errors = [expected_error(maps.confidence, len(part)) for maps, part in zip(answers, parts, strict=True)]
    return np.mean([maps.coordinate for maps in answers], axis=0), np.mean(errors, axis=0)


class _Sum(NamedTuple):
    """Sums of the answers of windows, weighted by their shares, in the coordinate of the stack; (h, w) each."""

    coordinate: NDArray[np.float32]
    std: NDArray[np.float32]
    error: NDArray[np.float32]

    def add(self, maps: FocusMaps, share: NDArray[np.float32], box: Box, u: NDArray[np.float64]) -> None:
        """Add a window's answer, carried from its own coordinate to that of the stack."""
        first, extent = np.float32(u[0]), np.float32(u[-1] - u[0])
        top, bottom, left, right = box
        for total, values in (
            (self.coordinate, first + extent * maps.coordinate),
            (self.std, extent * maps.std),
            (self.error, extent * expected_error(maps.confidence, len(u))),
        ):
            total[top:bottom, left:right] += share[top:bottom, left:right] * values


def _fine(
    planes: HeldPlanes,
    read: Callable[[int], Any],
    u: NDArray[np.float64],
    position: NDArray[np.float32],
    coarse_error: NDArray[np.float32],
) -> _Sum:
    """Answers of the windows around the coarse peak; each is run as soon as its last plane is read."""
    total = _Sum(*(np.zeros_like(position) for _ in _Sum._fields))
    parts = cut_windows(len(u), window_stride(coarse_error, len(u)))
    done = 0
    for n in range(len(u)):
        image = read(n)
        if any(n in part for part in parts[done:]):
            planes.add(n, image)
        while done < len(parts) and parts[done][-1] == n:
            share = window_share(position, parts, done)
            box = needed(share)
            if box is not None:
                total.add(planes.answer(parts[done], box), share, box, u[parts[done]])
            done += 1
            planes.keep({m for part in parts[done:] for m in part})
    return total


def needed(share: NDArray[np.float32]) -> Box | None:
    """The part of the image that a window answers, with a halo; None when no pixel needs it."""
    ends = []
    for axis, side in ((1, share.shape[0]), (0, share.shape[1])):
        used = np.flatnonzero(share.max(axis=axis))
        if len(used) == 0:
            return None
        ends.append(max(0, used[0] // 16 * 16 - CONTEXT_HALO))
        ends.append(min(side, (used[-1] // 16 + 1) * 16 + CONTEXT_HALO))
    top, bottom, left, right = (int(end) for end in ends)
    return top, bottom, left, right
