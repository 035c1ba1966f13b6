"""From a network's output and the truth to the total loss, in plane spacings."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor

from dualfocus.losses import (
    TotalLoss,
    confidence_loss,
    depth_loss,
    focal_variational_loss,
    sharpness_weights,
    spatial_variational_loss,
    total_loss,
)
from dualfocus.models.output import FocusOutput
from dualfocus.training.config import LossConfig
from dualfocus.training.space import in_space


class Batch(TypedDict):
    """One batch: stacks of equal N and size, planes near to far.

    images (B, N, H, W, 3) from 0 to 255; coordinates (B, N) in [0, 1]; truth (B, H, W) in the same coordinate, also
    outside [0, 1]; known (B, H, W) bool, where the truth is known; ratio (B,), see `training.space.in_space`.
    """

    images: Tensor
    coordinates: Tensor
    truth: Tensor
    known: Tensor
    ratio: Tensor


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch on another device."""
    images, coordinates, truth, known, ratio = (
        batch[key].to(device, non_blocking=True) for key in ("images", "coordinates", "truth", "known", "ratio")
    )
    return Batch(images=images, coordinates=coordinates, truth=truth, known=known, ratio=ratio)


def network_input(batch: Batch) -> Tensor:
    """Images as the networks take them: (B, N, 3, H, W) float in [0, 1]."""
    return batch["images"].permute(0, 1, 4, 2, 3).float() / 255


def objective(output: FocusOutput, batch: Batch, config: LossConfig) -> TotalLoss:
    """The paper's total loss on every scale the network offers, the unit being the mean plane spacing.

    Pixels count where the truth is known and inside the focus range; only the confidence head also learns
    from pixels that are never in focus.

    Args:
        output: of a network in training mode, for ``batch``.
        batch: crops whose sides are multiples of the coarsest stride.
        config: weights of the terms; a weight of 0 leaves a term out. Of ``side`` there may be fewer than the network
            has side outputs: the last ones, the coarsest, are then not supervised.

    Raises:
        ValueError: an output without what training reads, or more weights in ``loss.side`` than side outputs.
    """
    extra = output.training
    if extra is None:
        raise ValueError("the objective needs the output of a network in training mode")
    planes = batch["coordinates"].shape[1]
    spacings = planes - 1
    truth, known = batch["truth"] * spacings, batch["known"]
    valid = known & (batch["truth"] >= 0) & (batch["truth"] <= 1)

    beta = depth_beta(config, planes)
    depth = depth_loss(output.coordinate * spacings, truth, valid, beta)
    for weight, side in _weighted_sides(config.side, extra.sides):
        depth = depth + weight * depth_loss(side * spacings, truth, valid, beta)

    zero = depth.new_zeros(())
    focal = zero
    if config.focal > 0:
        inside = sample_cells(valid, truth.shape[-1] // output.probability.shape[-1])
        focal = focal_variational_loss(output.probability.float(), inside)
    spatial = zero
    if config.spatial > 0:
        for stride, gradient in extra.gradients.items():
            spatial = spatial + _spatial(gradient, truth, valid, batch, stride, config)
    confidence = zero
    if config.confidence > 0 and extra.confidence_logit is not None:
        error = (output.coordinate * spacings - truth).abs()
        confidence = config.confidence * confidence_loss(extra.confidence_logit, error, 0.5, known)
    return total_loss(depth, spatial, focal, confidence, config.spatial, config.focal)


def _weighted_sides(weights: tuple[float, ...], sides: Tensor) -> list[tuple[float, Tensor]]:
    """Side outputs, (B, H, W) of (B, S, H, W), that have a weight."""
    if len(weights) > sides.shape[1]:
        raise ValueError(
            f"loss.side has {len(weights)} weights, but the network has {sides.shape[1]} side outputs: leave some out"
        )
    return list(zip(weights, sides.unbind(1), strict=False))


def depth_beta(config: LossConfig, planes: int) -> float:
    """Where smooth-L1 turns from quadratic to linear, in plane spacings."""
    return config.beta * (planes - 1) if config.beta_unit == "range" else config.beta


def _spatial(gradient: Tensor, truth: Tensor, valid: Tensor, batch: Batch, stride: int, config: LossConfig) -> Tensor:
    """L_sv of the surfaces at 1 / ``stride`` of the image; ``truth`` in plane spacings."""
    depth, spacings = sample_cells(truth, stride), batch["coordinates"].shape[1] - 1
    coordinates = batch["coordinates"] * spacings
    q = sharpness_weights(depth, coordinates, config.temperature)
    inside = sample_cells(valid, stride)
    target = spacings * in_space(sample_cells(batch["truth"], stride), batch["ratio"], config.space)
    terms = [spatial_variational_loss(gradient, target, q, inside, baseline) for baseline in config.baselines]
    return torch.stack(terms).mean()


def sample_cells(full: Tensor, stride: int) -> Tensor:
    """One pixel near the middle of each cell of ``stride`` pixels: depth must not be averaged across its edges."""
    if stride == 1:
        return full
    return full[..., stride // 2 :: stride, stride // 2 :: stride].contiguous()


def validation_errors(output: FocusOutput, batch: Batch) -> dict[str, Tensor]:
    """Errors of each stack, (B,): rmse and mae in focus ranges, mae_spacings in mean plane spacings.

    Pixels count where the truth is known and inside the focus range; 0 when there are none.
    """
    spacings = batch["coordinates"].shape[1] - 1
    valid = batch["known"] & (batch["truth"] >= 0) & (batch["truth"] <= 1)
    error = torch.where(valid, (output.coordinate - batch["truth"]).abs(), 0.0)
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    return {
        "rmse": (error.square().sum(dim=(1, 2)) / count).sqrt(),
        "mae": error.sum(dim=(1, 2)) / count,
        "mae_spacings": spacings * error.sum(dim=(1, 2)) / count,
    }
