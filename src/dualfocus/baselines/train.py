"""Train `va-depth` or the refinement of `hybriddepth-style`: `python -m dualfocus.baselines.train CONFIG`."""

from __future__ import annotations

import argparse
import math
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from dualfocus.baselines.baseline import per_metre, scene_of
from dualfocus.baselines.hybriddepth import HybridDepthStyle
from dualfocus.baselines.pictures import open_pictures, shrunk
from dualfocus.baselines.refinement import Refinement, RefinementConfig, refinement_loss
from dualfocus.baselines.va_depth import working_size
from dualfocus.baselines.va_network import CELL, VaConfig, VaNetwork, silog_loss, variational_loss
from dualfocus.datasets import Dataset, StackFolders, open_nyu
from dualfocus.datasets.stride import even_stride
from dualfocus.datasets.unpacked import unpacked
from dualfocus.models.weights import save_weights
from dualfocus.training.yaml_config import read_yaml

Report = Callable[[str], None]
Loss = Callable[[], Tensor]


class _Training(BaseModel):
    """What both systems need; `minutes` and `steps` end the run at whichever comes first."""

    model_config = ConfigDict(extra="forbid")

    data: Path
    output: Path
    licence: str = ""
    images: int | None = Field(default=None, ge=1)  # spread evenly over the data; null for all
    batch: int = Field(default=8, ge=1)
    steps: int = Field(ge=1)
    minutes: float | None = Field(default=None, gt=0)
    learning_rate: float = Field(default=3e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    seed: int = 0


class VaTraining(_Training):
    """`data`: the training images of NYU, in any form or in a pack, or a folder with `rgb` and `depth`."""

    system: Literal["va-depth"]
    kind: Literal["nyu", "rgbd"] = "nyu"  # kind of data
    network: VaConfig = VaConfig()
    variational: float = Field(default=1.0, ge=0)  # weight of that loss beside SILog


class RefinementTraining(_Training):
    """`data`: the training images of NYU, blurred as HybridDepth does, or folders with stack.json and truth."""

    system: Literal["hybriddepth-style"]
    kind: Literal["nyu", "stacks"] = "nyu"  # kind of data
    network: RefinementConfig = RefinementConfig()
    planes: int = Field(default=5, ge=2)  # planes of NYU's stacks
    crop: int = Field(default=224, ge=32)


AnyTraining = Annotated[VaTraining | RefinementTraining, Field(discriminator="system")]


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
        loss = hybrid_loss(network, config, report)
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


def optimise(network: nn.Module, loss: Loss, config: Any, report: Report) -> dict[str, float]:
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


def va_loss(network: VaNetwork, config: VaTraining, report: Report) -> Loss:
    """A function that draws a batch of pictures and gives VA-DepthNet's two losses, equally weighted by default."""
    pictures = open_pictures(config.data, config.kind)
    chosen = even_stride(len(pictures.names), config.images)
    kept = []
    for index in chosen:
        rgb, depth = pictures.rgbd(index)
        kept.append(shrunk(rgb, depth, working_size(depth.shape, config.network.side)))
    report(f"{len(kept)} pictures at {kept[0][1].shape[1]} x {kept[0][1].shape[0]}")
    rng, draws = np.random.default_rng(config.seed), torch.Generator().manual_seed(config.seed)
    device = next(network.parameters()).device

    def loss() -> Tensor:
        batch = [_varied(*kept[int(rng.integers(len(kept)))], rng) for _ in range(config.batch)]
        images, truth = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*batch, strict=True))
        output = network(images.permute(0, 3, 1, 2))
        valid = truth > 0
        total = silog_loss(output.log_depth, truth, valid)
        if config.variational > 0:
            total = total + config.variational * variational_loss(network, output, truth, valid, draws)
        return total

    return loss


def _varied(rgb: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random crop of 7/8 in whole cells of 32, mirrored at random, in other light: float32 image and depth."""
    sides = [max(2 * CELL, extent * 7 // 8 // 32 * 32) for extent in depth.shape]
    corner = [int(rng.integers(extent - side + 1)) for extent, side in zip(depth.shape, sides, strict=True)]
    square = tuple(slice(start, start + side) for start, side in zip(corner, sides, strict=True))
    image, depth = rgb[square].astype(np.float32) / 255, depth[square]
    image = image ** np.float32(rng.uniform(0.8, 1.25)) * rng.uniform(0.8, 1.2, (1, 1, 3)).astype(np.float32)
    if rng.random() < 0.5:
        image, depth = image[:, ::-1], depth[:, ::-1]
    return np.ascontiguousarray(image.clip(0, 1)), np.ascontiguousarray(depth)


def hybrid_loss(network: Refinement, config: RefinementTraining, report: Report) -> Loss:
    """A function that draws crops of what the refinement sees, computed once for every stack, and gives its loss."""
    device = next(network.parameters()).device
    system = HybridDepthStyle("hybriddepth-style", config.network, None, device)
    dataset = _open_stacks(config)
    kept = []
    for index in even_stride(len(dataset), config.images):
        sample = dataset[index]
        maps = system.combine(scene_of(sample), system.focus.predict(sample.stack))
        truth = np.where(sample.mask, sample.truth, 0) / per_metre(sample.stack, system.name)
        kept.append(np.stack([*maps, truth]).astype(np.float32))
        if len(kept) % 20 == 0:
            report(f"{len(kept)} stacks prepared")
    aligned, truth = (np.concatenate([maps[part].ravel() for maps in kept]) for part in (0, 3))
    known = truth > 0
    report(f"global fit alone: RMSE {np.sqrt(np.mean((aligned - truth)[known] ** 2)):.4f} m over {len(kept)} stacks")
    rng = np.random.default_rng(config.seed)

    def loss() -> Tensor:
        crops = [_crop(kept[int(rng.integers(len(kept)))], config.crop, rng) for _ in range(config.batch)]
        maps = torch.from_numpy(np.stack(crops)).to(device)
        truth = maps[:, 3]
        return refinement_loss(network(maps[:, 0], maps[:, 1], maps[:, 2]), truth, truth > 0)

    return loss


def _open_stacks(config: RefinementTraining) -> Dataset:
    folder = unpacked(config.data)
    return StackFolders(folder) if config.kind == "stacks" else open_nyu(folder, "train", planes=config.planes)


def _crop(maps: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of (C, H, W) maps, mirrored at random; the whole of a side that is shorter."""
    height, width = (min(side, extent) for extent in maps.shape[1:])
    top, left = int(rng.integers(maps.shape[1] - height + 1)), int(rng.integers(maps.shape[2] - width + 1))
    crop = maps[:, top : top + height, left : left + width]
    return np.ascontiguousarray(crop[:, :, ::-1] if rng.random() < 0.5 else crop)


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
