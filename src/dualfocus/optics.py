"""Thin-lens optics as pure functions of arrays: circle of confusion, dioptres and plane schedules.

Lengths are in metres, scalars or arrays that broadcast. A depth or focus distance may be `inf`; a NaN depth (no depth
known there) stays NaN. The circle of confusion (CoC) is always a diameter; the peers' `c` is its radius in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating[Any]]


def aperture_diameter(focal_length: float, f_number: float) -> float:
    """Diameter A = f / N of the entrance pupil, in metres (ValueError unless both are above zero)."""
    _require_positive("focal length", focal_length)
    _require_positive("f-number", f_number)
    return focal_length / f_number


def image_distance(focus_distance: ArrayLike, focal_length: float) -> Array:
    """Distance v = f s / (s - f) from the lens to the sensor that makes distance s sharp; f at infinity.

    Raises:
        ValueError: a focus distance that is not beyond the focal length.
    """
    _require_positive("focal length", focal_length)
    distance = _distances("focus distance", focus_distance)
    if not np.all(distance > focal_length):
        raise ValueError(f"focus distance {np.min(distance):g} m must be beyond the focal length, {focal_length:g} m")
    return 1 / (1 / focal_length - 1 / distance)


def circle_of_confusion(
    depth: ArrayLike, focus_distance: ArrayLike, focal_length: float, f_number: float, *, breathing: bool = True
) -> Array:
    """Diameter of the circle of confusion on the sensor, in metres.

    Args:
        depth: distance d of the scene point along the optical axis, in metres.
        focus_distance: distance s that is sharp, in metres.
        focal_length: f in metres.
        f_number: N; the aperture is A = f / N.
        breathing: True, the sensor moves to v = f s / (s - f) and with it the field of view changes:
            C = A v |1/s - 1/d| = A f |d - s| / (d (s - f)), as in the renderers of DefocusNet, DEReD, HybridDepth and
            FOSSA. False, every plane keeps the field of view of focus at infinity, as in stacks that are registered
            or rendered so: C = A f |d - s| / (d s).

    Raises:
        ValueError: a length that is not above zero, or, with breathing, a focus distance within the focal length.

    >>> float(circle_of_confusion(1.0, 0.5, 0.05, 8).round(7))
    0.0003472
    """
    aperture = aperture_diameter(focal_length, f_number)
    vergence = np.abs(to_dioptre(focus_distance) - to_dioptre(depth))
    extent = image_distance(focus_distance, focal_length) if breathing else focal_length
    return aperture * extent * vergence


def circle_of_confusion_px(
    depth: ArrayLike,
    focus_distance: ArrayLike,
    focal_length: float,
    f_number: float,
    pixel_pitch: float,
    *,
    breathing: bool = True,
) -> Array:
    """Diameter of the circle of confusion in pixels: `circle_of_confusion` over the pixel pitch in metres.

    With a constant field of view this is focal_px A |d - s| / (d s), focal_px = focal_length / pixel_pitch.
    """
    _require_positive("pixel pitch", pixel_pitch)
    return circle_of_confusion(depth, focus_distance, focal_length, f_number, breathing=breathing) / pixel_pitch


def pixel_pitch(sensor_width: float, columns: int) -> float:
    """Width of a pixel in metres of a sensor of this width in metres, seen as an image with this many columns."""
    _require_positive("sensor width", sensor_width)
    _require_positive("columns", columns)
    return sensor_width / columns


def to_dioptre(depth: ArrayLike) -> Array:
    """Dioptres of a distance in metres, 1 / d; infinity is 0 (ValueError unless the distances are above zero)."""
    return 1 / _distances("depth", depth)


def from_dioptre(dioptre: ArrayLike) -> Array:
    """Distance in metres of dioptres, 1 / D; 0 is infinity (ValueError when one is below zero)."""
    values = _as_float(dioptre)
    if np.any(values < 0):
        raise ValueError(f"{np.nanmin(values):g} dioptre must not be negative (0 is infinity)")
    return np.divide(1, values, out=np.full_like(values, np.inf), where=values != 0)


def planes_even_in_depth(near: float, far: float, count: int) -> NDArray[np.float64]:
    """(count,) focus distances from near to far, evenly spaced in metres; far must be finite."""
    _require_range(near, far, count)
    if np.isinf(far):
        raise ValueError("planes even in depth cannot reach infinity: give a finite far distance")
    return np.linspace(near, far, count)


def planes_even_in_dioptres(near: float, far: float, count: int) -> NDArray[np.float64]:
    """(count,) focus distances from near to far (may be inf), evenly spaced in 1 / s, so in blur."""
    return planes_power_inverse(near, far, count, kappa=1.0)


def planes_power_inverse(near: float, far: float, count: int, kappa: float) -> NDArray[np.float64]:
    """(count,) focus distances from near to far with 1 / s^kappa equally spaced (as FOSSA draws them).

    Args:
        near: nearest distance in metres.
        far: farthest distance in metres; `inf` when kappa > 0.
        count: number of planes, at least 2.
        kappa: 1 is even in dioptres; 0 is the limit, a constant ratio between neighbours.

    Raises:
        ValueError: distances that are not 0 < near < far, fewer than 2 planes, a negative kappa, infinity at kappa 0.

    >>> planes_power_inverse(0.5, float("inf"), 3, kappa=1).tolist()
    [0.5, 1.0, inf]
    """
    _require_range(near, far, count)
    if not (np.isfinite(kappa) and kappa >= 0) or (kappa == 0 and np.isinf(far)):
        raise ValueError(f"kappa {kappa:g} must be finite and not negative, and above zero to reach infinity")
    step = np.linspace(0, 1, count)
    logarithm = np.log(far / near)
    if kappa == 0:
        planes = near * np.exp(step * logarithm)
    else:
        # s = near (1 + t ((far/near)^-kappa - 1))^(-1/kappa), in a form that stays exact for tiny kappa
        with np.errstate(divide="ignore"):
            planes = near * np.exp(-np.log1p(step * np.expm1(-kappa * logarithm)) / kappa)
    planes[0], planes[-1] = near, far
    return planes


def _as_float(values: ArrayLike) -> Array:
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _distances(name: str, values: ArrayLike) -> Array:
    array = _as_float(values)
    if np.any(array <= 0):
        raise ValueError(f"{name} {np.nanmin(array):g} m must be above zero (NaN marks a depth that is not known)")
    return array


def _require_positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above zero, not {value!r}")


def _require_range(near: float, far: float, count: int) -> None:
    if not (np.isfinite(near) and 0 < near < far):
        raise ValueError(f"planes need 0 < near < far, not near {near!r} and far {far!r}")
    if count < 2:
        raise ValueError(f"a focal stack needs at least 2 planes, not {count}")
