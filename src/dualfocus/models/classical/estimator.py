"""Depth from focus without a network: the answer that needs no weights, and the floor of every comparison."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dualfocus.models.classical.confidence import (
    CONFIDENCE,
    ConfidenceCoefficients,
    confidence_from,
    peak_evidence,
    roughness,
)
from dualfocus.models.classical.peak import Peak, fit_peak
from dualfocus.models.classical.probability import deviation, expected_error
from dualfocus.models.classical.scores import PART, READS, score_stack
from dualfocus.models.classical.smoothing import edge_aware_smooth


class Classical(nn.Module):
    """Sum-modified-Laplacian depth from focus with edge-aware pooling of the evidence. No parameters, no training.

    1. Score: log focus measure over several scales, relative to the noise (`score_stack`).
    2. Pooling: the score, weighted with its own contrast, is smoothed plane by plane along surfaces of similar colour
       in the provisional all-in-focus image. Strong texture decides, textureless areas inherit from around them.
    3. Sub-plane peak, confidence, and the deviation of a focus probability that agrees with both.

    A module for its place among the networks; it reads planes one by one (`estimate`) and has no `forward`.

    Args:
        smoothness: weight λ of smoothness for an image with a diagonal of 480 pixels; it grows with the diagonal.
        edge: difference between neighbours in the all-in-focus image that stops smoothing, relative to the standard
            deviation of the stack's luma.
        trust: power of the contrast with which a pixel's score is weighted before pooling.
        confidence: coefficients of the confidence.

    Example:
        >>> planes = torch.rand(5, 3, 48, 64)
        >>> coordinate, std, confidence = Classical().estimate(planes.__getitem__, torch.linspace(0, 1, 5))
        >>> coordinate.shape
        torch.Size([48, 64])
    """

    reads = READS

    def __init__(
        self,
        smoothness: float = 3000.0,
        edge: float = 0.05,
        trust: float = 0.5,
        confidence: ConfidenceCoefficients = CONFIDENCE,
    ) -> None:
        super().__init__()
        self.smoothness = smoothness
        self.edge = edge
        self.trust = trust
        self.confidence = confidence

    @torch.no_grad()
    def estimate(self, read: Callable[[int], Tensor], coordinates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Estimate depth, with one volume of N maps in memory.

        Args:
            read: n -> plane n, (3, H, W) in [0, 1], display-encoded, near to far; called `reads` times for each.
            coordinates: (N,) normalised focus coordinates, increasing from 0 to 1, N >= 2.

        Returns:
            coordinate, its standard deviation and confidence, (H, W) each.
        """
        peak, evidence = self.analyse(read, coordinates)
        confidence = confidence_from(evidence, peak.height, self.confidence)
        error = expected_error(confidence, len(coordinates))
        u = coordinates.to(error.device)
        strips = [
            deviation(place, width, u)
            for place, width in zip(*(m.split(_strip(len(u), m)) for m in (peak.coordinate, error)), strict=True)
        ]
        return peak.coordinate, torch.cat(strips), confidence

    @torch.no_grad()
    def analyse(self, read: Callable[[int], Tensor], coordinates: Tensor) -> tuple[Peak, Tensor]:
        """Peak and evidence (7, H, W) of one stack; what the confidence is fitted on.

        Args:
            read: n -> plane n, (3, H, W), called `reads` times for each.
            coordinates: (N,).
        """
        volume, sharpest = score_stack(read, len(coordinates))
        u = coordinates.to(volume.device)
        strength = self.smoothness * math.hypot(*volume.shape[1:]) / 480
        trust = sharpest.height**self.trust
        for part in volume.split(max(1, PART // trust.numel())):  # smoothed in place: there is room for one volume
            part *= trust
            part.copy_(edge_aware_smooth(part, sharpest.image, strength, self.edge * sharpest.contrast))
        raw_position = u[sharpest.plane] * (len(u) - 1)
        rows = _strip(len(u), trust)
        peaks, evidence = [], []
        for pooled, place, height in zip(
            volume.split(rows, dim=1), raw_position.split(rows), sharpest.height.split(rows), strict=True
        ):
            peaks.append(fit_peak(pooled, u))
            evidence.append(peak_evidence(place, height, pooled, peaks[-1]))
        peak = Peak(*(torch.cat(maps) for maps in zip(*peaks, strict=True)))
        count = torch.full_like(trust, math.log(len(u)))
        return peak, torch.cat(
            (*torch.cat(evidence, dim=1).split(1), roughness(peak.coordinate, len(u))[None], count[None])
        )


def _strip(planes: int, like: Tensor) -> int:
    """Rows of (H, W) maps that are worked on at once."""
    return max(1, PART // (planes * like.shape[1]))
