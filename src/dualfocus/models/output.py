"""What every network returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class FocusOutput(NamedTuple):
    """The same structure in training and evaluation.

    Attributes:
        probability: focus probability p, (B, N, h, w) at the model's output scale; sums to 1 over planes.
        coordinate: (B, H, W), expectation of the normalised focus coordinate (0 = first plane, 1 = last).
        std: (B, H, W), standard deviation of the coordinate under p, same unit.
        confidence: (B, H, W) in [0, 1], estimated probability that the error is below half a plane spacing.
        aux: further tensors by name, what only training or a caller that knows the model needs.
    """

    probability: Tensor
    coordinate: Tensor
    std: Tensor
    confidence: Tensor
    aux: dict[str, Tensor] | None = None
