"""The option in which two runs of a batch differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Settings whose option is called otherwise than they are.
_OPTIONS = {"points": "--calibrate", "points_unit": "--unit", "points_coordinate": "--calibrate-in"}
_READING = ("reading", "load")  # and what earlier versions called it


def changed_option(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What the earlier run had in place of this one's: `--focus 1,2,3`, or `no --focus`; None where all is the same.

    Args:
        before: the settings of the earlier run as plain data; one that an earlier version did not know is not set.
        now: those of this run.
    """
    earlier, wanted = _flat(before), _flat(now)
    for key in {**earlier, **wanted}:
        value = earlier.get(key)
        if value != wanted.get(key):
            option = _OPTIONS.get(key, f"--{key.replace('_', '-')}")
            if value in (None, []):
                return f"no {option}"
            return f"{option} {value}" if isinstance(value, (str, int, float)) else f"another {option}"
    return None


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings and how the stacks are read, by their names; with a calibration, the unit is that of its points."""
    flat = {key: value for key, value in settings.items() if key not in _READING}
    for reading in (settings[key] for key in _READING if isinstance(settings.get(key), dict)):
        flat |= {key: value for key, value in reading.items() if key != "unit" or not settings.get("points")}
    return flat
