"""Focus distances as numbers with a unit: parsed, read from file names, converted and compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dualfocus.readers.names import DOUBT, numbers_in
from dualfocus.remedies import Remedy
from dualfocus.stack import UNITS

_ALIASES = {
    "m": ("metre", "metres", "meter", "meters"),
    "mm": ("millimetre", "millimetres", "millimeter", "millimeters"),
    "um": ("µm", "μm", "micron", "microns", "micrometre", "micrometres", "micrometer", "micrometers"),
    "dioptre": ("dioptres", "diopter", "diopters", "dpt", "d"),
}
_UNIT_OF = {alias: unit for unit, aliases in _ALIASES.items() for alias in (unit, *aliases)}
_IN_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6}


class FocusDistances(NamedTuple):
    """The focus distance of every plane, and the unit of all of them."""

    values: list[float]
    unit: str


def normalise_unit(unit: str | None) -> str | None:
    """The contract's name of a unit or of one of its aliases such as "diopters" (ValueError when unknown)."""
    if unit is None or unit in UNITS:
        return unit
    known = _UNIT_OF.get(unit.strip().lower()) if isinstance(unit, str) else None
    if known is None:
        raise ValueError(f"unknown unit {unit!r}: use one of {', '.join(UNITS)}")
    return known


def parse_focus(focus: str | Iterable[float]) -> Any:
    """Distances given by the user: numbers, or text with commas such as "0.3, 0.5, 1" (ValueError naming the value)."""
    if not isinstance(focus, str):
        return focus if hasattr(focus, "__len__") or not isinstance(focus, Iterable) else list(focus)
    values = []
    for part in focus.split(","):
        try:
            values.append(float(part))
        except ValueError as error:
            raise ValueError(
                f"focus distance {part.strip()!r} is not a number: give numbers with commas between and a point for"
                f" decimals, such as 0.3,0.5,1; what they are in goes to {Remedy('unit')}"
            ) from error
    return values


def even_steps(count: int, z_step_um: float) -> FocusDistances:
    """Stage positions of `count` planes that are a z step of micrometres apart, from zero."""
    return FocusDistances([n * z_step_um for n in range(count)], "um")


def from_metres(distances: Sequence[float]) -> FocusDistances:
    """Distances in metres, or in dioptres when one of them is infinity."""
    if math.inf in distances:
        return FocusDistances([1 / distance for distance in distances], "dioptre")
    return FocusDistances(list(distances), "m")


def disagree(first: FocusDistances, second: FocusDistances) -> bool:
    """Whether two sources state other distances: by more than a tenth and a twentieth of a dioptre, or 5 % in z.

    Stage positions count from anywhere, and are not compared with distances from a camera.
    """
    if (first.unit == "um") != (second.unit == "um"):
        return False
    a, b = (np.asarray(_comparable(distances), np.float64) for distances in (first, second))
    if first.unit == "um":
        return bool((np.abs((a - a[0]) - (b - b[0])) > 0.05 * np.ptp(a) / (len(a) - 1)).any())
    return bool((np.abs(a - b) > np.maximum(0.05, 0.1 * np.maximum(a, b))).any())


def describe(distances: FocusDistances) -> str:
    """The first of the distances, for a message."""
    values, unit = distances
    return ", ".join(f"{value:.4g}" for value in values[:4]) + (", ..." if len(values) > 4 else "") + f" {unit}"


def from_names(stems: Sequence[str]) -> FocusDistances | None:
    """Distances in file names without suffix, such as image_3_0.80, 0.50m, 0,5m, focus_350_mm, 2.5D; None in doubt.

    A distance has a decimal point or a unit; a plain counter never is one. What all names share (a lens, an f-number)
    is left out; then every name must have exactly one distance, all in one unit, all different. No unit means metres,
    unless another word of the name speaks against it (see `names.py`).
    """
    tokens = [numbers_in(stem) for stem in stems]
    shared = set.intersection(*map(set, tokens)) if tokens else set()
    distinct = [[token for token in tokens_of_name if token not in shared] for tokens_of_name in tokens]
    if any(len(tokens_of_name) != 1 for tokens_of_name in distinct):
        return None
    values = [value for ((value, _),) in distinct]
    units = {unit for ((_, unit),) in distinct}
    if len(units) != 1 or DOUBT in units or len(set(values)) != len(values) or not all(map(math.isfinite, values)):
        return None
    unit = units.pop() or "m"
    if unit == "cm":
        values, unit = [value / 100 for value in values], "m"
    if min(values) < 0 and unit != "um" or min(values) == 0 and unit in ("m", "mm"):
        return None
    return FocusDistances(values, unit)


def convert(distances: FocusDistances, unit: str | None) -> FocusDistances:
    """Distances whose unit is known, in the unit the user asked for (zero dioptres only stay dioptres)."""
    values, known = distances
    if unit is None or unit == known:
        return distances
    if known == "dioptre" and 0 in values:
        raise ValueError(f"a focus distance is infinity, which unit {unit!r} cannot hold: use unit 'dioptre'")
    metres = [1 / value if known == "dioptre" else value * _IN_METRES[known] for value in values]
    if unit == "dioptre" and min(metres) <= 0:
        raise ValueError(f"focus distances in {known} that are not above zero cannot be given in dioptres")
    converted = [1 / value if unit == "dioptre" else value / _IN_METRES[unit] for value in metres]
    return FocusDistances(converted, unit)


def _comparable(distances: FocusDistances) -> list[float]:
    values, unit = distances
    return values if unit in ("um", "dioptre") else [1 / (value * _IN_METRES[unit]) for value in values]
