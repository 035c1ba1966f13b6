"""The configuration of a network from plain values, checked, and back."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import nn

Config = TypeVar("Config")


def network_options(network: nn.Module) -> dict[str, Any]:
    """The configuration of a network as plain values, as `dualfocus.models.build_network` takes it."""
    config = getattr(network, "config", None)
    if not is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"{type(network).__name__} is not one of this package's networks")
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}


def configure(kind: type[Config], name: str, options: dict[str, Any]) -> Config:
    """A configuration from some of its values; the others are its defaults.

    Args:
        kind: dataclass of the configuration.
        name: the network's name, for messages.
        options: plain values by name.

    Raises:
        ValueError: unknown option or value.
    """
    defaults = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(options) - set(defaults), key=str)
    if unknown:
        raise ValueError(f"{name}: unknown option {unknown[0]!r}; it has {', '.join(sorted(defaults))}")
    checked = {key: _checked(f"{name}: option {key}", value, defaults[key]) for key, value in options.items()}
    return kind(**checked)


def _checked(what: str, value: Any, default: Any) -> Any:
    """A value if it is of the kind of the default (ValueError naming `what` otherwise); lists become tuples."""
    if isinstance(default, tuple):
        if isinstance(value, (list, tuple)) and len(value) == len(default) and all(map(_is_count, value)):
            return tuple(value)
        raise ValueError(f"{what}: {value!r} must be a list of {len(default)} whole numbers above 0")
    if isinstance(default, int) and not _is_count(value):
        raise ValueError(f"{what}: {value!r} must be a whole number above 0")
    if isinstance(default, float) and not (_is_number(value) and 0 < value < math.inf):
        raise ValueError(f"{what}: {value!r} must be a number above 0")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int) and value > 0
