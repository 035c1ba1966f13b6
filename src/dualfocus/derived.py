"""Focal stacks made of another one, which stays as it is: what they take over from it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from dualfocus.stack import FocalStack


def shallow_copy(stack: FocalStack) -> FocalStack:
    """A stack of the same planes, shared and still lazy, with attributes and warnings of its own to change.

    >>> stack = FocalStack(np.zeros((3, 48, 64), np.uint8), [1, 2, 3])
    >>> other = shallow_copy(stack)
    >>> other.warnings.append("the tripod moved")
    >>> other.warnings, stack.warnings
    (['the tripod moved'], [])
    """
    other = copy.copy(stack)
    other.warnings, other.extra = list(stack.warnings), dict(stack.extra)
    return other


def stack_arguments(stack: FocalStack, planes: Sequence[int]) -> dict[str, Any]:
    """What a stack states of some of its planes, as the arguments of a `FocalStack` after the images.

    The ground truth is not among them: other images may lie elsewhere, and an index counts other planes.

    Args:
        stack: N planes.
        planes: indices of those that the new stack has, in its order.
    """
    chosen = list(planes)
    return {
        "focus_distances": None if stack.focus_distances is None else stack.focus_distances[chosen],
        "unit": stack.unit,
        "camera": stack.camera,
        "names": [stack.names[n] for n in chosen],
        "order": stack.order,
        "aligned": stack.aligned,
        "pixel_size_um": stack.pixel_size_um,
    }
