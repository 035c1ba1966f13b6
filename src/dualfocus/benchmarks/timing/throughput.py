"""Is the trainer kept busy: stacks prepared and trained a second, and the share of time it waits for batches."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import TypedDict

from dualfocus.training.batches import BatchDataset, batch_loader
from dualfocus.training.config import ValidationConfig, read_config
from dualfocus.training.loop import Trainer
from dualfocus.training.run_record import describe_hardware

_WARM_UP = 3  # steps that are not counted


class Throughput(TypedDict):
    """What was measured: stacks a second, and the waiting share of the trainer's time."""

    prepared: float
    trained: float
    together: float
    waiting: float
    workers: int
    hardware: str


def to_text(found: Throughput) -> str:
    """The figures in words."""
    return (
        f"{found['prepared']:.1f} stacks a second prepared by one process, {found['trained']:.1f} trained when they are"
        f" ready, {found['together']:.1f} together with {found['workers']} worker(s); the trainer waits"
        f" {100 * found['waiting']:.0f} % of its time ({found['hardware']})"
    )


def measure(config_path: Path, steps: int = 30) -> Throughput:
    """Train a few steps of a configuration without keeping anything.

    Args:
        config_path: YAML of `dualfocus train`.
        steps: counted in each of the three measurements.

    Returns:
        stacks a second that one process prepares, that the network trains on when batches are there, and that both
        manage together with the configured workers; the share of that time spent waiting.

    Raises:
        ValueError: a bad configuration, or fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    config = read_config(config_path)
    config.validation = ValidationConfig()
    trainer = Trainer(config)
    dataset = BatchDataset(config.data, config.seed)
    dataset[0]  # opens the sources
    started = time.perf_counter()
    batches = [dataset[step] for step in range(_WARM_UP, _WARM_UP + steps)]  # the same in all three measurements
    preparing = time.perf_counter() - started
    stacks = sum(len(batch["truth"]) for batch in batches)
    for batch in batches[:_WARM_UP]:
        trainer.train_step(batch)
    started = time.perf_counter()
    for batch in batches:
        trainer.train_step(batch)  # reads its losses, so that it ends when the device has
    training = time.perf_counter() - started
    waiting, together = _together(trainer, steps)
    return Throughput(
        prepared=stacks / preparing,
        trained=stacks / training,
        together=stacks / together,
        waiting=waiting / together,
        workers=config.data.workers,
        hardware=describe_hardware(trainer.accelerator.device),
    )


def _together(trainer: Trainer, steps: int) -> tuple[float, float]:
    """Seconds of waiting and seconds in all, with the loader's own processes at work."""
    config = trainer.config
    supply = iter(batch_loader(config.data, config.seed, 0, steps + _WARM_UP))
    for batch in itertools.islice(supply, _WARM_UP):
        trainer.train_step(batch)
    waiting, started = 0.0, time.perf_counter()
    for _ in range(steps):
        before = time.perf_counter()
        batch = next(supply)
        waiting += time.perf_counter() - before
        trainer.train_step(batch)
    return waiting, time.perf_counter() - started
