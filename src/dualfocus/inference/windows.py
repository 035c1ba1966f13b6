"""How a stack that is too long for a network is cut into parts and windows, and what each pixel takes from which."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dualfocus.inference.focus_maps import Size

LONGEST = 24  # planes a network takes at once: trained on 2 to 12, it gains from up to twice as many
WINDOW = 12
WINDOW_STEP = 8  # planes from one window of neighbours to the next
COARSE_PIXELS = 80_000  # least pixels of a plane for the coarse answer, which has half the side else
COARSE_PLANE_PIXELS = 25_000_000  # planes x pixels of the coarse answer, whose features are all in memory


def interleaved(planes: int) -> list[list[int]]:
    """Split a long stack into parts of at most `LONGEST` planes spread over it; each has the two end planes."""
    parts = -(-(planes - 2) // (LONGEST - 2))
    return [[0, *range(1 + part, planes - 1, parts), planes - 1] for part in range(parts)]


def window_stride(coarse_error: NDArray[np.float32], planes: int) -> int:
    """Step from one plane of a window to its next, 1 or 2.

    Every second plane where even the surest quarter of the coarse answer errs by more than a plane: in so fine a series
    neighbours hardly differ, and a wider window tells more.

    Args:
        coarse_error: expected error of the coarse answer in the normalised coordinate, any shape.
        planes: N, above `LONGEST`.
    """
    return 2 if float(np.quantile(coarse_error, 0.25)) * (planes - 1) > 1 else 1


def cut_windows(planes: int, stride: int = 1) -> list[list[int]]:
    """Windows of `WINDOW` planes that cover a long stack, first to last.

    Windows of neighbours overlap. With a wider stride each takes the planes that the one before it left out, and the
    first has plane 0 besides; near the two ends, where no window follows, every second plane is in none, and is seen
    in the coarse answer alone.
    """
    last = planes - 1 - (WINDOW - 1) * stride
    count = -(-last // (WINDOW_STEP if stride == 1 else WINDOW)) + 1
    starts = [round(start) for start in np.linspace(0, last, count)]
    for number in range(count):
        starts[number] += (last + count - 1 - number - starts[number]) % stride
    parts = [list(range(start, start + WINDOW * stride, stride)) for start in starts]
    return [sorted({0, *parts[0]}), *parts[1:]]


def coarse_size(size: Size, planes: int) -> Size:
    """Size of the coarse answer: half the side, more for small images and less for very long stacks."""
    pixels = size[0] * size[1]
    scale = min(1.0, (min(max(pixels / 4, COARSE_PIXELS), COARSE_PLANE_PIXELS / planes) / pixels) ** 0.5)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def plane_position(coordinate: NDArray, u: ArrayLike) -> NDArray[np.float32]:
    """Fractional plane index of coordinates, any shape, by linear interpolation between the planes at u, (N,)."""
    planes = np.asarray(u)
    return np.interp(coordinate, planes, np.arange(len(planes))).astype(np.float32)


def window_share(position: NDArray[np.float32], parts: list[list[int]], number: int) -> NDArray[np.float32]:
    """Share of a window in the answer for each pixel: 1 in its middle, linear where it overlaps its neighbours, sum 1.

    A window cannot answer with a plane that it does not hold, and knows the planes at its ends from one side only: so
    the change is made in the middle half of what two windows share.

    Args:
        position: fractional plane index, any shape.
        parts: all windows, from `cut_windows`.
        number: number of the window among them.
    """
    share = np.ones_like(position)
    if number > 0:
        share = _passed(position, parts[number - 1], parts[number])
    if number + 1 < len(parts):
        share = share - _passed(position, parts[number], parts[number + 1])
    return share.astype(np.float32, copy=False)


def _passed(position: NDArray[np.float32], before: list[int], after: list[int]) -> NDArray[np.float32]:
    """Share of the later one of two neighbouring windows: 0 to 1, rising over the middle half of what they share."""
    first, last = after[0], before[-1]
    half = max((last - first) / 4, 0.25)
    return np.clip((position - (first + last) / 2 + half) / (2 * half), 0, 1)
