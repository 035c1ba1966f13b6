"""What the systems of others share: the picture a single-image model sees, and the form of their answers."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets import Sample
from dualfocus.inference.plane_reader import Progress
from dualfocus.inference.predictor import Predictor
from dualfocus.outputs import DepthResult
from dualfocus.pixels import to_uint8
from dualfocus.stack import FocalStack
from dualfocus.stack.distances import PER_METRE


class Scene(NamedTuple):
    """What a system is asked about.

    Attributes:
        stack: the focal stack, H x W.
        all_in_focus: the one image that a single-image model sees, of any kind a stack knows.
        source: where that comes from, in words.
        sample: the stack, with its truth where there is one.
    """

    stack: FocalStack
    all_in_focus: NDArray[Any]
    source: str
    sample: Sample | None = None

    @property
    def picture(self) -> NDArray[np.uint8]:
        """The image as most models take it, (H, W, 3) uint8."""
        return to_bytes(self.all_in_focus)


class Baseline(Predictor):
    """A system with the `predict` of every other model; the evaluator gives it whole samples."""

    def predict(self, stack: FocalStack, progress: Progress | None = None) -> DepthResult:
        """Depth of a stack; a single-image model sees the all-in-focus image that `classical` composes of it.

        Args:
            stack: at least two planes, in any order.
            progress: see `Predictor.predict`.

        Raises:
            ValueError: no focal stack, or one whose unit the system cannot answer in.
        """
        started = time.perf_counter()
        return self._timed(Scene(stack, *composed_picture(stack, progress)), started)

    def predict_sample(self, sample: Sample) -> DepthResult:
        """Depth of a sample; a single-image model sees its true all-in-focus image where it has one."""
        started = time.perf_counter()
        return self._timed(scene_of(sample), started)

    def _timed(self, scene: Scene, started: float) -> DepthResult:
        result = self.answer(scene)
        result.timings["total"] = time.perf_counter() - started
        return result

    @abstractmethod
    def answer(self, scene: Scene) -> DepthResult:
        """The system's own work."""


def scene_of(sample: Sample) -> Scene:
    """A sample with its true all-in-focus image, or the composed one where it has none."""
    if sample.all_in_focus is None:
        return Scene(sample.stack, *composed_picture(sample.stack), sample)
    return Scene(sample.stack, sample.all_in_focus, "the all-in-focus image of the data set", sample)


def composed_picture(stack: FocalStack, progress: Progress | None = None) -> tuple[NDArray[Any], str]:
    """The all-in-focus image of a stack by `classical`, of the stack's own kind, and its source in words."""
    from dualfocus.inference.torch_model import load_torch_model

    image = load_torch_model("classical", device="cpu").predict(stack, progress).all_in_focus
    return image, "the all-in-focus image that `classical` composes of the stack"


def to_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image of any kind a stack knows, grey or colour, as (H, W, 3) uint8."""
    levels = to_uint8(image)
    return levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)


def per_metre(stack: FocalStack, model: str) -> float:
    """Result units of a stack in a metre (ValueError where its unit is no distance from the camera)."""
    if stack.result_unit not in PER_METRE:
        raise ValueError(f"{model} gives metres from one picture; a stack in {stack.unit!r} has no place for them")
    return PER_METRE[stack.result_unit]


def single_image_result(scene: Scene, depth: NDArray[Any], model: str, warnings: Iterable[str]) -> DepthResult:
    """A result without confidence and spread, of which a single-image model has none: both are NaN.

    Args:
        scene: what was asked.
        depth: (H, W) in the result unit; anything not finite and above 0 is invalid, as is what not all planes show.
        model: name of the system.
        warnings: what a reader of the depth must know.
    """
    depth = np.asarray(depth, np.float32)
    return DepthResult.of_stack(
        scene.stack,
        depth=depth,
        valid=np.isfinite(depth) & (depth > 0),
        all_in_focus=scene.all_in_focus,
        model=model,
        warnings=(f"{model}: single-image depth of {scene.source}; no confidence", *warnings),
    )
