"""A single-image network with VA-DepthNet's variational layer (Liu et al., ICLR 2023), small and from scratch.

The layer is theirs: gradients and confidences of a group of surfaces from features at 1/16, and the surfaces that fit
them best. What is ours: the encoder (ResNet-18's, no transformer), the solve
(`dualfocus.models.weighted_projection`: any size, zero mean, no rows of stride 2) and a lighter decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.models.layers import ConvNorm, Residual, upsample_2x
from dualfocus.models.resnet_encoder import ResNetEncoder
from dualfocus.models.weighted_projection import weighted_projection

LEAST_WEIGHT = 0.05  # least weight of a difference, which bounds the iterations of the solve
PRIOR = 1.0  # log metres of an untrained answer: rooms are about e metres deep
CELL = 16  # pixels of a side of what the layer sees as one


@dataclass(frozen=True)
class VaConfig:
    """The network's configuration.

    Attributes:
        width: width of the encoder, 1 being ResNet-18's.
        surfaces: how many are in the group.
        side: pixels of the shorter side of a picture at work.
    """

    width: float = 0.5
    surfaces: int = 16
    side: int = 192


class VaOutput(NamedTuple):
    """What the network says of pictures of B x 3 x H x W.

    Attributes:
        log_depth: (B, H, W), natural logarithm of metres.
        surfaces: (B, S, H / 16, W / 16), the solved surfaces.
        detail: (B, C, H / 4, W / 4), features that the variational loss samples.
    """

    log_depth: Tensor
    surfaces: Tensor
    detail: Tensor


class VariationalLayer(nn.Module):
    """Features to surfaces: predicted gradients, trusted as far as predicted confidences say, made integrable."""

    def __init__(self, channels: int, surfaces: int) -> None:
        super().__init__()
        self.gradient = nn.Sequential(ConvNorm(channels, channels), nn.Conv2d(channels, 2 * surfaces, 3, padding=1))
        self.weight = nn.Sequential(ConvNorm(channels, channels), nn.Conv2d(channels, 2 * surfaces, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, S, h, w), each surface of zero mean."""
        gradient = self.gradient(features).unflatten(1, (-1, 2))
        trust = torch.sigmoid(self.weight(features).unflatten(1, (-1, 2)))
        return weighted_projection(gradient, LEAST_WEIGHT + (1 - LEAST_WEIGHT) * trust)


