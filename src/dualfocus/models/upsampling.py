"""Learned convex upsampling of the focus moments, guided by what is in focus.

Every full-size pixel is a convex combination of its 3x3 coarse neighbours. Upsampling is linear, and so is
the expectation over planes: the moments of the upsampled probability are the upsampled moments. So N
full-size probability maps never exist.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.models.layers import ConvNorm, Residual


def convex_upsample(maps: Tensor, weights: Tensor, factor: int) -> Tensor:
    """Upsample by convex combinations of 3x3 neighbours.

    Args:
        maps: (B, C, h, w).
        weights: (B, 9, factor^2, h, w), sums to 1 over the 9 neighbours.
        factor: integer scale.

    Returns:
        (B, C, h * factor, w * factor).
    """
    batch, channels, height, width = maps.shape
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    result = maps.new_zeros(batch, channels, factor * factor, height, width)
    for index in range(9):
        dy, dx = divmod(index, 3)
        neighbour = padded[:, :, None, dy : dy + height, dx : dx + width]
        result = result + neighbour * weights[:, None, index]
    return F.pixel_shuffle(result.flatten(1, 2), factor)


class FocusGuide(nn.Module):
    """Looks at the image composed of the planes in focus and predicts upsampling weights and confidence."""

    def __init__(self, features: int, hidden: int = 40, factor: int = 4) -> None:
        super().__init__()
        self.factor = factor
        self.mix = nn.Sequential(ConvNorm(3 * factor**2 + features + 2, hidden), Residual(hidden))
        self.weights = nn.Conv2d(hidden, 9 * factor**2, 1)
        last = nn.Conv2d(hidden, factor**2, 3, padding=1)
        self.confidence = nn.Sequential(ConvNorm(hidden + 4, hidden, kernel=1), last)

    def forward(self, probability: Tensor, moments: Tensor, cells: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Predict how to upsample.

        Args:
            probability: p, (B, N, h, w).
            moments: (B, 2, h, w), mean and variance of the normalised focus coordinate.
            cells: the images, pixel-unshuffled by ``factor``: (B, N, 3 factor^2, h, w).
            features: decoder features, (B, N, C, h, w).

        Returns:
            weights (B, 9, factor^2, h, w), sums to 1 over the 9; confidence logit (B, 1, h factor, w factor).
        """
        planes = probability.shape[1]
        p = probability.detach()[:, :, None]
        in_focus = torch.cat(((p * cells).sum(dim=1), (p * features).sum(dim=1)), dim=1)
        hidden = self.mix(torch.cat((in_focus, moments.detach()), dim=1))
        weights = self.weights(hidden).unflatten(1, (9, -1)).float().softmax(dim=1)
        # the confidence head learns alone: it must not pull the depth towards what is easy to be sure of
        deviation = moments[:, 1:].detach().clamp(min=0).sqrt() * (planes - 1)
        peak = probability.detach().amax(dim=1, keepdim=True)
        count = torch.full_like(peak, 1.0 / planes)
        evidence = torch.cat((hidden.detach(), moments[:, :1].detach(), deviation, peak, count), dim=1)
        return weights, F.pixel_shuffle(self.confidence(evidence), self.factor)
