"""Reads the planes of a stack near to far, as often as they are needed: the next one while this one is worked on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from dualfocus.stack import FocalStack

KEPT_BYTES = 400_000_000  # memory for planes that will be read again: ten photographs of twelve megapixels

Progress = Callable[[int, int, str], None]  # planes read, planes to read in all, what they are read for


class PlaneReader:
    """Planes at full size, one at a time, and how far the reading has come.

    Large photographs take as long to decode as to work on. So files are decoded one plane ahead, in a thread, and the
    first planes are kept until they were read for the last time. Whatever else a stack is made of is asked for planes
    in the thread of the caller alone, and nothing of it is kept.

    Args:
        stack: the photographs.
        times: how often all planes will be read, in order.
        progress: called after each plane.
    """

    def __init__(self, stack: FocalStack, times: int, progress: Progress | None) -> None:
        self.stack, self.order = stack, stack.near_to_far
        self.total, self.done, self.progress = times * len(stack), 0, progress
        self._kept: dict[int, NDArray[Any]] = {}

    def read(self, n: int, purpose: str) -> NDArray[Any]:
        """Plane n, near to far; not to be changed."""
        again = self.total - self.done > len(self.stack)
        plane = self._kept[n] if n in self._kept else self.stack[int(self.order[n])]
        self.done += 1
        if self.stack.from_files:
            self._keep(n, plane, again)
            self._decode_ahead((n + 1) % len(self.stack))
        if self.progress is not None:
            self.progress(self.done, self.total, purpose)
        return plane

    def _keep(self, n: int, plane: NDArray[Any], again: bool) -> None:
        if not again:
            self._kept.pop(n, None)
        elif (len(self._kept) + 1) * plane.nbytes <= KEPT_BYTES:
            self._kept[n] = plane

    def _decode_ahead(self, n: int) -> None:
        if n not in self._kept and self.done < self.total:
            self.stack.decode_ahead(int(self.order[n]))


def decode_first(stack: FocalStack) -> None:
    """Begin to decode the planes that will be read first, as many as are kept, while something else is done."""
    height, width = stack.size
    for n in stack.near_to_far[: KEPT_BYTES // (3 * height * width * stack.dtype.itemsize)]:
        stack.decode_ahead(int(n))
