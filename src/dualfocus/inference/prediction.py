"""From a focal stack to a result, whatever computes in between; no torch here."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dualfocus.inference.all_in_focus import FocusPosition, compose, spread
from dualfocus.inference.confidence_map import measured_confidence
from dualfocus.inference.degenerate_stacks import StackChecks
from dualfocus.inference.expected_error import expected_error
from dualfocus.inference.focus_maps import FocusMaps, Size
from dualfocus.inference.looks import look_sizes, merge
from dualfocus.inference.plane_reader import PlaneReader, Progress
from dualfocus.inference.predictor import Predictor
from dualfocus.inference.resizing import enlarge, guided_upsample, shrink
from dualfocus.inference.smoothing import blend_cells, smooth_within_surfaces
from dualfocus.inference.windows import plane_position
from dualfocus.models import KINDS
from dualfocus.models.record import TrainingRecord, axis_of
from dualfocus.outputs import DepthResult
from dualfocus.pixels import white
from dualfocus.stack import FocalStack, check_stack
from dualfocus.stack.axis import FocusAxis

# Below it a pixel counts as nowhere in focus. A guess is within half a plane spacing of the truth with probability
# 1 / (N - 1): this is what a guess among six planes gets.
LEAST_CONFIDENCE = 0.2
_LEAST_STEP = 1e-6  # least step of the normalised coordinate between planes: deviations are divided by it
_STRIP = 32  # rows worked on at once

Planes = Callable[[int, Size], NDArray]  # n, (h, w) -> (h, w, 3) in the type of the photographs, planes near to far


class FocusModel(Predictor):
    """A model that estimates depth from focus: `predict` and what every kind of network shares.

    Args:
        name: one of `dualfocus.models.MODELS`.
        record: the record of its weights; its `coordinate`, `confidence_map` and `looks` are used.
        untrained: whether to warn that the weights are random.

    Attributes:
        precision: the precision it computes in, see `load_model`.
    """

    precision = "fp32"

    def __init__(self, name: str, record: TrainingRecord, untrained: bool = False) -> None:
        self.name, self.record, self.untrained = name, record, untrained
        self.kind = KINDS[name]

    @abstractmethod
    def working_pixels(self, planes: int) -> int:
        """Most pixels of a plane that the model works at, for memory or time."""

    def sizes(self, size: Size, planes: int) -> list[Size]:
        """One or two heights and widths to work at, the larger one first, of `planes` photographs of `size`."""
        looks = self.record.get("looks", self.kind.looks)
        return look_sizes(size, self.working_pixels(planes), planes, looks)

    @abstractmethod
    def reads(self, planes: int) -> int:
        """How often `estimate` reads each plane."""

    @abstractmethod
    def estimate(self, planes: Planes, u: NDArray[np.float64], size: Size) -> FocusMaps:
        """Estimate the focus of every pixel from planes at coordinates u, (N,), increasing from 0 to 1."""

    def predict(self, stack: FocalStack, progress: Progress | None = None) -> DepthResult:
        """See `Predictor.predict`."""
        check_stack(stack, "predict")
        axis = FocusAxis(stack, axis_of(self.record))
        sizes = self.sizes(stack.size, len(stack))
        started = time.perf_counter()
        planes = PlaneReader(stack, self.reads(len(stack)) + 1, progress)
        try:
            maps = self._look(lambda n: planes.read(n, "depth"), axis.planes, sizes)
            estimated = time.perf_counter()
            result = self.to_result(maps, axis, lambda n: planes.read(n, "all-in-focus image"))
        finally:
            stack.forget()
        result.timings = {"estimate": estimated - started, "all_in_focus": time.perf_counter() - estimated}
        return result

    def _look(self, read: Callable[[int], NDArray], u: NDArray[np.float64], sizes: list[Size]) -> FocusMaps:
        """Estimate at one or two sizes; planes are read for the first look and kept, small, for the second."""
        small: dict[int, NDArray] = {}

        def first(n: int, size: Size) -> NDArray:
            plane = shrink(read(n), size)
            if len(sizes) == 2 and size == sizes[0]:
                small[n] = shrink(plane, sizes[1])
            return plane

        answers = [self.estimate(first, u, sizes[0])]
        if len(sizes) == 2:
            answers.append(self.estimate(lambda n, size: shrink(small[n], size), u, sizes[1]))
        return self.merge(answers, len(u))

    def merge(self, answers: list[FocusMaps], planes: int) -> FocusMaps:
        """One answer from those at `sizes`."""
        if len(answers) == 1:
            return answers[0]
        fine, coarse = answers
        said = self.map_confidence(fine.confidence, planes), self.map_confidence(coarse.confidence, planes)
        return merge(fine, coarse, said, planes)

    def to_result(self, maps: FocusMaps, axis: FocusAxis, read: Callable[[int], NDArray]) -> DepthResult:
        """The all-in-focus image, and every map at the size of the photographs.

        Args:
            maps: what was estimated, at the working size.
            axis: the axis of the stack.
            read: n -> plane n, near to far, at full size.

        Returns:
            the result, without timings.
        """
        stack, checks = axis.stack, StackChecks()
        maps = maps._replace(confidence=self.map_confidence(maps.confidence, len(stack)))
        maps = self._smooth(maps, len(stack))

        def read_and_check(n: int) -> NDArray:
            plane = read(n)
            checks.add(n, plane)
            return plane

        image = compose(read_and_check, len(stack), _focus_position(maps, axis.planes, stack.size), stack.dtype)
        result = self._at_full_size(maps, axis, image)
        checks.apply(result, stack)
        return result

    def _smooth(self, maps: FocusMaps, planes: int) -> FocusMaps:
        """The maps without steps between the cells that a network answers on.

        `classical` answers for single pixels; where its answer is an end plane, perhaps at infinity, it stays that.
        """
        if not self.kind.learned:
            return maps._replace(coordinate=np.clip(maps.coordinate, 0, 1))
        coordinate = smooth_within_surfaces(maps.coordinate, expected_error(maps.confidence, planes))
        return maps._replace(coordinate=np.clip(coordinate, 0, 1), confidence=blend_cells(maps.confidence))

    def _at_full_size(self, maps: FocusMaps, axis: FocusAxis, image: NDArray) -> DepthResult:
        """The result at the size of the all-in-focus `image`, (H, W, 3), along whose edges depth is enlarged."""
        stack, size = axis.stack, image.shape[:2]
        coordinate, work = maps.coordinate, maps.coordinate.shape
        if work != size:
            coordinate = np.clip(guided_upsample(coordinate, image), 0, 1)
        confidence = enlarge(maps.confidence, size)
        depth, std = _to_depth(axis, coordinate, enlarge(maps.std, size))
        return DepthResult.of_stack(
            stack,
            depth=depth,
            valid=(confidence >= LEAST_CONFIDENCE) & np.isfinite(depth),
            confidence=confidence,
            std=std,
            all_in_focus=image,
            model=self.name,
            warnings=self._warnings(size, work),
            precision=self.precision,
        )

    def map_confidence(self, confidence: NDArray, planes: int) -> NDArray[np.float32]:
        """Carry the network's confidence for a stack of `planes` to the measured share of right answers."""
        fitted = self.record.get("confidence_map")
        return confidence.astype(np.float32) if fitted is None else measured_confidence(confidence, fitted, planes)

    def _warnings(self, size: Size, work: Size) -> list[str]:
        warnings = []
        if self.untrained:
            warnings.append(f"untrained: {self.name} has random weights; its depth means nothing")
        if work != size:
            warnings.append(f"worked at {work[1]}x{work[0]} and enlarged to {size[1]}x{size[0]}")
        return warnings


