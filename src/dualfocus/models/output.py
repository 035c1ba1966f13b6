"""What every network returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TrainingOutput(NamedTuple):
    """What the losses read beside the answer.

    Attributes:
        gradients: theta_grad's output by the stride of its surfaces, (B, N, 2, H / stride, W / stride) each; empty
            without surfaces.
        sides: (B, S, H, W), coordinates estimated at coarser sizes, enlarged; fine to coarse.
        confidence_logit: (B, H, W), the confidence before its sigmoid; None if the network has no head for it.
    """

    gradients: dict[int, Tensor]
    sides: Tensor
    confidence_logit: Tensor | None = None


class FocusOutput(NamedTuple):
    """The answer for a batch of stacks.

    Attributes:
        probability: focus probability p, (B, N, h, w) at the model's output scale; sums to 1 over planes.
        coordinate: (B, H, W), expectation of the normalised focus coordinate (0 = first plane, 1 = last).
        std: (B, H, W), standard deviation of the coordinate under p, same unit.
        confidence: (B, H, W) in [0, 1], estimated probability that the error is below half a plane spacing.
        training: what the losses read beside; None unless the network is in training mode.
    """

    probability: Tensor
    coordinate: Tensor
    std: Tensor
    confidence: Tensor
    training: TrainingOutput | None = None
