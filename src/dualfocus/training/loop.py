"""The training loop: `dualfocus train config.yaml`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dualfocus.losses import distillation_loss
from dualfocus.models import build_network
from dualfocus.models.layers import use_channels_last
from dualfocus.models.weights import load_weights, save_weights
from dualfocus.training.batches import batch_loader
from dualfocus.training.checkpoint import NAME, check_new_run, load_checkpoint, save_checkpoint
from dualfocus.training.config import LossConfig, TrainConfig, read_config
from dualfocus.training.distillation import Teacher
from dualfocus.training.fit_confidence import fit_confidence_map
from dualfocus.training.log import TrainingLog
from dualfocus.training.objective import Batch, depth_beta, network_input, objective
from dualfocus.training.run_clock import RunClock
from dualfocus.training.run_record import origin, run_record
from dualfocus.training.sources import open_source
from dualfocus.training.unblurred import SharpBatch, on_device
from dualfocus.training.validate import Validation

_FREE = ("learning_rate", "clip")  # optimiser settings that act anew at every step: a resumed run may have others


def train(config_path: Path, resume: bool = False, time_limit: float | None = None, output: Path | None = None) -> Path:
    """Train as a configuration says and export the averaged weights.

    Args:
        config_path: YAML, see `TrainConfig`.
        resume: go on from the checkpoint in the output folder, with the same batches and losses.
        time_limit: minutes; replaces the configured one, the learning rate ends with it.
        output: replaces the configured output folder.

    Returns:
        path of the exported `.safetensors`.

    Raises:
        ValueError: a bad configuration or time limit, an output folder with another run in it, nothing to resume.
    """
    if time_limit is not None and not time_limit > 0:
        raise ValueError(f"the time limit must be above 0 minutes, not {time_limit:g}")
    config = read_config(config_path)
    if output is not None:
        config.output = output
    if time_limit is not None:
        config.budget.minutes = time_limit
    if not resume:
        check_new_run(config.output)
    return Trainer(config, resume).run()


class Trainer:
    """One run: network, averaged copy, optimiser, schedule, clock."""

    def __init__(self, config: TrainConfig, resume: bool = False) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        self.accelerator = Accelerator(mixed_precision=config.precision)
        network = build_network(config.model.name, config.model.options)
        self.initial: dict[str, Any] | None = None
        if config.initial_weights is not None:
            trained, record = load_weights(config.initial_weights)
            self.initial = origin(record)
            _load_into(network, trained.state_dict(), config.initial_weights)
        network = network.to(self.accelerator.device)
        use_channels_last(network)
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.optimiser.ema), use_buffers=True)
        optimiser = torch.optim.AdamW(_parameter_groups(network, config.optimiser.weight_decay), lr=0.0)
        self.network, self.optimiser = self.accelerator.prepare(network, optimiser)
        device = self.accelerator.device
        self.teacher = config.teacher and Teacher(config.teacher, config.data.coordinate, device)
        self.validation = Validation(config.validation, config.seed, config.data.coordinate)
        self.step, self.clock = 0, RunClock()
        for source in config.data.sources:
            # the loader opens its own sources; a bad one is refused here, in one line
            open_source(source, config.data.coordinate)
        if resume:
            self._restore(load_checkpoint(config.output))

    def run(self) -> Path:
        """Train to the end of the budget; returns the exported weights."""
        config = self.config
        batches = batch_loader(config.data, config.seed, self.step, config.budget.steps)
        self.clock.start()
        with TrainingLog(config.output) as log, _progress_bar() as bar:
            task = bar.add_task("training", total=config.budget.steps, completed=self.step)
            for batch in self.clock.waiting(batches):
                if self.progress() >= 1:
                    break
                losses = self.train_step(batch)
                log.losses(self.step, losses, self.clock.elapsed)
                self.step += 1
                bar.update(task, completed=self.step, description=f"loss {losses['total']:.3f}")
                if self.step % config.validation.every_steps == 0:
                    self._validate(log)
                if self.clock.due(60 * config.checkpoint_minutes):
                    self._save()
            self.clock.tick()
            figures = self._validate(log)
            self._save()
        return self.export(figures)

    def progress(self) -> float:
        """Share of the budget that is used, of steps or of time, whichever is more."""
        budget = self.config.budget
        share = self.step / budget.steps
        return share if budget.minutes is None else max(share, self.clock.elapsed / (60 * budget.minutes))

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to 1 % at the end of the budget, or constant."""
        optimiser = self.config.optimiser
        warm = min(1.0, (self.step + 1) / max(1, optimiser.warmup_steps))
        if optimiser.schedule == "constant":
            return optimiser.learning_rate * warm
        return optimiser.learning_rate * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, self.progress()))) / 2)

    def train_step(self, batch: Batch | SharpBatch) -> dict[str, float]:
        """One optimiser step; returns the loss terms."""
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        moved = on_device(batch, self.accelerator.device)
        images, coordinates = network_input(moved), moved["coordinates"]
        with self.accelerator.autocast():
            output = self.network(images, coordinates)
            taught = self.teacher.answer(images, coordinates) if self.teacher else None
        losses = objective(output, moved, self.config.loss)
        if self.teacher and taught:
            away = distillation_loss(output, taught, depth_beta(self.config.loss, coordinates.shape[1]))
            losses = losses._replace(total=losses.total + self.teacher.weight * away)
        self._require_finite("loss", losses.total)
        self.optimiser.zero_grad(set_to_none=True)
        self.accelerator.backward(losses.total)
        length = self.accelerator.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip)
        if self.accelerator.scaler is None:  # which leaves out such steps by itself
            self._require_finite("gradient", length)
        self.optimiser.step()
        self.average.update_parameters(self.accelerator.unwrap_model(self.network))
        return {key: float(value.detach()) for key, value in losses._asdict().items()}

    def _require_finite(self, name: str, value: torch.Tensor) -> None:
        """Stop the run before a step that would poison the averaged weights."""
        if not torch.isfinite(value):
            raise ValueError(f"step {self.step}: the {name} is not finite; lower optimiser.learning_rate and --resume")

    def export(self, figures: dict[str, float]) -> Path:
        """Write the averaged weights with their record."""
        path = self.config.output / f"{self.config.model.name}.safetensors"
        record = run_record(self.config, self.step, self.clock, figures, self.accelerator.device)
        record["initial_weights"] = self.initial  # null: it began with random numbers
        record["teacher"] = origin(self.teacher.record) if self.teacher else None
        held_out = self.validation.draw_for_confidence()
        record["confidence_map"] = fit_confidence_map(self.average.module, held_out, self.accelerator.device)
        save_weights(path, self.config.model.name, self.average.module, record)
        return path

    def _validate(self, log: TrainingLog) -> dict[str, float]:
        pictures = self.config.output / "pictures" / f"{self.step:06d}"
        figures = self.validation(self.average.module, self.accelerator.device, pictures)
        log.validation(self.step, figures, self.clock.elapsed)
        return figures

    def _save(self) -> None:
        state = {
            "settings": self._settings(),
            "network": self.accelerator.unwrap_model(self.network).state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
            "step": self.step,
            **self.clock.state(),
            "random": torch.get_rng_state(),
        }
        save_checkpoint(self.config.output, state)

    def _settings(self) -> dict[str, Any]:
        """What a run depends on from its first step to its last; its budget may grow, its learning rate change."""
        free = {"output", "budget", "checkpoint_minutes", "looks", "validation"}
        whole = self.config.model_dump(mode="json", exclude=free)
        return _lasting(whole)

    def _restore(self, state: dict[str, Any]) -> None:
        _load_into(self.accelerator.unwrap_model(self.network), state["network"], self.config.output / NAME)
        settings = self._settings()
        earlier = _lasting(state.get("settings", settings))
        changed = [key for key, value in settings.items() if earlier.get(key) != value]
        if changed:
            raise ValueError(
                f"{self.config.output / NAME}: the run began with other settings of {changed[0]!r}; set them back, or"
                " give another output folder"
            )
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        if state["scaler"] is not None and self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]
        self.clock.restore(state)
        torch.set_rng_state(state["random"])


def _lasting(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that may change; checkpoints of earlier versions hold all of them.

    A weight of the loss that they lack was a constant then, its default.
    """
    optimiser = {key: value for key, value in settings["optimiser"].items() if key not in _FREE}
    loss = LossConfig.model_validate(settings["loss"]).model_dump(mode="json")
    return settings | {"optimiser": optimiser, "loss": loss}


def _load_into(network: torch.nn.Module, state: dict[str, torch.Tensor], source: Path) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise ValueError(f"{source}: made for another network than the configured one; compare `model`") from None


def _parameter_groups(network: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for kernels alone, not for norms and biases."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _progress_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, refresh_per_second=1)
