"""What one picture of the whole scene says about its depth: a 2-D network beside the focus volume.

Sharpness says nothing on a bare wall, and little at the very edge of an object. The planes are therefore
collapsed, by a first focus probability, to what they show in focus, and a network over space alone, N times
cheaper than one over planes, answers with a prior on the focus coordinate, with the weights of the convex
upsampling and with the confidence.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.models.encoder import LOG_SCALE, modified_laplacian
from dualfocus.models.layers import ConvNorm, Residual, upsample_2x
from dualfocus.models.volume import focus_moments

_CELL = 4  # pixels of a side: everything here is at 1/4
_SHOWN = 5 * _CELL**2  # channels of the evidence: colours and pixel_focus of every pixel of a cell
_LOCAL = slice(_SHOWN, _SHOWN + 3)  # then mean, deviation and maximum of the local probability
_CONFIDENCE_WIDTH = 32
DETAIL_POWER = 2  # a plane with twice the gradient of another gets about four times its weight


class FocusPrior(NamedTuple):
    """Gaussian prior on the focus coordinate of a cell, and how much the local scores count beside it.

    Attributes:
        weight: t, (B, 1, h, w), factor of the local scores, in [0, 2].
        mean: mu, (B, 1, h, w), normalised focus coordinate in [0, 1].
        precision: kappa, (B, 1, h, w), 1 / (2 variance) in mean plane spacings, at least 0.
    """

    weight: Tensor
    mean: Tensor
    precision: Tensor


def combine(scores: Tensor, prior: FocusPrior, coordinates: Tensor) -> Tensor:
    """Scores of the local evidence and of the prior together, before the softmax over planes.

    Args:
        scores: (B, N, h, w), logarithms of an unnormalised focus probability.
        prior: of the same cells.
        coordinates: (B, N), normalised focus coordinates.

    Returns:
        (B, N, h, w).
    """
    spacings = coordinates.shape[1] - 1
    offset = (coordinates[:, :, None, None] - prior.mean) * spacings
    return prior.weight * scores - prior.precision * offset.square()


def collapse(images: Tensor, features: Tensor, probability: Tensor, coordinates: Tensor) -> Tensor:
    """What the planes show in focus, without the plane axis: the evidence of :class:`SceneContext`.

    One plane after the other, because the images are large.

    Args:
        images: (B, N, 3, H, W) in [0, 1] or 8 bits, H and W multiples of 4.
        features: decoder features, (B, N, C, H / 4, W / 4).
        probability: focus probability, (B, N, H / 4, W / 4); taken as given, no gradient.
        coordinates: (B, N).

    Returns:
        (B, C + 83, H / 4, W / 4): image and features in focus, where each single pixel is sharpest and by how much,
        mean and deviation of the probability, its maximum.
    """
    p = probability.detach()
    shown = torch.zeros_like(features[:, 0], dtype=p.dtype)
    seen = p.new_zeros(len(p), 3, *images.shape[-2:])
    focus = _PixelFocus(seen[:, 0])
    for n, (image, feature) in enumerate(zip(images.unbind(1), features.unbind(1), strict=True)):
        share = p[:, n : n + 1]
        shown.addcmul_(feature.to(p.dtype), share)
        plane = image.to(p.dtype).div_(255) if image.dtype == torch.uint8 else image
        seen.addcmul_(plane, F.interpolate(share, scale_factor=_CELL))  # every pixel of a cell weighs alike
        focus.add(plane, coordinates[:, n])
    pixels = _by_cell(torch.cat((seen, focus.result()), dim=1))
    parts = pixels, certainty(p, coordinates), shown
    return torch.cat([part.permute(0, 2, 3, 1) for part in parts], dim=3).permute(0, 3, 1, 2)  # channels last


def _by_cell(maps: Tensor) -> Tensor:
    """``F.pixel_unshuffle`` by 4; on a CPU the pixels of a row of a cell, 16 bytes, are moved as one number."""
    if maps.device.type != "cpu" or maps.dtype != torch.float32 or torch.compiler.is_compiling():
        return F.pixel_unshuffle(maps, _CELL)
    rows = maps.view(torch.complex128).unflatten(2, (-1, _CELL))  # (B, C, h, 4, w)
    return rows.permute(0, 2, 4, 1, 3).flatten(3).view(torch.float32).permute(0, 3, 1, 2)


def certainty(probability: Tensor, coordinates: Tensor) -> Tensor:
    """Mean and deviation of the coordinate under a probability, and its maximum: (B, N, h, w) -> (B, 3, h, w)."""
    first, second = focus_moments(probability, coordinates)
    deviation = (second - first.square()).clamp(min=0).sqrt()
    return torch.stack((first, deviation, probability.amax(dim=1)), dim=1)


def pixel_focus(images: Tensor, coordinates: Tensor) -> Tensor:
    """Where each single pixel is sharpest and by how much: noisy, but it knows no cells.

    Args:
        images: (B, N, 3, H, W) in [0, 1].
        coordinates: (B, N).

    Returns:
        (B, 2, H, W): the mean coordinate under a softmax of the logarithm of the modified Laplacian, times
        ``DETAIL_POWER``, and that logarithm's maximum over the planes less its mean.
    """
    focus = _PixelFocus(images[:, 0, 0])
    for n, image in enumerate(images.unbind(1)):
        focus.add(image, coordinates[:, n])
    return focus.result()


class _PixelFocus:
    """:func:`pixel_focus` plane by plane. A softmax of logarithms is a mean weighted by powers of what they are of."""

    def __init__(self, like: Tensor) -> None:
        self.planes = 0
        self.total, self.place, self.highest, self.logs = (torch.zeros_like(like) for _ in range(4))

    def add(self, image: Tensor, coordinate: Tensor) -> None:
        """Take a plane, (B, 3, H, W), and its coordinate, (B,)."""
        detail = modified_laplacian(image)[:, 0]
        weight = (detail + 1).pow_(DETAIL_POWER)
        self.total += weight
        self.place.addcmul_(weight, coordinate[:, None, None])
        self.highest = torch.maximum(self.highest, detail)
        self.logs += detail.log1p_()
        self.planes += 1

    def result(self) -> Tensor:
        """(B, 2, H, W)."""
        gain = self.highest.log1p().sub_(self.logs.div_(self.planes)).div_(LOG_SCALE)
        return torch.stack((self.place.div_(self.total), gain), dim=1)


class SceneContext(nn.Module):
    """A small U-Net over the collapsed planes, from 1/4 to 1/32 with dilations; heads for what it is asked."""

    def __init__(self, features: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        quarter, eighth, sixteenth, bottom = widths
        self.enter = nn.Sequential(ConvNorm(features + _LOCAL.stop, quarter), Residual(quarter))
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
        self.weight_head = nn.Conv2d(quarter, 9 * _CELL**2, 1)
        last = nn.Conv2d(_CONFIDENCE_WIDTH, _CELL**2, 3, padding=1)
        self.confidence_head = nn.Sequential(ConvNorm(quarter + 10, _CONFIDENCE_WIDTH), last)

    def forward(self, evidence: Tensor, size: tuple[int, int]) -> Tensor:
        """What the heads read.

        Args:
            evidence: what :func:`collapse` returned, (B, C', h, w).
            size: H, W of the image before padding; a graph for export knows no other size.

        Returns:
            (B, C, h, w).
        """
        quarter = self.enter(evidence)
        eighth = self.down_eighth(quarter)
        sixteenth = self.down_sixteenth(eighth)
        below = upsample_2x(self.up_sixteenth(self.down_bottom(sixteenth)))
        rows, columns = (size[0] + 15) // 16, (size[1] + 15) // 16  # may be odd, those of `below` are even
        sixteenth = sixteenth + below[..., :rows, :columns]
        eighth = self.mix_eighth(eighth + upsample_2x(self.up_eighth(sixteenth)))
        return self.mix_quarter(quarter + upsample_2x(self.up_quarter(eighth)))

    def prior(self, hidden: Tensor) -> FocusPrior:
        """The prior of every cell, in float32."""
        weight, mean, precision = self.prior_head(hidden).float().split(1, dim=1)
        return FocusPrior(2 * weight.sigmoid(), mean.sigmoid(), F.softplus(precision - 4))

    def weights(self, hidden: Tensor) -> Tensor:
        """Weights of the convex upsampling, (B, 9, 16, h, w), sums to 1 over the 9 neighbours."""
        logits = self.weight_head(hidden).float()
        if torch.jit.is_tracing():
            return logits.unflatten(1, (9, -1)).softmax(dim=1)
        cells = logits.permute(0, 2, 3, 1).unflatten(3, (9, -1))  # as it lies with channels last: nothing is moved
        return cells.softmax(dim=3).permute(0, 3, 4, 1, 2)

    def confidence(
        self, hidden: Tensor, evidence: Tensor, prior: FocusPrior, probability: Tensor, coordinates: Tensor
    ) -> Tensor:
        """Confidence before the sigmoid, (B, 4 h, 4 w).

        It learns alone, from detached inputs: it must not pull the depth towards what is easy to be sure of.

        Args:
            hidden: what :meth:`forward` returned for ``evidence``.
            evidence: what :func:`collapse` returned; how far local scores and prior agree is telling.
            prior: the prior of every cell.
            probability: the final focus probability, (B, N, h, w).
            coordinates: (B, N).
        """
        planes = coordinates.shape[1]
        p = probability.detach()
        place, deviation, peak = certainty(p, coordinates).unbind(1)
        count = torch.full_like(place, 1.0 / planes)
        known = torch.stack((place, deviation * (planes - 1), peak, count), dim=1)
        believed = torch.cat((prior.weight, prior.mean, prior.precision.sqrt()), dim=1).detach()
        logit = self.confidence_head(torch.cat((hidden.detach(), evidence[:, _LOCAL].detach(), believed, known), dim=1))
        return F.pixel_shuffle(logit, _CELL).float()[:, 0]
