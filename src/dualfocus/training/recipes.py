"""How each network is trained in `configs/`: the weights of its loss, where a configuration does not say others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SMALL = {
    "spatial": 0.03,
    "baselines": (1, 2, 4),
    "focal": 0.3,
    "beta": 0.3,
    "beta_unit": "range",
    "side": (0.25, 0.5, 0.5, 0.25),
}
_VOLUMETRIC = {"side": (0.5, 0.25, 0.125)}
LOSSES: Mapping[str, Mapping[str, Any]] = {
    "dualfocus-s": _SMALL,
    "dualfocus-xs": _SMALL,
    "dualfocus-paper": {"spatial": 0.05, "focal": 1.0, **_VOLUMETRIC},
    "dfv": {"spatial": 0.0, "focal": 0.0, **_VOLUMETRIC},
}
