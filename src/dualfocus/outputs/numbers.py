"""Depths and distances as text with as many digits as tell them apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable


def apart(values: Iterable[float]) -> list[str]:
    """Numbers with as many digits, four at least, as show the least step between neighbours to a hundredth."""
    numbers = [float(value) for value in values]
    step = _least_step(numbers)
    digits = (
        math.ceil(math.log10(max(abs(value) for value in numbers if math.isfinite(value)) / step)) + 2 if step else 4
    )
    return [f"{value:.{max(4, digits)}g}" for value in numbers]


def on_a_scale(values: Iterable[float]) -> list[str]:
    """Numbers for the ticks of a scale: three digits, or as many as tell neighbours apart, without an exponent."""
    numbers = [float(value) for value in values]
    step = _least_step(numbers)
    decimals = math.ceil(-math.log10(step)) if step else 0
    return [f"{value:.{max(0, decimals, _decimals(value))}f}" if math.isfinite(value) else "inf" for value in numbers]


def _least_step(numbers: Iterable[float]) -> float:
    """Between neighbours that differ; 0 without any."""
    finite = filter(math.isfinite, numbers)
    return min((abs(b - a) for a, b in itertools.pairwise(finite) if a != b), default=0.0)


def _decimals(value: float) -> int:
    """Behind the point, for three digits in all."""
    return 2 - math.floor(math.log10(abs(value))) if value else 0
