"""Where a score peaks over the planes, finer than their spacing."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Peak(NamedTuple):
    """Peak of the score over the planes, every map (H, W).

    Attributes:
        coordinate: fitted peak in the normalised focus coordinate.
        best: plane of the largest score.
        height: largest score above the mean over the planes.
        curvature: minus the second derivative of the fitted parabola per plane spacing squared; 0 where not concave.
    """

    coordinate: Tensor
    best: Tensor
    height: Tensor
    curvature: Tensor


def fit_peak(score: Tensor, coordinates: Tensor, share: float = 0.4) -> Peak:
    """Sub-plane peak of a score by a weighted parabola over the (non-uniform) focus coordinate.

    The parabola is fitted to the planes around the maximum whose score lies in the upper `share` of the peak, with
    weights that fall to 0 there: with coarse spacing this is the parabola through three planes, with fine spacing many
    planes vote. At the first and last plane the window moves inwards. The result stays between the neighbours of the
    best plane, or a few planes beyond where the spacing is fine. Two planes determine no parabola; see
    `_two_planes`.

    Args:
        score: (N, H, W), mean 0 over the planes.
        coordinates: (N,) increasing from 0 to 1.
        share: part of the height (over the mean of the planes) in which a plane counts.
    """
    planes = score.shape[0]
    height, index = score.max(0)
    if planes == 2:
        return _two_planes(score, height, index)
    u = coordinates * (planes - 1)  # in plane spacings, so that numbers are near 1
    centre = index.clamp(1, planes - 2)
    origin = u[centre]
    reach = max(1, math.ceil(planes / 6))
    width = (share * height).clamp(min=1e-9)
    moments = [torch.zeros_like(height) for _ in range(8)]  # Σw x^0..4, Σw y x^0..2
    for n in range(planes):
        distance = (centre - n).abs()
        weight = ((score[n] - height) / width + 1).clamp(min=0) * (distance <= reach)
        weight = torch.where(distance <= 1, weight.clamp(min=0.2), weight)
        x, y = u[n] - origin, score[n] - height
        for k in range(5):
            moments[k].add_(weight)
            if k < 3:
                moments[5 + k].add_(weight * y)
            weight = weight * x
    slope, quadratic = _solve_parabola(moments)
    concave = quadratic < -1e-6 * height.clamp(min=1e-9)
    vertex = origin - slope / torch.where(concave, 2 * quadratic, -1.0)
    slack = max(1, reach // 2)
    low, high = u[(index - slack).clamp(min=0)], u[(index + slack).clamp(max=planes - 1)]
    vertex = torch.where(concave, torch.minimum(torch.maximum(vertex, low), high), u[index])
    silent = height <= 1e-6  # no plane is sharper than another: the middle is the best guess
    vertex = torch.where(silent, 0.5 * (planes - 1), vertex)
    return Peak(vertex / (planes - 1), index, height, torch.where(concave, -quadratic, 0.0))


def _solve_parabola(m: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Slope and quadratic coefficient of the least-squares parabola from its moments (Cramer's rule)."""
    m0, m1, m2, m3, m4, y0, y1, y2 = m
    c00, c01, c02 = m2 * m4 - m3 * m3, m2 * m3 - m1 * m4, m1 * m3 - m2 * m2
    determinant = (m0 * c00 + m1 * c01 + m2 * c02).clamp(min=1e-12)
    c11, c12, c22 = m0 * m4 - m2 * m2, m1 * m2 - m0 * m3, m0 * m2 - m1 * m1
    return (c01 * y0 + c11 * y1 + c12 * y2) / determinant, (c02 * y0 + c12 * y1 + c22 * y2) / determinant


def _two_planes(score: Tensor, height: Tensor, index: Tensor) -> Peak:
    """Peak from two planes: the score difference is linear in the coordinate where log measures are parabolas.

    Its scale is not observable in one pixel; the largest differences of the image are taken for surfaces in the planes.
    """
    difference = score[1] - score[0]
    sample = difference.abs().flatten()
    sample = sample[:: max(1, sample.numel() // 50_000)]
    scale = torch.quantile(sample, 0.95).clamp(min=1e-6)
    position = (0.5 + 0.5 * difference / scale).clamp(0, 1)
    return Peak(position, index, height, (0.5 * scale).expand_as(height))
