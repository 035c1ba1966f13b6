"""What one picture of the whole scene says about its depth: a 2-D network beside the focus volume.

Sharpness says nothing on a bare wall, and little at the very edge of an object. The planes are therefore
collapsed, by a first focus probability, to what they show in focus (`dualfocus.models.collapse`), and a network over
space alone, N times cheaper than one over planes, answers with a prior on the focus coordinate, with the weights of the
convex upsampling and with the confidence.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.models.collapse import CELL, LOCAL, certainty
from dualfocus.models.layers import ConvNorm, Residual, upsample_2x

_CONFIDENCE_WIDTH = 32


class FocusPrior(NamedTuple):
    """Gaussian prior on the focus coordinate of a cell, and how much the local scores count beside it.

    Attributes:
        score_weight: t, (B, 1, h, w), factor of the local scores, in [0, 2].
        mean: mu, (B, 1, h, w), normalised focus coordinate in [0, 1].
        kappa: (B, 1, h, w), 1 / (2 variance), the variance in squared mean plane spacings; at least 0.
    """

    score_weight: Tensor
    mean: Tensor
    kappa: Tensor


def posterior_scores(scores: Tensor, prior: FocusPrior, coordinates: Tensor) -> Tensor:
    """Local scores and prior together: `t s_n - kappa (f_n - mu)^2`, before the softmax over planes.

    Args:
        scores: s, (B, N, h, w), logarithms of an unnormalised focus probability.
        prior: the prior of the same cells.
        coordinates: (B, N), normalised focus coordinates.

    Returns:
        (B, N, h, w).
    """
    spacings = coordinates.shape[1] - 1
    offset = (coordinates[:, :, None, None] - prior.mean) * spacings
    return prior.score_weight * scores - prior.kappa * offset.square()


class SceneContext(nn.Module):
    """A small dilated U-Net over the collapsed planes, 1/4 to 1/32; heads: prior, upsampling weights, confidence."""

    def __init__(self, features: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        quarter, eighth, sixteenth, bottom = widths
        self.enter = nn.Sequential(ConvNorm(features + LOCAL.stop, quarter), Residual(quarter))
        self.down_eighth = nn.Sequential(ConvNorm(quarter, eighth, stride=2), Residual(eighth))
        wide = [Residual(sixteenth, dilation) for dilation in (1, 2, 4)]
        self.down_sixteenth = nn.Sequential(ConvNorm(eighth, sixteenth, stride=2), *wide)
        deep = [Residual(bottom, dilation) for dilation in (1, 2, 4)]
        self.down_bottom = nn.Sequential(ConvNorm(sixteenth, bottom, stride=2), *deep)
        self.up_sixteenth = nn.Conv2d(bottom, sixteenth, 1)
        self.up_eighth = nn.Conv2d(sixteenth, eighth, 1)
        self.mix_eighth = Residual(eighth)
        self.up_quarter = nn.Conv2d(eighth, quarter, 1)
        self.mix_quarter = Residual(quarter)
        self.prior_head = nn.Conv2d(quarter, 3, 3, padding=1)
        for parameter in self.prior_head.parameters():  # at first the local scores alone decide
            nn.init.zeros_(parameter)
        self.weight_head = nn.Conv2d(quarter, 9 * CELL**2, 1)
        last = nn.Conv2d(_CONFIDENCE_WIDTH, CELL**2, 3, padding=1)
        self.confidence_head = nn.Sequential(ConvNorm(quarter + 10, _CONFIDENCE_WIDTH), last)

    def forward(self, collapsed: Tensor, size: tuple[int, int]) -> Tensor:
        """Features of the picture in focus, which the heads read.

        Args:
            collapsed: what `collapse` returned, (B, C', h, w).
            size: H, W of the image before padding; a graph for export knows no other size.

        Returns:
            (B, C, h, w).
        """
        quarter = self.enter(collapsed)
        eighth = self.down_eighth(quarter)
        sixteenth = self.down_sixteenth(eighth)
        coarser = upsample_2x(self.up_sixteenth(self.down_bottom(sixteenth)))
        rows, columns = (size[0] + 15) // 16, (size[1] + 15) // 16  # may be odd, those of `coarser` are even
        sixteenth = sixteenth + coarser[..., :rows, :columns]
        eighth = self.mix_eighth(eighth + upsample_2x(self.up_eighth(sixteenth)))
        return self.mix_quarter(quarter + upsample_2x(self.up_quarter(eighth)))

    def prior(self, hidden: Tensor) -> FocusPrior:
        """The prior of every cell, in float32."""
        score_weight, mean, kappa = self.prior_head(hidden).float().split(1, dim=1)
        return FocusPrior(2 * score_weight.sigmoid(), mean.sigmoid(), F.softplus(kappa - 4))

    def weights(self, hidden: Tensor) -> Tensor:
        """Weights of the convex upsampling, (B, 9, 16, h, w), sums to 1 over the 9 neighbours."""
        logits = self.weight_head(hidden).float()
        if torch.jit.is_tracing():
            return logits.unflatten(1, (9, -1)).softmax(dim=1)
        cells = logits.permute(0, 2, 3, 1).unflatten(3, (9, -1))  # a view, with channels last: nothing is copied
        return cells.softmax(dim=3).permute(0, 3, 4, 1, 2)

    def confidence(
        self, hidden: Tensor, collapsed: Tensor, prior: FocusPrior, probability: Tensor, coordinates: Tensor
    ) -> Tensor:
        """Confidence before the sigmoid, (B, 4 h, 4 w).

        It learns alone, from detached inputs: it must not pull the depth towards what is easy to be sure of.

        Args:
            hidden: what `forward` returned for `collapsed`.
            collapsed: what `collapse` returned: its part on the local probability, for the head to compare it
                with the prior.
            prior: the prior of every cell.
            probability: the final focus probability, (B, N, h, w).
            coordinates: (B, N).
        """
        planes = coordinates.shape[1]
        p = probability.detach()
        mean, deviation, peak = certainty(p, coordinates).unbind(1)
        count = torch.full_like(mean, 1.0 / planes)
        posterior_features = torch.stack((mean, deviation * (planes - 1), peak, count), dim=1)
        prior_features = torch.cat((prior.score_weight, prior.mean, prior.kappa.sqrt()), dim=1)
        parts = (hidden, collapsed[:, LOCAL], prior_features, posterior_features)
        logit = self.confidence_head(torch.cat([part.detach() for part in parts], dim=1))
        return F.pixel_shuffle(logit, CELL).float()[:, 0]
