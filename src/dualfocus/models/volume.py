"""Focus volumes: differences between neighbouring planes, and the expectation over planes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dualfocus.models.precision import full_precision


def differential_volume(volume: Tensor) -> Tensor:
    """Concatenate the focus volume with its differences along the planes (paper: V*).

    `V*_n = [V_n, V_{n+1} - V_n]` for n < N and `[V_N, V_N - V_{N-1}]` for the last plane.

    Args:
        volume: V, (B, N, C, H, W), N >= 2.

    Returns:
        (B, N, 2C, H, W).
    """
    step = volume[:, 1:] - volume[:, :-1]
    return torch.cat((volume, torch.cat((step, step[:, -1:]), dim=1)), dim=2)  # the last step counts twice


def focus_moments(probability: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor]:
    """First and second moment of the focus coordinate under the focus probability.

    The first one is the paper's depth `D = sum_n p_n f_n`. Not under autocast, which would round it to bfloat16.

    Args:
        probability: p, (B, N, H, W), sums to 1 over N.
        coordinates: f, (B, N).

    Returns:
        two maps (B, H, W): E[f] and E[f^2].
    """
    with full_precision(probability.device):
        first = torch.einsum("bnhw,bn->bhw", probability, coordinates)
        second = torch.einsum("bnhw,bn->bhw", probability, coordinates.square())
    return first, second


def side_coordinates(levels: list[tuple[Tensor, int]], size: tuple[int, int]) -> Tensor:
    """Coordinates estimated at coarser sizes, brought to full size for their share of the training loss.

    Args:
        levels: each a coordinate (B, h, w) over the padded image and its stride.
        size: H, W of the image.

    Returns:
        (B, len(levels), H, W).
    """
    maps = []
    for coordinate, stride in levels:
        up = F.interpolate(coordinate[:, None], scale_factor=stride, mode="bilinear", align_corners=False)
        maps.append(up[..., : size[0], : size[1]])
    return torch.cat(maps, dim=1)
