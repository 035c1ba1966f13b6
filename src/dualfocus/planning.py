"""How to shoot a focal stack: where to focus, how many planes it takes, and the depth accuracy to expect.

For a camera blur grows linearly in inverse depth u = 1 / z: at the plane focused at 1 / u_n a point is blurred over
(v_n / p) (f / N) |u - u_n| pixels (f focal length, p pixel pitch, N f-number). v_n = f / (1 - f u_n) is the distance
from the lens to the sensor, f at infinity and 2 f at 1:1, so planes even in u differ most in the nearest one. For a
microscope it grows linearly in z, over 2 NA |z - z_n| / p pixels, p being the size of a pixel in the object.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualfocus.optics import aperture_diameter, image_distance, pixel_pitch, planes_even_in_dioptres

SPACING_PX = 3.0  # CoC at one plane of a point that is sharp at its neighbour
MOST_PLANES = 10_000
TYPICAL_ERROR = 0.25  # of a plane spacing, where there is texture; docs/results.md has measured ones


@dataclass(frozen=True)
class Plan:
    """Planes of a focal stack and what they will tell.

    Attributes:
        unit: "m" or "um".
        focus: (N,) focus distances in metres, near to far, the last may be `inf`; stage positions in um for a
            microscope, from 0.
        spacing_px: CoC diameter in px, at the first plane, of a point that is sharp at its neighbour; for a microscope
            it is the same at every plane, for a camera the largest.
        total_px: the same of a point that is sharp at the last plane.
        depth_error: (N,) expected error of depth at every plane, in `unit`, of `error` plane spacings.
        error: the assumed error, in plane spacings.
    """

    unit: str
    focus: NDArray[np.float64]
    spacing_px: float
    total_px: float
    depth_error: NDArray[np.float64]
    error: float


def plan_camera(
    focal_length_mm: float,
    f_number: float,
    sensor_width_mm: float,
    columns: int,
    near: float,
    far: float,
    *,
    planes: int | None = None,
    spacing_px: float = SPACING_PX,
    error: float = TYPICAL_ERROR,
) -> Plan:
    """Planes even in dioptres between two distances.

    Args:
        focal_length_mm: of the lens.
        f_number: of the aperture.
        sensor_width_mm: along the picture's width.
        columns: pixels of the picture's width; of the picture that is analysed, if that is a smaller one.
        near: in metres from the lens (its front principal plane).
        far: in metres; `inf` is allowed.
        planes: how many; None: as many as `spacing_px` asks for.
        spacing_px: largest CoC between neighbours, used where `planes` is None.
        error: expected error in plane spacings.

    Raises:
        ValueError: lengths or an error that are not above zero, near not below far or within the focal length, fewer
            than 2 planes or more than `MOST_PLANES`.
    """
    _check_error(error)
    focal_length = focal_length_mm / 1e3
    pitch = pixel_pitch(sensor_width_mm / 1e3, columns)
    aperture = aperture_diameter(focal_length, f_number)
    if not (0 < near < far) or math.isinf(near):
        raise ValueError(f"planes need 0 < near < far, not near {near:g} and far {far:g}")
    if near <= focal_length:
        raise ValueError(
            f"near {near:g} m is within the focal length, {focal_length:g} m, where no lens focuses: give a larger one"
        )
    total = float(image_distance(near, focal_length)) / pitch * aperture * (1 / near - 1 / far)
    count = _count(total, spacing_px, planes)
    focus = planes_even_in_dioptres(near, far, count)
    step = (1 / near - 1 / far) / (count - 1)
    return Plan("m", focus, total / (count - 1), total, focus**2 * step * error, error)


def plan_microscope(
    numerical_aperture: float,
    pixel_um: float,
    depth_um: float,
    *,
    planes: int | None = None,
    spacing_px: float = SPACING_PX,
    error: float = TYPICAL_ERROR,
) -> Plan:
    """Even steps of the stage over a depth.

    Args:
        numerical_aperture: NA of the objective.
        pixel_um: size of a pixel in the object: pixel pitch over magnification.
        depth_um: height of the object.
        planes: how many; None: as many as `spacing_px` asks for.
        spacing_px: largest blur between neighbours, used where `planes` is None.
        error: expected error in plane spacings.

    Raises:
        ValueError: numbers that are not above zero, fewer than 2 planes or more than `MOST_PLANES`.
    """
    _check_error(error)
    for name, value in (("numerical aperture", numerical_aperture), ("pixel", pixel_um), ("depth", depth_um)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a finite number above zero, not {value!r}")
    total = 2 * numerical_aperture * depth_um / pixel_um
    count = _count(total, spacing_px, planes)
    step = depth_um / (count - 1)
    return Plan("um", np.linspace(0, depth_um, count), total / (count - 1), total, np.full(count, step * error), error)


def _count(total_px: float, spacing_px: float, planes: int | None) -> int:
    """The planes that were asked for, or as many as keep neighbours within the spacing."""
    if planes is not None:
        count = planes
    elif math.isfinite(spacing_px) and spacing_px > 0:
        count = max(2, math.ceil(min(total_px / spacing_px, MOST_PLANES) - 1e-9) + 1)
    else:
        raise ValueError(f"spacing must be a finite number of pixels above zero, not {spacing_px!r}")
    if count > MOST_PLANES:
        raise ValueError(f"more than {MOST_PLANES} planes: check the units, or ask for fewer or a larger spacing")
    if count < 2:
        raise ValueError(f"a focal stack needs at least 2 planes, not {count}")
    return count


def _check_error(error: float) -> None:
    if not (math.isfinite(error) and error > 0):
        raise ValueError(f"error must be a finite number of plane spacings above zero, not {error!r}")
