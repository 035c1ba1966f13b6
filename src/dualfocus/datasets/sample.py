"""What every dataset gives: a focal stack with its true depth and the pixels where that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dualfocus.stack import FocalStack


@dataclass(frozen=True, eq=False)
class Sample:
    """One focal stack with ground truth.

    Attributes:
        name: unique in its dataset, and the same every time.
        stack: the focal stack, H x W.
        truth: (H, W) float32 depth in `stack.result_unit`; anything outside the mask.
        mask: (H, W) bool, the pixels whose truth is known and counts.
        all_in_focus: (H, W, 3) uint8 true all-in-focus image, or None.

    Raises:
        ValueError: maps of another size than the stack, or truth that is not finite inside the mask.
    """

    name: str
    stack: FocalStack
    truth: NDArray[np.float32]
    mask: NDArray[np.bool_]
    all_in_focus: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        """Check sizes and types."""
        for label, array in (("truth", self.truth), ("mask", self.mask)):
            if array.shape != self.stack.size:
                raise ValueError(f"{self.name}: {label} of shape {array.shape} for images of {self.stack.size}")
        if self.mask.dtype != bool:
            raise ValueError(f"{self.name}: the mask must be bool, not {self.mask.dtype}")
        if not np.isfinite(self.truth[self.mask]).all():
            raise ValueError(f"{self.name}: the truth is not finite inside its mask")


class Dataset(Protocol):
    """A sequence of samples, each made when it is asked for; `names` are known without making any."""

    names: list[str]

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Make sample `index`."""
        ...
