"""From a relative result to a metric one: two or more pixels whose distance is known fix the focus axis.

A lens is moved in equal steps by most cameras and phones, which makes the inverse of the focus distance an affine
function of the plane's index (thin lens: 1/f_n = 1/F - 1/v_n, with the image distance v_n near F); a stage moves the
distance itself in equal steps. So depth follows from the fractional plane index i as 1/z = a + b i, or z = a + b i.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.derived import shallow_copy
from dualfocus.outputs.result import DepthResult
from dualfocus.stack import FocalStack
from dualfocus.stack.distances import AT_INFINITY, PER_METRE

COORDINATES = ("inverse_depth", "depth")
UNITS = ("m", "mm", "um", "dioptre")

_AROUND = 2  # pixels to each side whose median is the index of a point
_SAME_PLANE = 0.5  # planes, within which the order of two points says nothing
_SMALL_SHARE = 0.5  # of the depth range; points that span less leave most of it extrapolated

Point = tuple[float, float, float]  # x, y in pixels from the upper left, distance


def parse_points(texts: Iterable[str]) -> list[Point]:
    """Points given as text, "x,y=distance", several in one text with blanks between (ValueError naming a wrong one)."""
    points = []
    for part in itertools.chain.from_iterable(text.split() for text in texts):
        try:
            where, distance = part.split("=")
            x, y = where.split(",")
            points.append((float(x), float(y), float(distance)))
        except ValueError as error:
            raise ValueError(f"calibration point {part!r} is not x,y=distance, such as 320,240=0.8") from error
    return points


def check_points(points: Sequence[Point], size: tuple[int, int], unit: str, coordinate: str | None) -> str:
    """Find out what is wrong with points before anything is computed.

    Args:
        points: (x, y, distance), two or more.
        size: (H, W) of the images.
        unit: of the distances: "m", "mm", "um" or "dioptre".
        coordinate: in which index and distance are affine; None for inverse depth, and depth for um.

    Returns:
        The coordinate.

    Raises:
        ValueError: the point or value that is wrong.
    """
    if unit not in UNITS:
        raise ValueError(f"unit {unit!r} is none of a calibration's: use one of {', '.join(UNITS)}")
    chosen = coordinate or ("depth" if unit == "um" else "inverse_depth")
    if chosen not in COORDINATES:
        raise ValueError(f"calibration coordinate {chosen!r} is not one of {', '.join(COORDINATES)}")
    if chosen == "inverse_depth" and unit == "um":
        raise ValueError("micrometres are stage positions, which have no inverse: calibrate them in depth")
    if len(points) < 2:
        raise ValueError(f"{len(points)} calibration points: two or more at different distances are needed")
    height, width = size
    for x, y, distance in points:
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            raise ValueError(f"calibration point {x:g},{y:g} is outside the image of {width} x {height} pixels")
        lowest = {"um": -math.inf, "dioptre": 0.0 if chosen == "inverse_depth" else 1e-12}.get(unit, 1e-12)
        if not math.isfinite(distance) or distance < lowest:
            raise ValueError(f"calibration point {x:g},{y:g}: {distance:g} is no distance in {unit}")
    return chosen


def calibrate(
    result: DepthResult, points: Sequence[Point], unit: str = "m", coordinate: str | None = None
) -> DepthResult:
    """A metric result from a relative one and points of known distance, by least squares.

    Args:
        result: in unit "index".
        points: (x, y, distance): pixel coordinates from the upper left, and the distance in `unit`. Two or more.
        unit: "m", "mm", "um" or "dioptre" (the result is then in metres).
        coordinate: "inverse_depth" (the default for m, mm and dioptre) or "depth" (for um).

    Returns:
        A new result in `unit`; `calibration` holds the fit and its residuals. Where the fit puts a pixel at infinity
        (to a fiftieth of a plane) or beyond, its depth is infinite and it is not valid.

    Raises:
        ValueError: a result that is metric already, a point outside the image or where nothing is in focus, fewer than
            two, or points whose distances do not follow the order of the planes.
    """
    if result.unit != "index":
        raise ValueError(f"the depth is in {result.unit} already: a calibration is for stacks without distances")
    coordinate = check_points(points, (result.depth.shape[0], result.depth.shape[1]), unit, coordinate)
    indices = np.array([_index_at(result, x, y) for x, y, _ in points])
    wanted = _to_coordinate(np.array([point[2] for point in points], np.float64), unit, coordinate)
    _check_order(points, indices, wanted, coordinate, result.order)
    slope, start = np.polyfit(indices, wanted, 1)
    depth, std = _carry(result, float(slope), float(start), coordinate)
    valid = result.valid & np.isfinite(depth) & ((depth > 0) | (unit == "um"))
    planes = None if not result.images else start + slope * np.arange(len(result.images))
    metric = "m" if unit == "dioptre" else unit
    impossible = [] if planes is None else _impossible_planes(planes, metric, coordinate)
    distances, focus_unit = _plane_distances(planes, metric, coordinate)
    return replace(
        result,
        depth=depth,
        std=std,
        valid=valid,
        unit=metric,
        focus_distances=distances,
        focus_unit=focus_unit,
        order=None,
        warnings=[*result.warnings, *_warnings(result, indices), *impossible],
        calibration={
            "coordinate": coordinate,
            "unit": metric,
            "formula": ("1 / depth" if coordinate == "inverse_depth" else "depth") + " = start + slope * plane index",
            "start": float(start),
            "slope": float(slope),
            **_fit_at_points(points, indices, wanted, start + slope * indices, coordinate),
        },
    )


def metric_stack(stack: FocalStack, result: DepthResult) -> FocalStack:
    """The stack with the distances that a calibration gave its planes, for showing them; still lazy."""
    found = shallow_copy(stack)
    if result.focus_distances is None:
        return found
    distances = result.focus_distances[stack.coordinates.astype(int)]  # of the planes that alignment left
    found.focus_distances, found.unit = distances, result.focus_unit or result.unit
    if found.unit == "dioptre" and result.unit == "mm":
        with np.errstate(divide="ignore"):  # infinity
            found.focus_distances, found.unit = 1000 / distances, "mm"
    return found


def _index_at(result: DepthResult, x: float, y: float) -> float:
    """The plane index at a pixel: the median of the valid ones around it, so that one noisy pixel does not count."""
    row, column = math.floor(y + 0.5), math.floor(x + 0.5)
    if not result.valid[row, column]:
        raise ValueError(f"calibration point {x:g},{y:g}: nothing is in focus there; choose a textured place")
    box = tuple(slice(max(0, at - _AROUND), at + _AROUND + 1) for at in (row, column))
    return float(np.median(result.depth[box][result.valid[box]]))


def _to_coordinate(distances: NDArray[np.float64], unit: str, coordinate: str) -> NDArray[np.float64]:
    """Distances in `unit` in the coordinate of the fit; dioptres become metres."""
    is_inverse = unit == "dioptre"
    return distances if is_inverse == (coordinate == "inverse_depth") else 1 / distances


def _check_order(
    points: Sequence[Point],
    indices: NDArray[np.float64],
    wanted: NDArray[np.float64],
    coordinate: str,
    order: str | None,
) -> None:
    """The distances must rise or fall with the plane index throughout, and as the order says where that is known."""
    if np.ptp(indices) < _SAME_PLANE:
        raise ValueError("the calibration points are all at the same plane: choose places at different distances")
    away = -wanted if coordinate == "inverse_depth" else wanted  # grows with distance
    rising = {"near_to_far": 1, "far_to_near": -1}.get(order or "", 0)
    if not rising:
        rising = int(np.sign(away[int(np.argmax(indices))] - away[int(np.argmin(indices))])) or 1
    for a, b in itertools.permutations(range(len(points)), 2):
        if indices[b] - indices[a] > _SAME_PLANE and rising * (away[b] - away[a]) <= 0:
            first, second = (f"{points[n][0]:g},{points[n][1]:g}={points[n][2]:g}" for n in (a, b))
            raise ValueError(
                f"calibration points {first} and {second} are in focus in planes {indices[a]:.1f} and "
                f"{indices[b]:.1f}, which contradicts {f'the order {order}' if order else 'the other points'}"
            )


def _carry(
    result: DepthResult, slope: float, start: float, coordinate: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Depth and its standard deviation; the derivative of 1/u is z^2."""
    u = start + slope * result.depth.astype(np.float64)
    spread = abs(slope) * result.std.astype(np.float64)
    if coordinate == "depth":
        return u.astype(np.float32), spread.astype(np.float32)
    depth = np.divide(1, u, out=np.full_like(u, np.inf), where=~(u <= AT_INFINITY * abs(slope)))
    with np.errstate(invalid="ignore", over="ignore"):
        std = np.where(np.isinf(depth), np.inf, depth * depth * spread)
        return depth.astype(np.float32), std.astype(np.float32)