class VaNetwork(nn.Module):
    """One picture to log depth."""

    def __init__(self, config: VaConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResNetEncoder(config.width)
        quarter, eighth, sixteenth, last = self.encoder.level_widths
        self.layer = VariationalLayer(sixteenth, config.surfaces)
        self.norm = nn.GroupNorm(1, config.surfaces)
        self.gate = nn.Sequential(nn.Linear(sixteenth, config.surfaces), nn.Sigmoid())
        self.from_surfaces = ConvNorm(config.surfaces + sixteenth, 2 * sixteenth)
        self.at_eighth = nn.Sequential(ConvNorm(2 * sixteenth + eighth, 2 * eighth), Residual(2 * eighth))
        self.at_quarter = nn.Sequential(ConvNorm(2 * eighth + quarter, 2 * quarter), Residual(2 * quarter))
        self.heads = nn.ModuleList(nn.Conv2d(2 * c, 1, 3, padding=1) for c in (sixteenth, eighth, quarter))
        self.level = nn.Sequential(nn.Linear(last, last), nn.ReLU(), nn.Linear(last, 1))
        self.sampled_gate = nn.Conv2d(quarter, config.surfaces, 1)
        self.sampled_gradient = nn.Conv2d(config.surfaces, 2, 3, padding=1)

    def forward(self, images: Tensor) -> VaOutput:
        """(B, 3, H, W) in [0, 1], sides multiples of 32."""
        quarter, eighth, sixteenth, last = self.encoder(images)
        surfaces = self.layer(sixteenth)
        gate = self.gate(sixteenth.mean(dim=(2, 3)))[:, :, None, None]
        coarse = self.from_surfaces(torch.cat((self.norm(surfaces) * gate, sixteenth), dim=1))
        middle = self.at_eighth(torch.cat((upsample_2x(coarse), eighth), dim=1))
        fine = self.at_quarter(torch.cat((upsample_2x(middle), quarter), dim=1))
        at_sixteenth, at_eighth, at_quarter = (
            head(level) for head, level in zip(self.heads, (coarse, middle, fine), strict=True)
        )
        summed = upsample_2x(upsample_2x(at_sixteenth) + at_eighth) + at_quarter
        level = PRIOR + self.level(last.mean(dim=(2, 3)))[:, :, None, None]
        return VaOutput(upsample_2x(upsample_2x(summed + level))[:, 0], surfaces, quarter)

    def sampled_differences(self, output: VaOutput, place: Tensor) -> Tensor:
        """Differences of log depth between neighbouring cells, each seen at one pixel of its own.

        Args:
            output: what this network returned.
            place: (B, h, w) long, which of the 256 pixels of its cell, counted along rows.

        Returns:
            (B, 2, h, w), along x and y.
        """
        step, side = 4, CELL // 4  # detail has 4 x 4 places in a cell
        detail_place = (place // CELL) // step * side + (place % CELL) // step
        cells = F.pixel_unshuffle(output.detail, side).unflatten(1, (-1, side * side))
        sampled = cells.gather(2, detail_place[:, None, None].expand(-1, cells.shape[1], 1, -1, -1))[:, :, 0]
        return self.sampled_gradient(torch.sigmoid(self.sampled_gate(sampled)) * output.surfaces)


def silog_loss(log_depth: Tensor, truth: Tensor, valid: Tensor, focus: float = 0.85) -> Tensor:
    """The scale-invariant error `10 sqrt(mean g^2 - focus (mean g)^2)` of g = log prediction - log truth.

    Args:
        log_depth: (B, H, W).
        truth: (B, H, W) metres; anything where not valid.
        valid: (B, H, W) bool; the loss is 0 without a valid pixel.
        focus: 1 forgives any scale, 0 none.
    """
    error = log_depth[valid] - truth[valid].log()
    if error.numel() == 0:
        return error.sum()
    return 10 * (error.square().mean() - focus * error.mean().square() + 1e-9).sqrt()


def variational_loss(
    network: VaNetwork, output: VaOutput, truth: Tensor, valid: Tensor, generator: torch.Generator, repeats: int = 4
) -> Tensor:
    """Smooth-L1 (beta 0.01) between predicted and true differences of log depth from cell to cell.

    Every repeat draws one valid pixel of each cell of 16 x 16; a difference counts where both its cells have one.

    Args:
        network: the one that made the output.
        output: for pictures of H x W.
        truth: (B, H, W) metres.
        valid: (B, H, W) bool.
        generator: source of the draws, on the CPU.
        repeats: draws; VA-DepthNet takes 10.
    """
    truth_cells, valid_cells = (F.pixel_unshuffle(x[:, None].float(), CELL) for x in (truth, valid))
    total, count = truth.new_zeros(()), truth.new_zeros(())
    for _ in range(repeats):
        draw = torch.rand(valid_cells.shape, generator=generator).to(truth.device) * valid_cells
        place = draw.argmax(dim=1)
        known = draw.amax(dim=1) > 0
        log_truth = truth_cells.gather(1, place[:, None])[:, 0].clamp(min=1e-3).log()
        found = network.sampled_differences(output, place)
        for component, axis in ((0, -1), (1, -2)):
            rest = known.shape[axis] - 1
            both = known.narrow(axis, 0, rest) & known.narrow(axis, 1, rest)
            wanted = log_truth.diff(dim=axis)[both]
            total = total + F.smooth_l1_loss(
                found[:, component].narrow(axis, 0, rest)[both], wanted, beta=0.01, reduction="sum"
            )
            count = count + both.sum()
    return total / count.clamp(min=1)
