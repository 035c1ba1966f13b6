"""Edge-aware smoothing of a volume in time linear in its size."""

from __future__ import annotations

import torch
from torch import Tensor


def _smooth_rows(volume: Tensor, weight: Tensor) -> Tensor:
    """Solve (I + L_w) z = volume along the last axis, for all planes at once (tridiagonal, Thomas algorithm).

    Args:
        volume: (N, R, L).
        weight: (R, L - 1) coupling of neighbours, shared by the planes.

    Returns:
        (N, R, L); its memory layout is (L, N, R).
    """
    length = volume.shape[-1]
    z = volume.permute(2, 0, 1).contiguous()
    z = z.clone() if z.data_ptr() == volume.data_ptr() else z
    w = weight.t().contiguous()
    edge = torch.zeros_like(w[:1])
    before, after = torch.cat([edge, w]), torch.cat([w, edge])
    upper = torch.empty_like(before)
    inverse = torch.empty_like(before)
    inverse[0] = 1 / (1 + after[0])
    upper[0] = after[0] * inverse[0]
    z[0] *= inverse[0]
    for i in range(1, length):
        inverse[i] = 1 / (1 + before[i] * (1 - upper[i - 1]) + after[i])
        upper[i] = after[i] * inverse[i]
        z[i].addcmul_(before[i], z[i - 1]).mul_(inverse[i])
    for i in range(length - 2, -1, -1):
        z[i].addcmul_(upper[i], z[i + 1])
    return z.permute(1, 2, 0)


def edge_aware_smooth(
    volume: Tensor, guide: Tensor, strength: float, edge: float, rounds: int = 3, leak: float = 1e-5
) -> Tensor:
    """Weighted-least-squares smoothing guided by an image (fast global smoother, Min et al. 2014).

    Alternates exact 1-D solves along rows and columns with decreasing strength, which needs no 2-D linear system.

    Args:
        volume: (N, H, W) maps to smooth.
        guide: (C, H, W) image whose edges the smoothing respects.
        strength: weight λ of smoothness against data (weight 1).
        edge: guide difference between neighbours at which their coupling falls to 1/e.
        rounds: pairs of row and column solves.
        leak: least coupling relative to λ, so that no pixel is cut off by its own noise.

    Returns:
        (N, H, W), smoothed; each output is an average of the inputs of the same plane.
    """
    across = torch.exp(-(guide[:, :, 1:] - guide[:, :, :-1]).abs().amax(0) / edge).clamp(min=leak)
    along = torch.exp(-(guide[:, 1:] - guide[:, :-1]).abs().amax(0) / edge).clamp(min=leak).t()
    for t in range(rounds):
        factor = 1.5 * strength * 4 ** (rounds - 1 - t) / (4**rounds - 1)
        if volume.shape[2] > 1:
            volume = _smooth_rows(volume, across * factor)
        if volume.shape[1] > 1:
            volume = _smooth_rows(volume.transpose(1, 2), along * factor).transpose(1, 2)
    return volume.contiguous()