def _fit_at_points(
    points: Sequence[Point],
    indices: NDArray[np.float64],
    wanted: NDArray[np.float64],
    fitted: NDArray[np.float64],
    coordinate: str,
) -> dict[str, Any]:
    """The record of the points, given and as the fit has them; two points are fitted exactly, so leave no residual."""
    given, found = _depths(wanted, coordinate), _depths(fitted, coordinate)
    return {
        "points": [
            {"x": float(x), "y": float(y), "plane_index": float(index), "given": known, "fitted": fit}
            for (x, y, _), index, known, fit in zip(points, indices, given, found, strict=True)
        ],
        "rms_residual": float(np.sqrt(np.mean((fitted - wanted) ** 2))) if len(points) > 2 else None,
    }


def _plane_distances(
    planes: NDArray[np.float64] | None, unit: str, coordinate: str
) -> tuple[NDArray[np.float64] | None, str | None]:
    """Focus distances of the planes and their unit: dioptres where the fit is in inverse depth, 0 being infinity.

    None where a plane would lie behind the camera: no such distance can be stated.
    """
    if planes is None or (_is_camera_depth(unit, coordinate) and (planes <= 0).any()):
        return None, None
    if coordinate == "inverse_depth":
        return np.clip(planes * PER_METRE[unit], 0, None), "dioptre"
    return planes, unit


