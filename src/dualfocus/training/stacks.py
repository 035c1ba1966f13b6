"""One training stack, whatever it comes from: 8-bit planes near to far, normalised truth; and how it is made."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from dualfocus.datasets import Dataset
from dualfocus.datasets.sample import Sample
from dualfocus.datasets.unpacked import unpacked
from dualfocus.pixels import to_uint8
from dualfocus.rendering.capture import RenderedStack
from dualfocus.stack.axis import AxisName, FocusAxis
from dualfocus.training.config import SourceConfig


class TrainingStack(NamedTuple):
    """One stack with truth.

    Attributes:
        images: (N, H, W, 3), planes near to far; uint8, or float32 from 0 to 255 where no file ever held them.
        coordinates: (N,) float64, increasing, 0 for the first plane and 1 for the last.
        truth: (H, W) float32 in the same coordinate; outside [0, 1] where nothing is in focus.
        known: (H, W) bool, where the truth is known.
        ratio: what the coordinate is affine in, at the last plane over at the first; see `training.space.in_space`.
        clipped: truth beyond the planes is moved to their nearer end, also when some of the planes are taken.
        name: name of the stack, for messages.
    """

    images: np.ndarray
    coordinates: np.ndarray
    truth: np.ndarray
    known: np.ndarray
    ratio: float = 1.0
    clipped: bool = False
    name: str = "a training stack"


class Source(Protocol):
    """A seeded supply of stacks."""

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """A stack with at least `planes` planes (the caller takes a part) of at least `crop` pixels a side."""
        ...


def from_rendered(stack: RenderedStack) -> TrainingStack:
    """A rendered stack as a training stack; its truth is known everywhere."""
    truth = np.asarray(stack.truth, np.float32)
    ratio = float(stack.focus_distances[0] / stack.focus_distances[-1])  # ratio of inverse depths
    return TrainingStack(stack.images, stack.coordinates, truth, np.ones(truth.shape, bool), ratio)


def from_sample(sample: Sample, axis: AxisName = "focus") -> TrainingStack:
    """Decode a dataset's sample: 8 bit, near to far, truth in the normalised coordinate."""
    stack, focus_axis = sample.stack, FocusAxis(sample.stack, axis)
    images = np.stack([to_uint8(stack[int(n)]) for n in stack.near_to_far])
    truth = focus_axis.normalise(sample.truth)
    known = sample.mask & np.isfinite(truth)
    return TrainingStack(
        images, focus_axis.planes, np.where(known, truth, 0.0).astype(np.float32), known, focus_axis.ratio
    )


def load_named(dataset: Dataset, index: int, config: SourceConfig, axis: AxisName) -> TrainingStack:
    """Stack `index` of the data set of a source (ValueError naming the stack when it cannot be used)."""
    name = f"{config.path}: {dataset.names[index]}"
    try:
        return from_sample(dataset[index], axis)._replace(name=name)
    except (ValueError, OSError) as error:
        said = str(error)
        raise ValueError(said if dataset.names[index] in said else f"{name}: {said}") from None


def take_planes(stack: TrainingStack, index: np.ndarray) -> TrainingStack:
    """The planes of `index` (increasing), the coordinate normalised again to span [0, 1]."""
    u = stack.coordinates[index]
    extent = u[-1] - u[0]
    truth = ((stack.truth - u[0]) / extent).astype(np.float32)
    if stack.clipped:
        truth = truth.clip(0, 1)
    ends = 1 + u[[0, -1]] * (stack.ratio - 1)
    ratio = float(ends[1] / ends[0])
    return stack._replace(images=stack.images[index], coordinates=(u - u[0]) / extent, truth=truth, ratio=ratio)


def cut(stack: TrainingStack, part: tuple[slice, slice]) -> TrainingStack:
    """The rows and columns of a part of the picture."""
    rows, columns = part
    return stack._replace(images=stack.images[:, rows, columns], truth=stack.truth[part], known=stack.known[part])


def draw_square(rng: np.random.Generator, size: tuple[int, ...], side: int) -> tuple[slice, slice]:
    """Rows and columns of a random square of `side` pixels in a picture of `size` (height, width), which has them."""
    top, left = (int(rng.integers(extent - side + 1)) for extent in size)
    return slice(top, top + side), slice(left, left + side)


def require_size(stack: TrainingStack, crop: int) -> None:
    """Refuse a stack with a side of less than `crop` pixels (ValueError naming it)."""
    height, width = stack.truth.shape
    if min(height, width) < crop:
        raise ValueError(f"{stack.name}: {width}x{height} pixels are smaller than the crop of {crop}; lower data.crop")


def select(names: list[str], config: SourceConfig) -> list[int]:
    """Positions of the names that a source includes and does not exclude (ValueError when there are none)."""
    chosen = [
        index
        for index, name in enumerate(names)
        if any(fnmatch(name, pattern) for pattern in config.include)
        and not any(fnmatch(name, pattern) for pattern in config.exclude)
    ]
    if not chosen:
        raise ValueError(f"{config.path}: nothing is in include {config.include} and not in exclude {config.exclude}")
    return chosen


def source_path(config: SourceConfig) -> Path:
    """The file or folder of a source, unpacked if it is a pack (ValueError when none is configured)."""
    if config.path is None:
        raise ValueError(f"data source of kind {config.kind}: `path` is missing")
    return unpacked(config.path)
