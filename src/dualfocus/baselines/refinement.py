"""HybridDepth's last step, small: a network that scales the globally aligned depth pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.baselines.va_network import silog_loss
from dualfocus.losses import masked_mean
from dualfocus.models.layers import ConvNorm, Residual, pad_to_multiple, upsample_2x

LEAST_M = 0.02  # no answer is nearer
LARGEST_RATIO = 10.0


@dataclass(frozen=True)
class RefinementConfig:
    """The network, and the two models whose disagreement it learnt.

    Attributes:
        width: channels at full size.
        relative: the relative model, as `open_relative` takes it.
        focus: the depth-from-focus model, as `load_model` takes it.
        fit: "plain" (the peers') or "confidence", which weights the global fit by the focus model's confidence.
        space: where the global fit is done: "depth", or "inverse" depth (the peers' for disparity).
    """

    width: int = 16
    relative: str = "ramp"
    focus: str = "dualfocus-s"
    fit: Literal["plain", "confidence"] = "plain"
    space: Literal["depth", "inverse"] = "depth"


class Refinement(nn.Module):
    """A U-shaped network on [G, D / G, std]; untrained it leaves G as it is."""

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.at_full = ConvNorm(3, w)
        self.at_half = nn.Sequential(ConvNorm(w, 2 * w, stride=2), Residual(2 * w))
        self.at_quarter = nn.Sequential(ConvNorm(2 * w, 4 * w, stride=2), Residual(4 * w), Residual(4 * w))
        self.to_half = ConvNorm(6 * w, 2 * w)
        self.to_full = ConvNorm(3 * w, w)
        self.out = nn.Conv2d(w, 1, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, aligned: Tensor, ratio: Tensor, std: Tensor) -> Tensor:
        """Refined depth `max(G relu(1 + o), LEAST_M)`.

        Args:
            aligned: G, (B, H, W) metres.
            ratio: D / G, (B, H, W), D being the depth from focus; 1 where that is not known.
            std: standard deviation of D, (B, H, W) metres.
        """
        height, width = aligned.shape[-2:]
        full = self.at_full(pad_to_multiple(torch.stack((aligned, ratio, std), dim=1), 4))
        half = self.at_half(full)
        half = self.to_half(torch.cat((upsample_2x(self.at_quarter(half)), half), dim=1))
        full = self.to_full(torch.cat((upsample_2x(half), full), dim=1))
        scale = F.relu(1 + self.out(full)[:, 0, :height, :width])
        return (aligned * scale).clamp(min=LEAST_M)


def refinement_loss(depth: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """HybridDepth's objective: SILog `10 sqrt(var g + 0.15 (mean g)^2)` plus half the gradient term.

    Args:
        depth: (B, H, W) metres, above 0.
        truth: (B, H, W) metres.
        valid: (B, H, W) bool.
    """
    return silog_loss(depth.log(), truth, valid, 0.85) + 0.5 * gradient_loss(depth, truth, valid)


def gradient_loss(depth: Tensor, truth: Tensor, valid: Tensor, scales: int = 4) -> Tensor:
    """Mean L1 difference of Sobel gradients, over scales that each take every second pixel of the one before.

    A pixel counts where its whole 3 x 3 neighbourhood is valid and the true gradient is not 0 in either direction.
    """
    total = depth.new_zeros(())
    known = torch.where(valid, truth, torch.zeros_like(truth))
    for _ in range(scales):
        if min(depth.shape[-2:]) < 3:
            break
        found, wanted = _sobel(depth), _sobel(known)
        whole = F.avg_pool2d(valid[:, None].float(), 3, 1)[:, 0] > 0.999
        counts = whole & (wanted != 0).all(dim=1)
        total = total + masked_mean((found - wanted).abs().sum(dim=1), counts)
        depth, known, valid = (x[..., ::2, ::2] for x in (depth, known, valid))
    return total / scales


def _sobel(values: Tensor) -> Tensor:
    """(B, H, W) -> (B, 2, H - 2, W - 2), per pixel."""
    kernel = values.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    return F.conv2d(values[:, None], torch.stack((kernel, kernel.T))[:, None])
