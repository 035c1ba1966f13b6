"""Networks built from shared parts by configuration, and the classical estimator."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from torch import nn

from dualfocus.models.small import DualFocusSmall, SmallConfig
from dualfocus.models.volumetric import VolumetricConfig, VolumetricNetwork

NETWORKS = ("dualfocus-s", "dualfocus-xs", "dualfocus-paper", "dfv")
_XS = {"encoder": (8, 16, 32, 64), "decoder": (16, 32, 64), "context": (16, 32, 64, 128), "surfaces": 8}


def build_network(name: str, options: dict[str, Any] | None = None) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: one of ``NETWORKS``.
        options: changes to its configuration, e.g. ``{"spatial": "off"}`` for an ablation.

    Raises:
        ValueError: unknown name, option or value.
    """
    options = dict(options or {})
    if name == "dualfocus-s":
        return DualFocusSmall(_configure(SmallConfig, name, options))
    if name == "dualfocus-xs":
        return DualFocusSmall(_configure(SmallConfig, name, _XS | options))
    if name == "dualfocus-paper":
        return VolumetricNetwork(_configure(VolumetricConfig, name, options))
    if name == "dfv":
        options = {"volume": "difference", "spatial": "off"} | options
        return VolumetricNetwork(_configure(VolumetricConfig, name, options))
    raise ValueError(f"model: {name!r} is not a network; choose one of {', '.join(NETWORKS)}")


def network_options(network: nn.Module) -> dict[str, Any]:
    """The configuration of a network as plain values, as :func:`build_network` takes it."""
    config = getattr(network, "config", None)
    if not is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"{type(network).__name__} is not one of this package's networks")
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}


def _configure(kind: type, name: str, options: dict[str, Any]):
    defaults = {field.name: field.default for field in fields(kind)}
    unknown = sorted(set(options) - set(defaults), key=str)
    if unknown:
        raise ValueError(f"{name}: unknown option {unknown[0]!r}; it has {', '.join(sorted(defaults))}")
    checked = {key: _checked(f"{name}: option {key}", value, defaults[key]) for key, value in options.items()}
    return kind(**checked)


def _checked(what: str, value: Any, default: Any) -> Any:
    """A value if it is of the kind of the default (ValueError naming ``what`` otherwise); lists become tuples."""
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