def _focus_position(maps: FocusMaps, u: NDArray[np.float64], size: Size) -> FocusPosition:
    """Where the pixels of the photographs are in focus, for the all-in-focus image."""
    position = plane_position(maps.coordinate, u)
    steps = np.maximum(np.diff(u), _LEAST_STEP).astype(np.float32)  # in float32 a step could be 0
    deviation = maps.std / steps[np.clip(np.ceil(position).astype(np.intp) - 1, 0, len(steps) - 1)]
    return FocusPosition(enlarge(position, size), enlarge(spread(deviation), size))


def _to_depth(
    axis: FocusAxis, coordinate: NDArray[np.float32], std: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Depth and its deviation from the coordinate and its own, (H, W); in strips, as what is between has 64 bits."""
    depth, deviation = np.empty_like(coordinate), np.empty_like(coordinate)
    for top in range(0, len(coordinate), _STRIP):
        rows = slice(top, top + _STRIP)
        depth[rows] = axis.depth(coordinate[rows])
        deviation[rows] = axis.depth_std(coordinate[rows], std[rows])
    return depth, deviation


def to_array(image: NDArray) -> NDArray[np.float32]:
    """A plane as the networks take it: (H, W, 3) uint8, uint16 or float -> (3, H, W) float32 in [0, 1]."""
    scale = np.float32(1 / white(image.dtype))
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) * scale
