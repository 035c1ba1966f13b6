"""What every model returns, the same in training and evaluation."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class FocusOutput(NamedTuple):
    """Depth of a batch of focal stacks in the normalised focus coordinate (0 = nearest plane, 1 = farthest).

    Attributes:
        probability: (B, N, h, w) focus probability at the model's output scale; sums to 1 over the planes.
        coordinate: (B, H, W) expectation of the normalised focus coordinate, full size.
        std: (B, H, W) standard deviation of the coordinate under the focus probability, same unit.
        confidence: (B, H, W) in [0, 1]: estimated probability that the error of ``coordinate`` is below half a
            mean plane spacing, that is below 0.5 / (N - 1).
        aux: intermediate maps by name (a network's surfaces, coarse predictions ...), or None.
    """

    probability: Tensor
    coordinate: Tensor
    std: Tensor
    confidence: Tensor
    aux: dict[str, Tensor] | None = None
