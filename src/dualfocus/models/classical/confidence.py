"""How far `classical` can be believed at each pixel, from what its scores look like there."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from dualfocus.models.classical.peak import Peak


class ConfidenceCoefficients(NamedTuple):
    """Logistic regression of "error below half a plane spacing" on the evidence that is gathered here.

    Fitted by `tools/fit_classical_confidence.py` on path-traced and relief stacks (whole, and thinned to fewer
    planes); refit there whenever the score or its smoothing changes.
    """

    bias: float = 2.115
    amplitude: float = 0.112
    pooled: float = 0.774
    separation: float = 1.081
    curvature: float = 2.019
    disagreement: float = -1.177
    roughness: float = -2.885
    planes: float = -0.588


CONFIDENCE = ConfidenceCoefficients()


def peak_evidence(raw_peak: Tensor, raw_height: Tensor, pooled: Tensor, peak: Peak) -> Tensor:
    """What the confidence is estimated from, all but the last two of `ConfidenceCoefficients`.

    In order: log contrast of the pixel's own score (signal to noise); log contrast of the pooled score; separation of
    the peak from the next best plane that is not its neighbour; curvature of the peak relative to its height;
    disagreement of own and pooled peak where the own one is strong.

    Args:
        raw_peak: (H, W) plane where the pixel's own score is largest, in plane spacings of the focus coordinate.
        raw_height: (H, W) that score, less its mean over the planes.
        pooled: (N, H, W) the pooled score.
        peak: peak of the pooled score.

    Returns:
        (5, H, W).
    """
    planes = pooled.shape[0]
    rival = torch.full_like(peak.height, -math.inf)
    lowest = pooled[0].clone()
    near = max(1, planes // 8)
    for n in range(planes):
        lowest = torch.minimum(lowest, pooled[n])
        rival = torch.where((peak.best - n).abs() > near, torch.maximum(rival, pooled[n]), rival)
    span = (peak.height - lowest).clamp(min=1e-6)
    rival = torch.where(rival.isfinite(), rival, lowest)
    separation = ((peak.height - rival) / span).clamp(0, 1)
    position = peak.coordinate * (planes - 1)
    disagreement = (position - raw_peak).abs().clamp(max=3) * raw_height / (1 + raw_height)
    return torch.stack(
        [
            raw_height.clamp(min=1e-3).log(),
            peak.height.clamp(min=1e-3).log(),
            separation,
            (peak.curvature / span).clamp(max=1),
            disagreement,
        ]
    )


def roughness(coordinate: Tensor, planes: int) -> Tensor:
    """Steps of the depth, (H, W) normalised, to the pixels before: the same shape, in plane spacings, at most 1."""
    position = coordinate * (planes - 1)
    steps = torch.zeros_like(position)
    steps[:, 1:] += (position[:, 1:] - position[:, :-1]).abs()
    steps[1:] += (position[1:] - position[:-1]).abs()
    return steps.clamp_(max=1)


def confidence_from(evidence: Tensor, height: Tensor, coefficients: ConfidenceCoefficients) -> Tensor:
    """Estimated probability that the error is below half a plane spacing, (H, W).

    Args:
        evidence: (7, H, W), in the order of the coefficients without the bias.
        height: (H, W) height of the peak; where it is 0, no plane is sharper than another and the confidence is 0.
        coefficients: coefficients of the logistic map.
    """
    weights = evidence.new_tensor(coefficients[1:])
    logit = coefficients.bias + torch.einsum("k,khw->hw", weights, evidence)
    return torch.where(height <= 1e-6, 0.0, torch.sigmoid(logit))
