"""The record of a training run, that its weights carry."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import torch

from dualfocus.models.record import TrainingRecord
from dualfocus.training.config import TrainConfig
from dualfocus.training.run_clock import RunClock

# keys of the record of other weights that are kept in the record of those made from them
_ORIGIN = ("model", "data", "steps", "minutes", "hardware", "seed", "averaged", "initial_weights")


def run_record(
    config: TrainConfig, steps: int, clock: RunClock, figures: dict[str, float], device: torch.device
) -> TrainingRecord:
    """What the weights say of the run, except the networks that had a part in it and the confidence map.

    Args:
        config: of the run.
        steps: of the optimiser.
        clock: of the run.
        figures: of the last validation.
        device: it ran on.
    """
    record: TrainingRecord = {
        "data": [
            {"kind": s.kind, "name": s.path.name if s.path else "noise textures", "licence": s.licence}
            for s in config.data.sources
        ],
        "steps": steps,
        "minutes": round(clock.elapsed / 60, 1),
        "processor_minutes": round(clock.processor / 60, 1),
        "waiting_minutes": round(clock.waited / 60, 1),
        "hardware": describe_hardware(device),
        "seed": config.seed,
        "precision": config.precision,
        "validation": {key: round(value, 5) for key, value in figures.items()},
        "preprocessing": "display-encoded RGB in [0, 1]; planes near to far; coordinate scaled to [0, 1]",
        "coordinate": config.data.coordinate,
        "training": config.model_dump(mode="json", include={"loss", "optimiser"})
        | {"crop": config.data.crop, "planes": list(config.data.planes)},
    }
    if config.looks is not None:
        record["looks"] = config.looks
    return record


def origin(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of the record of other weights that had a part in these."""
    return {key: record[key] for key in _ORIGIN if key in record}


def describe_hardware(device: torch.device) -> str:
    """What the run ran on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads of {platform.processor() or platform.machine()} CPU"
