"""How each class of models runs on stacks of any length and size in bounded memory and time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dualfocus.inference.focus_maps import FocusMaps, Size, from_output, to_maps
from dualfocus.inference.frames import Frames, in_unit
from dualfocus.inference.long_stack import estimate_long
from dualfocus.inference.resizing import WORKING_PIXELS
from dualfocus.inference.staged import EncodedPlanes
from dualfocus.inference.windows import LONGEST
from dualfocus.models.classical import Classical
from dualfocus.models.small import DualFocusSmall

CLASSICAL_PIXELS = 2_100_000  # most pixels of a plane for `classical`, for its time: three to four seconds a plane
SCORE_PLANE_PIXELS = 420_000_000  # planes x pixels of the scores that `classical` holds: at most 1.7 GB
WHOLE_PLANE_PIXELS = 40_000_000  # planes x pixels of a network that takes the whole stack at once, for its memory


class Runner(Protocol):
    """A model with the way it is run."""

    def working_pixels(self, planes: int) -> int:
        """Most pixels of a plane that the model works at, for memory or time."""

    def reads(self, planes: int) -> int:
        """How often `estimate` reads each plane."""

    def estimate(self, frames: Frames, coordinates: NDArray, size: Size) -> FocusMaps:
        """Estimate the focus of every pixel.

        Args:
            frames: planes at the size asked for, on the device of the model.
            coordinates: (N,) normalised coordinates of the planes, increasing.
            size: height and width to work at.

        Returns:
            maps of that size.
        """


def runner_of(network: nn.Module) -> Runner:
    """How a model is run, in evaluation mode: as its class has it, else with the whole stack at once."""
    return _RUNNERS.get(type(network), WholeStack)(network)


class WholeStack:
    """Runner of `dualfocus-paper`, `dfv`, and any network that takes the whole stack at once."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def working_pixels(self, planes: int) -> int:
        """Fewer pixels for a long stack, all of whose planes are in memory; see `Runner`."""
        return min(WORKING_PIXELS, WHOLE_PLANE_PIXELS // planes)

    def reads(self, planes: int) -> int:
        """Once, as the stack is in memory as a whole."""
        return 1

    def estimate(self, frames: Frames, coordinates: NDArray, size: Size) -> FocusMaps:
        """See `Runner.estimate`."""
        images = torch.stack([in_unit(frames(n, size)) for n in range(len(coordinates))])
        return from_output(self.network(images[None], _single(coordinates)[None].to(images.device)))


class TiledFusion:
    """Runner of `dualfocus-s` and `-xs`: planes one by one, large images in tiles, long stacks in windows."""

    def __init__(self, network: DualFocusSmall) -> None:
        self.network = network

    def working_pixels(self, planes: int) -> int:
        """As many pixels for a stack of any length, see `Runner`."""
        return WORKING_PIXELS

    def reads(self, planes: int) -> int:
        """Long stacks are read twice."""
        return 1 if planes <= LONGEST else 2

    def estimate(self, frames: Frames, coordinates: NDArray, size: Size) -> FocusMaps:
        """See `Runner.estimate`."""
        planes, u = len(coordinates), _single(coordinates)
        if planes > LONGEST:
            return estimate_long(lambda wanted: EncodedPlanes(self.network, u, wanted), frames, coordinates, size)
        stack = EncodedPlanes(self.network, u, size, once=True)
        for n in range(planes):
            stack.add(n, frames(n, size))
        return from_output(stack.run(range(planes)))


class PlaneByPlane:
    """Runner of `classical`, which holds one map a plane."""

    def __init__(self, network: Classical) -> None:
        self.network = network

    def working_pixels(self, planes: int) -> int:
        """More pixels than a network works at, but for very long stacks; see `Runner`."""
        return min(CLASSICAL_PIXELS, SCORE_PLANE_PIXELS // planes)

    def reads(self, planes: int) -> int:
        """See `Classical.reads`."""
        return self.network.reads

    def estimate(self, frames: Frames, coordinates: NDArray, size: Size) -> FocusMaps:
        """See `Runner.estimate`."""
        return to_maps(*self.network.estimate(lambda n: in_unit(frames(n, size)), _single(coordinates)))


_RUNNERS: dict[type[nn.Module], Callable[[Any], Runner]] = {DualFocusSmall: TiledFusion, Classical: PlaneByPlane}


def _single(coordinates: NDArray) -> Tensor:
    return torch.as_tensor(coordinates, dtype=torch.float32)
