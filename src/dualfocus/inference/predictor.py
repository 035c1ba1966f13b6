"""What everything that `load_model` gives has in common; no torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from dualfocus.inference.plane_reader import Progress
from dualfocus.outputs import DepthResult
from dualfocus.stack import Camera, FocalStack

if TYPE_CHECKING:
    from dualfocus.inference.streaming import FocusStream


class Predictor(ABC):
    """A model ready to use, whatever computes in it; `dualfocus.load_model` makes one.

    Attributes:
        name: name of the model, as results have it.
    """

    name: str

    @abstractmethod
    def predict(self, stack: FocalStack, progress: Progress | None = None) -> DepthResult:
        """Estimate depth; the same answer every time.

        Args:
            stack: at least two planes, in any order.
            progress: called after each plane read, with the number read, the number that will be read in all (planes
                are read two to three times, so that few are in memory) and what they are read for.

        Returns:
            maps of the size of the photographs, depth in `stack.result_unit`.

        Raises:
            ValueError: no focal stack, a plane that cannot be decoded, named, or a unit that the model cannot answer
                in.
        """

    def stream(self, window: int = 5, unit: str | None = None, camera: Camera | None = None) -> FocusStream:
        """Predict while planes arrive one by one; see `dualfocus.inference.streaming.FocusStream`.

        Args:
            window: planes that are fused, the last ones to arrive; 2 to 24.
            unit: unit of the focus distances, as for a focal stack.
            camera: camera of the sweep, as for a focal stack.

        Raises:
            ValueError: a model other than `dualfocus-s` and `-xs` on torch, or another window.
        """
        raise ValueError(f"{self.name} cannot stream; only dualfocus-s and -xs on torch can")
