"""A stack with its planes in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.derived import stack_arguments
from dualfocus.stack import FocalStack


def reorder(stack: FocalStack, planes: Sequence[int] | NDArray[np.intp]) -> FocalStack:
    """The stack with its planes in another order (a permutation), still lazy.

    Raises:
        ValueError: frames that `align` has registered: what it says of them counts the planes in their old order.
    """
    if stack.common_region is not None or "planes" in (stack.alignment or {}):
        raise ValueError("the stack is aligned, and its order can no longer be changed: order it first, then align")
    order = [int(n) for n in planes]
    reordered = FocalStack(_Reordered(stack, order), **stack_arguments(stack, order))
    reordered.extra, reordered.warnings, reordered.alignment = dict(stack.extra), list(stack.warnings), stack.alignment
    return reordered


class _Reordered:
    """Planes of a stack in another order, as a lazy sequence."""

    def __init__(self, stack: FocalStack, order: list[int]) -> None:
        self.stack, self.order, self.shape, self.dtype = stack, order, stack.size, stack.dtype

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, n: int) -> NDArray[Any]:
        return self.stack[self.order[n]]