def _impossible_planes(planes: NDArray[np.float64], unit: str, coordinate: str) -> list[str]:
    """A warning where the fit focuses planes where there is nothing: beyond infinity, or behind the camera."""
    count = int((planes <= 0).sum())
    if coordinate == "inverse_depth":
        where, least = "at infinity or beyond", 2  # one plane may well be focused at infinity
    elif _is_camera_depth(unit, coordinate):
        where, least = "at or behind the camera", 1
    else:
        return []
    if count < least:
        return []
    return [f"by the calibration points {count} of {len(planes)} planes are focused {where}: check the points"]


def _is_camera_depth(unit: str, coordinate: str) -> bool:
    """Depth itself, counted from the camera; micrometres are stage positions, which may be negative."""
    return coordinate == "depth" and unit != "um"


def _depths(values: NDArray[np.float64], coordinate: str) -> list[float | None]:
    """Values of the coordinate as depth; None for infinity."""
    if coordinate == "depth":
        return [float(value) for value in values]
    return [1 / float(value) if value > 0 else None for value in values]


def _warnings(result: DepthResult, indices: NDArray[np.float64]) -> list[str]:
    low, high = np.percentile(result.depth[result.valid], (2, 98))
    if np.ptp(indices) >= _SMALL_SHARE * (high - low):
        return []
    return [
        f"the calibration points span planes {indices.min():.1f} to {indices.max():.1f} and the scene {low:.1f} to "
        f"{high:.1f}: depth beyond the points is extrapolated"
    ]
