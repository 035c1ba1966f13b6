"""What `va-depth` is trained on: pictures with dense depth, cut and lit at random, and VA-DepthNet's two losses."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dualfocus.baselines.pictures import open_pictures, shrunk
from dualfocus.baselines.train_config import Loss, Report, VaTraining
from dualfocus.baselines.va_depth import working_size
from dualfocus.baselines.va_network import CELL, VaNetwork, silog_loss, variational_loss
from dualfocus.datasets.stride import even_stride


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
