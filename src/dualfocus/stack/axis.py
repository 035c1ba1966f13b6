"""The axis a network works on: a coordinate that is 0 at the nearest plane of a stack and 1 at the farthest."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dualfocus.stack.distances import AT_INFINITY, FARTHEST_M, PER_METRE
from dualfocus.stack.focal_stack import FocalStack

AxisName = Literal["focus", "depth"]  # as `data.coordinate` and the records of weights have it
AXES: tuple[AxisName, ...] = get_args(AxisName)


class FocusAxis:
    """Normalised coordinate of a stack, affine in the focus coordinate or in depth itself.

    Args:
        stack: the planes.
        name: `focus` for the focus coordinate (inverse depth for a camera), `depth` for depth in the result
            unit, as the protocols of NYU and FoD500 have it. They are the same for microscopes and relative stacks.

    Raises:
        ValueError: another name, or `depth` for a stack with a plane at infinity.
    """

    def __init__(self, stack: FocalStack, name: AxisName = "focus") -> None:
        if name not in AXES:
            raise ValueError(f"coordinate {name!r} is not one of {', '.join(AXES)}")
        self.stack = stack
        self.linear = name == "depth" and stack.is_camera
        planes = stack.coordinates[stack.near_to_far].astype(np.float64)
        if self.linear:
            planes = np.asarray(stack.depth_from_coordinate(planes), np.float64)
            if not np.isfinite(planes).all():
                raise ValueError("a model that works in depth cannot take a plane focused at infinity; leave it out")
        self._first, self._extent = planes[0], planes[-1] - planes[0]
        to_infinity = stack.is_camera and not self.linear and planes[-1] < _farthest(stack)
        self._least = AT_INFINITY * planes[0] / (len(planes) - 1) if to_infinity else -np.inf
        self.planes: NDArray[np.float64] = (planes - self._first) / self._extent  # (N,) increasing, near to far

    @property
    def ratio(self) -> float:
        """The last plane's inverse depth, or depth, over the first's; 1 where the axis has no zero to count from."""
        return float((self._first + self._extent) / self._first) if self.stack.is_camera else 1.0

    def normalise(self, depth: ArrayLike) -> NDArray[np.float64]:
        """Coordinate of depths of any shape in the result unit; below 0 or above 1 outside the focus range."""
        if not self.linear:
            return self.stack.normalised_coordinate(depth)
        return (np.asarray(depth, np.float64) - self._first) / self._extent

    def depth(self, coordinate: ArrayLike) -> NDArray[np.floating[Any]]:
        """Depth in the result unit at normalised coordinates of any shape; infinite near a plane at infinity."""
        where = self._focus(coordinate)
        return where if self.linear else self.stack.depth_from_coordinate(where)

    def depth_std(self, coordinate: ArrayLike, std: ArrayLike) -> NDArray[np.floating[Any]]:
        """A standard deviation of the coordinate, carried to the result unit by the derivative."""
        spread = np.asarray(std, np.float64) * abs(self._extent)
        if self.linear:
            return spread
        return self.stack.depth_std(self._focus(coordinate), spread)

    def _focus(self, coordinate: ArrayLike) -> NDArray[np.float64]:
        """Focus coordinate, or depth where the axis is linear in it, at normalised coordinates."""
        where = self._first + np.asarray(coordinate, np.float64) * self._extent
        return np.where(where < self._least, 0.0, where)


def _farthest(stack: FocalStack) -> float:
    """Focus coordinate below which a plane counts as focused at infinity."""
    return 1 / (FARTHEST_M * PER_METRE[stack.result_unit])
