"""From a network's output and the truth to the total loss, in plane spacings."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

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


class Target(NamedTuple):
    """The truth of a batch as the losses compare it, in mean plane spacings.

    Attributes:
        depth: D* in the network's coordinate, (B, H, W): 0 at the first plane, N - 1 at the last.
        mapped: D* in the space whose gradients L_sv compares, (B, H, W), likewise 0 to N - 1.
        planes: focus coordinates f_n, (B, N).
        known: bool, (B, H, W), where there is a truth.
        valid: bool, (B, H, W), where it also lies inside the focus range.
    """

    depth: Tensor
    mapped: Tensor
    planes: Tensor
    known: Tensor
    valid: Tensor

    def cells(self, stride: int) -> Target:
        """The target at 1 / `stride` of the size, see `sample_cells`."""
        maps = {name: sample_cells(getattr(self, name), stride) for name in ("depth", "mapped", "known", "valid")}
        return self._replace(**maps)


def target_of(batch: Batch, space: str) -> Target:
    """The target of a batch, its gradients in the given space (`dualfocus.training.space.in_space`)."""
    spacings = batch["coordinates"].shape[1] - 1
    return Target(
        depth=batch["truth"] * spacings,
        mapped=in_space(batch["truth"], batch["ratio"], space) * spacings,
        planes=batch["coordinates"] * spacings,
        known=batch["known"],
        valid=_inside_range(batch),
    )


def _inside_range(batch: Batch) -> Tensor:
    """(B, H, W) bool: the truth is known and inside the focus range."""
    return batch["known"] & (batch["truth"] >= 0) & (batch["truth"] <= 1)


def objective(output: FocusOutput, batch: Batch, config: LossConfig) -> TotalLoss:
    """The paper's total loss on every scale the network offers, the unit being the mean plane spacing.

    Pixels count where the truth is known and inside the focus range; only the confidence head also learns
    from pixels that are never in focus.

    Args:
        output: what a network in training mode answered for `batch`.
        batch: crops whose sides are multiples of the coarsest stride.
        config: weights of the terms; a weight of 0 leaves a term out. Of `side` there may be fewer than the network
            has side outputs: the last ones, the coarsest, are then not supervised.

    Raises:
        ValueError: an output without what training reads, or more weights in `loss.side` than side outputs.
    """
    extra = output.training
    if extra is None:
        raise ValueError("the objective needs the output of a network in training mode")
    target, planes = target_of(batch, config.space), batch["coordinates"].shape[1]
    spacings, beta = planes - 1, depth_beta(config, planes)
    depth = depth_loss(output.coordinate * spacings, target.depth, target.valid, beta)
    for weight, side in _weighted_sides(config.side, extra.sides):
        depth = depth + weight * depth_loss(side * spacings, target.depth, target.valid, beta)

    focal = spatial = confidence = depth.new_zeros(())
    if config.focal > 0:
        valid = sample_cells(target.valid, target.valid.shape[-1] // output.probability.shape[-1])
        focal = focal_variational_loss(output.probability.float(), valid)
    if config.spatial > 0:
        for stride, gradient in extra.gradients.items():
            spatial = spatial + _spatial(gradient, target.cells(stride), config)
    if config.confidence > 0 and extra.confidence_logit is not None:
        error = (output.coordinate * spacings - target.depth).abs()
        confidence = confidence_loss(extra.confidence_logit, error, 0.5, target.known)
    return total_loss(depth, spatial, focal, confidence, config.spatial, config.focal, config.confidence)


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


def _spatial(gradient: Tensor, cells: Target, config: LossConfig) -> Tensor:
    """L_sv of the surfaces of one size, mean over the baselines; the target at their size."""
    q = sharpness_weights(cells.depth, cells.planes, config.temperature)
    terms = [spatial_variational_loss(gradient, cells.mapped, q, cells.valid, d) for d in config.baselines]
    return torch.stack(terms).mean()


def sample_cells(full: Tensor, stride: int) -> Tensor:
    """One pixel near the middle of each cell of `stride` pixels: depth must not be averaged across its edges."""
    if stride == 1:
        return full
    return full[..., stride // 2 :: stride, stride // 2 :: stride].contiguous()


def validation_errors(output: FocusOutput, batch: Batch) -> dict[str, Tensor]:
    """Errors of each stack, (B,): rmse and mae in focus ranges, mae_spacings in mean plane spacings.

    Pixels count where the truth is known and inside the focus range; 0 when there are none.
    """
    spacings = batch["coordinates"].shape[1] - 1
    valid = _inside_range(batch)
    error = torch.where(valid, (output.coordinate - batch["truth"]).abs(), 0.0)
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    return {
        "rmse": (error.square().sum(dim=(1, 2)) / count).sqrt(),
        "mae": error.sum(dim=(1, 2)) / count,
        "mae_spacings": spacings * error.sum(dim=(1, 2)) / count,
    }
