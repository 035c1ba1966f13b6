"""What came out, in a line for people."""

from __future__ import annotations

import math
from typing import Any

from dualfocus.outputs.numbers import apart
from dualfocus.outputs.result import DepthResult


def summary(result: DepthResult) -> str:
    """One line: the range of the depth and how much of the image has one."""
    if result.depth_range is None:
        return "no pixel has a valid depth"
    low, high = result.depth_range
    share = f"{100 * float(result.valid.mean()):.3g} % of the pixels valid"
    if result.unit == "index":
        return f"depth from plane {low:.2f} to {high:.2f} (fractional plane index), {share}"
    nearest, farthest = apart((low, high))
    return f"depth from {nearest} to {farthest} {result.unit}, {share}"


def residuals(calibration: dict[str, Any]) -> str:
    """One line: how far each point of `DepthResult.calibration` is from the fit."""
    far = [
        "infinity" if point["fitted"] is None else f"{point['fitted']:.4g} for {_or_infinity(point['given']):.4g}"
        for point in calibration["points"]
    ]
    return f"calibration: the fit gives {', '.join(far)} {calibration['unit']}"


def _or_infinity(distance: float | None) -> float:
    return math.inf if distance is None else distance  # JSON has no infinity
