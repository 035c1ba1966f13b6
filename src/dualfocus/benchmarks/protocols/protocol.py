"""What a benchmark protocol is: the conventions of a measurement, as text to read and as functions to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets import Dataset, Sample
from dualfocus.derived import stack_arguments
from dualfocus.stack import FocalStack

_ROUNDING = 1e-6
_STATED = (
    "name",
    "summary",
    "space",
    "mask",
    "focus_range",
    "planes",
    "crop",
    "lens",
    "clipping",
    "averaging",
    "metric_set",
    "delta",
)


class ComparedMaps(NamedTuple):
    """What a protocol compares, in its own space.

    Attributes:
        prediction: (H, W) float64, also outside the mask (Bump looks there).
        truth: (H, W) float64, 0 outside the mask.
        mask: (H, W) bool, the pixels that count.
    """

    prediction: NDArray[np.float64]
    truth: NDArray[np.float64]
    mask: NDArray[np.bool_]


class Range(NamedTuple):
    """True values that count: between two ends, which belong to it only if `closed`.

    Truth is kept as depth in single precision; a value that this moved off an end counts as that end.
    """

    least: float
    most: float
    closed: bool = False

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each value is inside."""
        ends = np.any([np.isclose(values, end, rtol=_ROUNDING, atol=0) for end in (self.least, self.most)], axis=0)
        inside = (values > self.least) & (values < self.most)
        return inside | ends if self.closed else inside & ~ends


@dataclass(frozen=True)
class BenchmarkProtocol:
    """One way to measure, with the conventions a reader needs to compare figures.

    A model gets a sample's stack as `padded` makes it; `compare` cuts the padding off its answer and gives the maps
    whose difference is measured, in the protocol's space.

    Attributes:
        name: the name on the command line.
        summary: one sentence.
        headline: columns shown in the table; the CSV holds all of them.
        space: the quantity that errors are taken of.
        mask: the pixels that count.
        focus_range: where the focus distances come from; whether they tell the true depth range.
        planes: number of planes and their order.
        crop: part of the image that is used.
        lens: camera and renderer, or where the images come from.
        open: makes the dataset from the path of its data.
        needs_data: `open` cannot do without that path.
        open_test: makes the test set whose truth is hidden, from the path of its data; None where there is none.
        clip: least and most, in the protocol's space, to which prediction and truth are clipped; or None.
        inverse: errors are taken of `inverse` / depth: 1 for dioptres, the factor of disparity; None for depth itself.
        shift: subtracted from `inverse` / depth, for disparity that has a sign.
        within: true values that count, in the protocol's space, among the pixels that the dataset knows; None for all.
        levels: prediction and truth are cut down to whole levels, so many a metre, as in a stored image; or None.
        multiple: stacks are padded below and to the right to sides that are multiples of this.
        padding: "reflect", or "constant" for black.
        metric_set: "masked" (errors over the pixels that count; an image without any has no figures), "dfv" (as DFV's
            code counts: truth > 0, accuracies and badpix in percent, an image without such pixels counts as zeros) or
            "signed" ("masked" without ratios and logarithms, which need values above 0, and with badpix).
        clipping: what is done to predictions before they are measured.
        averaging: how images are combined.
        published: name under which published figures are kept, or None.
        parts: first folders of the samples' names whose means are told apart.
    """

    name: str
    summary: str
    headline: tuple[str, ...]
    space: str
    mask: str
    focus_range: str
    planes: str
    crop: str
    lens: str
    open: Callable[[Path | None], Dataset] = field(compare=False, repr=False)
    needs_data: bool = True
    open_test: Callable[[Path], Dataset] | None = field(default=None, compare=False, repr=False)
    clip: tuple[float, float] | None = None
    inverse: float | None = None
    shift: float = 0.0
    within: Range | None = None
    levels: int | None = None
    multiple: int = 1
    padding: Literal["reflect", "constant"] = "reflect"
    metric_set: Literal["masked", "dfv", "signed"] = "masked"
    clipping: str = "none; predictions that are not finite take the farthest finite focus distance (column `filled`)"
    averaging: str = "figures per image, then the plain mean over images; ECE and the ten confidence bins pool pixels"
    published: str | None = None
    parts: tuple[str, ...] = ()

    @property
    def delta(self) -> Literal["fraction", "percent"]:
        """What accuracies and badpix are shown in; records always hold fractions."""
        return "percent" if self.metric_set == "dfv" else "fraction"

    def conventions(self) -> dict[str, str]:
        """What is stated in words, for records."""
        return {key: getattr(self, key) for key in _STATED}

    def padded(self, stack: FocalStack) -> FocalStack:
        """The stack as a model gets it, with sides that are multiples of `multiple`."""
        below, right = (whole - side for whole, side in zip(self.padded_size(stack), stack.size, strict=True))
        if not below and not right:
            return stack
        images = np.stack([np.pad(plane, ((0, below), (0, right), (0, 0)), mode=self.padding) for plane in stack])
        return FocalStack(images, **stack_arguments(stack, range(len(stack))))

    def padded_size(self, stack: FocalStack) -> tuple[int, int]:
        """Height and width of the padded stack."""
        height, width = (side + -side % self.multiple for side in stack.size)
        return height, width

    def compare(self, sample: Sample, depth: NDArray[Any]) -> ComparedMaps:
        """The maps whose difference is measured.

        Args:
            sample: the stack with its truth, H x W.
            depth: (H, W) predicted depth in the result unit, or that of the padded stack; finite, and above 0 where
                the protocol's space is not depth.
        """
        rows, columns = sample.stack.size
        known = sample.mask
        truth = self.carried(np.where(known, sample.truth, 1).astype(np.float64))
        prediction = self.carried(np.asarray(depth, np.float64)[:rows, :columns])
        mask = known if self.within is None else known & self.within.holds(truth)
        if self.levels is not None:
            truth, prediction = _stored(truth, self.levels), _stored(prediction, self.levels)
            mask = mask & (truth > 0)
        if self.clip is not None:
            truth, prediction = np.clip(truth, *self.clip), np.clip(prediction, *self.clip)
        return ComparedMaps(prediction, np.where(mask, truth, 0), mask)

    def carried(self, depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Depth in the protocol's space, any shape; infinite depth is 0 in an inverse one without a shift."""
        return depth if self.inverse is None else self.inverse / depth - self.shift

    def depth_of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Depth from values in the protocol's space, any shape: what `carried` undoes."""
        return values if self.inverse is None else self.inverse / (values + self.shift)

    def carried_std(self, depth: NDArray[Any], std: NDArray[Any]) -> NDArray[np.float64]:
        """A standard deviation of depth in the protocol's space, by the derivative, any shape."""
        spread = np.asarray(std, np.float64)
        return spread if self.inverse is None else self.inverse * spread / np.square(np.asarray(depth, np.float64))


def given(data: Path | None) -> Path:
    """The path of a protocol's data, for an `open` that needs one: `open_dataset` has refused it when there is none."""
    assert data is not None
    return data


def _stored(values: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    """Values as the peers write them to an image and read them back: single precision, cut off."""
    return np.floor(values.astype(np.float32) * np.float32(levels)).astype(np.float64) / levels
