"""What the refinement of `hybriddepth-style` is trained on: crops of what it sees, computed once for every stack."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dualfocus.baselines.baseline import per_metre, scene_of
from dualfocus.baselines.hybriddepth import HybridDepthStyle
from dualfocus.baselines.refinement import Refinement, refinement_loss
from dualfocus.baselines.train_config import Loss, RefinementTraining, Report
from dualfocus.datasets import Dataset, StackFolders, open_nyu
from dualfocus.datasets.stride import even_stride
from dualfocus.datasets.unpacked import unpacked


def refining_loss(network: Refinement, config: RefinementTraining, report: Report) -> Loss:
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
