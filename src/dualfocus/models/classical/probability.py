"""A focus probability and a standard deviation for an answer that is a coordinate and a confidence."""

from __future__ import annotations

import torch
from torch import Tensor


def focus_probability(coordinate: Tensor, error: Tensor, coordinates: Tensor, broad: float = 0.75) -> Tensor:
    """Focus probability with a given expectation and, about, a given spread.

    A mixture of a discretised Gaussian of deviation `error` around `coordinate` and of the two planes that bracket
    a point placed so that the expectation of the whole is exactly `coordinate`, at any spacing and at the ends.

    Args:
        coordinate: (H, W) in [0, 1].
        error: (H, W) expected error, same unit.
        coordinates: (N,) increasing from 0 to 1.
        broad: largest weight of the Gaussian.

    Returns:
        (N, H, W), sums to 1 over the planes.
    """
    u = coordinates[:, None, None]
    gaussian = torch.softmax(-0.5 * ((u - coordinate) / error).square(), dim=0)
    mean = (gaussian * u).sum(0)
    room = torch.where(
        mean > coordinate, coordinate / mean.clamp(min=1e-9), (1 - coordinate) / (1 - mean).clamp(min=1e-9)
    )
    weight = (0.9 * room).clamp(max=broad)
    centre = ((coordinate - weight * mean) / (1 - weight)).clamp(0, 1)
    right = torch.searchsorted(coordinates, centre.contiguous()).clamp(1, len(coordinates) - 1)
    low, high = coordinates[right - 1], coordinates[right]
    share = (centre - low) / (high - low) * (1 - weight)
    probability = gaussian.mul_(weight)
    probability.scatter_add_(0, right[None], share[None])
    probability.scatter_add_(0, right[None] - 1, (1 - weight - share)[None])
    return probability


def expected_error(confidence: Tensor, planes: int) -> Tensor:
    """Deviation of the normal error that is below half a plane spacing with probability `confidence`.

    `dualfocus.inference.expected_error` has it without torch, from a table, for whatever runs a network; this one
    is exact and stays on the device.

    Args:
        confidence: (H, W).
        planes: number of planes that span [0, 1].

    Returns:
        (H, W), in that unit, at most 0.5.
    """
    quantile = torch.special.ndtri(0.5 * (1 + confidence.clamp(0.02, 0.98)))
    return (0.5 / quantile / (planes - 1)).clamp(max=0.5)


def deviation(coordinate: Tensor, error: Tensor, coordinates: Tensor) -> Tensor:
    """Standard deviation of the focus coordinate under `focus_probability`, at least the expected error.

    A probability whose expectation is the first or the last plane has nothing but that plane, however unsure it is.

    Args:
        coordinate: (H, W) in [0, 1].
        error: (H, W) expected error, same unit.
        coordinates: (N,) increasing from 0 to 1.

    Returns:
        (H, W), same unit.
    """
    probability = focus_probability(coordinate, error, coordinates)
    variance = torch.zeros_like(coordinate)
    for n, u in enumerate(coordinates):
        variance += probability[n] * (u - coordinate).square()
    return torch.maximum(variance.sqrt(), error)
