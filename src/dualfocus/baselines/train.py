"""Train `va-depth` or the refinement of `hybriddepth-style`: `python -m dualfocus.baselines.train CONFIG`."""

from __future__ import annotations

import argparse
import math
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dualfocus.baselines.refinement import Refinement
from dualfocus.baselines.refinement_training import refining_loss
from dualfocus.baselines.train_config import AnyTraining, Loss, RefinementTraining, Report, VaTraining
from dualfocus.baselines.va_network import VaNetwork
from dualfocus.baselines.va_training import va_loss
from dualfocus.models.weights import save_weights
from dualfocus.training.yaml_config import read_yaml


def train(path: Path, output: Path | None = None, minutes: float | None = None, report: Report = print) -> Path:
    """Train as a configuration says.

    Args:
        path: the YAML file.
        output: folder in place of the configured one.
        minutes: how long to train, in place of the configured time.
        report: called with a line now and then.

    Returns:
        the weights file written.

    Raises:
        ValueError: a bad configuration, an output folder with another run in it, unusable data, or a loss that is not
            finite.
    """
    if minutes is not None and not minutes > 0:
        raise ValueError(f"the time limit must be above 0 minutes, not {minutes:g}")
    config = read_yaml(path, AnyTraining)
    config.output = output or config.output
    config.minutes = minutes or config.minutes
    target = config.output / f"{config.system}.safetensors"
    if target.exists():
        raise ValueError(f"{target}: is there already; give another output folder")
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network: nn.Module
    if config.system == "va-depth":
        network = VaNetwork(config.network).to(device)
        loss = va_loss(network, config, report)
    else:
        network = Refinement(config.network).to(device)
        loss = refining_loss(network, config, report)
    figures = optimise(network, loss, config, report)
    record = {
        "data": [{"name": config.data.name, "licence": config.licence, "images": config.images}],
        **figures,
        "batch": config.batch,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "seed": config.seed,
        "hardware": f"{device.type}, {platform.machine()}, {torch.get_num_threads()} threads",
    }
    save_weights(target, config.system, network, record)
    return target


def optimise(
    network: nn.Module, loss: Loss, config: VaTraining | RefinementTraining, report: Report
) -> dict[str, float]:
    """AdamW with a short warm-up and a cosine to the end of the budget; returns steps, minutes and the last losses."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=config.weight_decay)
    network.train()
    started, step = time.monotonic(), 0
    recent: list[float] = []
    while True:
        minutes = (time.monotonic() - started) / 60
        share = max(step / config.steps, 0.0 if config.minutes is None else minutes / config.minutes)
        if share >= 1:
            break
        rate = config.learning_rate * min(1.0, (step + 1) / 100) * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        for group in optimiser.param_groups:
            group["lr"] = rate
        value = loss()
        if not torch.isfinite(value):
            raise ValueError(f"step {step}: the loss is not finite; lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        recent = [*recent[-49:], float(value.detach())]
        step += 1
        if step % 50 == 0:
            report(f"step {step}, {minutes:.1f} minutes, loss {np.mean(recent):.4f}")
    return {"steps": step, "minutes": round(minutes, 2), "loss": round(float(np.mean(recent)), 5)}


def main(arguments: list[str] | None = None) -> int:
    """The command; 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m dualfocus.baselines.train", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("-o", "--out", type=Path, help="output folder, in place of the configured")
    parser.add_argument("--minutes", type=float, help="in place of the configured")
    given = parser.parse_args(arguments)
    try:
        target = train(given.config, given.out, given.minutes, report=lambda line: print(line, file=sys.stderr))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"weights written to {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
