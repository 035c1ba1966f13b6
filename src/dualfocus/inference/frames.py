"""Planes as tensors: photographs of 8 bits keep them, for their memory, until a network computes with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dualfocus.inference.focus_maps import Size
from dualfocus.inference.prediction import to_array

Frames = Callable[[int, Size], Tensor]  # n, (h, w) -> a frame, (3, h, w) uint8 or float32 in [0, 1]; near to far


def to_frame(image: NDArray) -> Tensor:
    """A plane of a stack as a frame: (H, W, 3) uint8, uint16 or float -> (3, H, W) uint8 or float32 in [0, 1]."""
    if image.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return torch.from_numpy(to_array(image))


def in_unit(frame: Tensor) -> Tensor:
    """A frame as float32 in [0, 1]."""
    return frame.float() * (1 / 255) if frame.dtype == torch.uint8 else frame
