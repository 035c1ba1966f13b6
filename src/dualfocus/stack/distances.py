"""Focus distances of a stack: their units, their checks, and the coordinate in which blur is linear."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNITS = ("m", "mm", "um", "dioptre", "index")
ORDERS = ("near_to_far", "far_to_near")
PER_METRE = {"m": 1.0, "mm": 1000.0}  # units in a metre, of results whose depth is a distance from a camera
INVERSE_UNITS = ("m", "mm", "dioptre")  # blur is linear in inverse depth for a camera, in depth for a microscope
FARTHEST_M = 1000.0  # no lens tells it from infinity: a plane said to be farther away is one at infinity
AT_INFINITY = 0.02  # in plane spacings: what is nearer to a plane at infinity is infinite; kilometres hide all else
LARGEST = 1e12  # distance or inverse distance: their products then fit into the float32 of a result


def check_distances(
    focus_distances: ArrayLike | None, unit: str | None, count: int
) -> tuple[NDArray[np.float64] | None, str]:
    """Distances as a read-only float64 array (or None) and the unit."""
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}: use one of {', '.join(UNITS)}")
    if focus_distances is None:
        if unit not in (None, "index"):
            raise ValueError(
                f"unit {unit!r} needs focus distances: give one for each image, a z-step, or use unit 'index'"
            )
        return None, "index"
    if unit == "index":
        raise ValueError("unit 'index' has no focus distances: leave them out, or name the unit they are in")
    unit = unit or "m"
    try:
        values = np.array(focus_distances, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"focus distances must be numbers: {focus_distances!r}") from error
    if values.ndim != 1 or len(values) != count:
        found = len(values) if values.ndim == 1 else f"an array of shape {values.shape}"
        raise ValueError(f"{found} focus distances for {count} images: give one for each image, in their order")
    for n, value in enumerate(values.tolist()):
        if not math.isfinite(value):
            raise ValueError(f"focus distance {value} of image {n} is not finite (infinity is 0 in unit dioptre)")
        if value <= 0 and unit in ("m", "mm"):
            raise ValueError(f"focus distance {value:g} {unit} of image {n} must be above zero")
        if value < 0 and unit == "dioptre":
            raise ValueError(f"focus distance {value:g} dioptre of image {n} must not be negative (0 is infinity)")
    _check_distinct(values, unit)
    values.flags.writeable = False
    return values, unit


def _check_distinct(values: NDArray[np.float64], unit: str) -> None:
    coordinates = focus_coordinates(values, unit)
    extremes = np.maximum(np.abs(values), np.abs(coordinates))
    if extremes.max() > LARGEST:
        n = int(np.argmax(extremes))
        raise ValueError(f"focus distance {values[n]:g} {unit} of image {n} is too extreme: check the unit")
    ranked = np.argsort(coordinates, kind="stable")
    steps = np.diff(coordinates[ranked])
    if (steps == 0).any():
        first, second = sorted(ranked[int(np.argmin(steps)) :][:2].tolist())
        raise ValueError(
            f"images {first} and {second} have the same focus distance, {values[first]:g} {unit}: distances must differ"
        )


def focus_coordinates(distances: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """Focus coordinate of distances: the inverse for m and mm, else the number itself."""
    with np.errstate(over="ignore"):
        return 1 / distances if unit in ("m", "mm") else distances.copy()
