"""Distillation: beside the truth, a small network learns the answer of a larger one, which every pixel has.

The truth of a bare surface cannot be seen in the stack, and teaches a network noise; the answer of a network that was
trained for long is nearer to the mean of what could be true, and its focus probability shows how sure it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dualfocus.models.layers import fold_norms, use_channels_last
from dualfocus.models.output import FocusOutput
from dualfocus.models.record import axis_of
from dualfocus.models.weights import load_weights
from dualfocus.stack.axis import AxisName
from dualfocus.training.config import TeacherConfig


class Teacher:
    """A trained network that answers the same batches.

    Args:
        config: the weights file, and the weight of the `dualfocus.losses.distillation_loss`.
        axis: what the student's planes and truth are affine in; the teacher must agree.
        device: where the student is trained.

    Raises:
        ValueError: a bad weights file, or a teacher on another axis.
    """

    def __init__(self, config: TeacherConfig, axis: AxisName, device: torch.device) -> None:
        network, self.record = load_weights(config.weights)
        own = axis_of(self.record)
        if own != axis:
            raise ValueError(f"{config.weights}: a teacher in {own} cannot teach in {axis}; set data.coordinate")
        self.network: Any = network.eval().requires_grad_(False).to(device)
        fold_norms(self.network)
        use_channels_last(self.network)
        self.weight = config.weight

    @torch.no_grad()
    def answer(self, images: Tensor, coordinates: Tensor) -> FocusOutput:
        """What it says of a batch, (B, N, 3, H, W) and (B, N)."""
        return self.network(images, coordinates)
