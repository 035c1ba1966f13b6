"""What a model says of every pixel, and the sizes and boxes that such maps are of; no torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from dualfocus.models.output import FocusOutput

Size = tuple[int, int]  # height, width in pixels
Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels; top and left multiples of 16


class FocusMaps(NamedTuple):
    """What a model says of every pixel at its working size, (h, w) float32 each.

    Attributes:
        coordinate: normalised focus coordinate.
        std: its standard deviation, in the same unit.
        confidence: estimated probability, in [0, 1], that the error is below half a plane spacing; before or after the
            confidence map.
    """

    coordinate: NDArray[np.float32]
    std: NDArray[np.float32]
    confidence: NDArray[np.float32]


def from_output(output: FocusOutput) -> FocusMaps:
    """A network's answer for one stack, as arrays."""
    return to_maps(output.coordinate[0], output.std[0], output.confidence[0])


def to_maps(*maps: Tensor) -> FocusMaps:
    """Coordinate, deviation and confidence, (h, w) each, as arrays."""
    return FocusMaps(*(values.float().cpu().numpy() for values in maps))
