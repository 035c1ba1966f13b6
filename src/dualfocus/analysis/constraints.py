"""What the two constraints change: networks with and without them, in every experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dualfocus.models import KINDS

REFERENCE = "without both constraints"


class Change(NamedTuple):
    """RMSE of a model over that of the network without both constraints: geometric mean, least and most over levels.

    `experiment` is the title of one.
    """

    experiment: str
    model: str
    ratio: float
    least: float
    most: float


def switches(record: Mapping[str, Any]) -> dict[str, str] | None:
    """The two constraints as a network was trained, from the record of its weights; None for what never had them."""
    loss = record.get("training", {}).get("loss")
    kind = KINDS.get(record.get("model", ""))
    if loss is None or kind is None or not kind.constrained:
        return None
    spatial = record["options"].get("spatial", "full")
    if spatial == "full" and loss["spatial"] == 0:
        spatial = "no_loss"
    return {"spatial": spatial, "focal": "on" if loss["focal"] > 0 else "off"}


def changes(answers: Sequence[Mapping[str, Any]], models: Mapping[str, Mapping[str, Any]]) -> list[Change]:
    """Every model with switches against the one that has both off; nothing when there is none.

    Args:
        answers: what `runner.measure` returned.
        models: name to a description with `switches`.
    """
    with_switches = {name: model["switches"] for name, model in models.items() if model["switches"]}
    bare = next((name for name, s in with_switches.items() if (s["spatial"], s["focal"]) == ("off", "off")), None)
    if bare is None:
        return []
    found = []
    for answer in answers:
        rmse = {(row["model"], row["level"]): row["rmse"] for row in answer["rows"]}
        levels = dict.fromkeys(level for _, level in rmse)
        for name in with_switches:
            ratio = [rmse[name, level] / rmse[bare, level] for level in levels] if name != bare else []
            if ratio:
                mean = float(np.exp(np.mean(np.log(ratio))))
                found.append(Change(answer["title"], name, mean, min(ratio), max(ratio)))
    return found
