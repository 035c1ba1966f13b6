"""What tells two models apart: a short hash of all that decides their answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# keys of a record that change what the same weights answer
_DECIDING = ("options", "coordinate", "looks", "confidence_map")


def fingerprint(model: Any) -> str:
    """Short hash of all that decides a model's answers: weights, settings, confidence map, precision; or "none".

    Its networks are found among its attributes; a model without any may have a `fingerprint` of its own.
    """
    if callable(getattr(model, "fingerprint", None)):
        return str(model.fingerprint())
    parts = [model, *vars(model).values()] if hasattr(model, "__dict__") else [model]
    networks = [part for part in parts if callable(getattr(part, "state_dict", None))]
    if not networks:
        return "none"
    digest = hashlib.sha256()
    for network in networks:
        for key, tensor in sorted(network.state_dict().items()):
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    record = getattr(model, "record", None)
    said = {key: record.get(key) for key in _DECIDING} if isinstance(record, Mapping) else {}
    own = [_settings(network) for network in networks]
    digest.update(json.dumps([said, getattr(model, "precision", None), own], sort_keys=True, default=repr).encode())
    return digest.hexdigest()[:16]


def _settings(network: Any) -> dict[str, Any]:
    """The numbers and names that a network without weights, such as `classical`, is made with."""
    kept = {key: value for key, value in vars(network).items() if isinstance(value, (bool, int, float, str, tuple))}
    return {key: value for key, value in kept.items() if not key.startswith("_") and key != "training"}
