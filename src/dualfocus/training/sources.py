"""Where training stacks come from, all brought to one form: 8-bit planes near to far, normalised truth."""

from __future__ import annotations

from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from dualfocus.datasets import Dataset
from dualfocus.datasets.pack import unpacked
from dualfocus.datasets.sample import Sample
from dualfocus.datasets.stack_folders import StackFolders
from dualfocus.inference.axis import FocusAxis
from dualfocus.pixels import to_uint8
from dualfocus.rendering.capture import RenderedStack, render_stack
from dualfocus.rendering.dataset import RenderedDataset
from dualfocus.rendering.textures import TexturePool
from dualfocus.training.config import SourceConfig

if TYPE_CHECKING:
    from dualfocus.training.unblurred import SharpStack


class TrainingStack(NamedTuple):
    """One stack with truth.

    Attributes:
        images: (N, H, W, 3), planes near to far; uint8, or float32 from 0 to 255 where no file ever held them.
        coordinates: (N,) float64, increasing, 0 for the first plane and 1 for the last.
        truth: (H, W) float32 in the same coordinate; outside [0, 1] where nothing is in focus.
        known: (H, W) bool.
        ratio: what the coordinate is affine in, at the last plane over at the first; see `training.space.in_space`.
        clipped: truth beyond the planes counts as at the nearer end, also of the planes that are taken of these.
        name: of the stack, for messages.
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
        """A stack with at least ``planes`` planes (the caller takes a part) of at least ``crop`` pixels a side."""
        ...


class RenderedSource:
    """Stacks rendered earlier by ``dualfocus render`` into a folder of shards."""

    def __init__(self, folder: Path) -> None:
        self.dataset, self.folder = RenderedDataset(folder), folder
        self.longest = int(self.dataset.planes.max())

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """See :class:`Source`; stacks of about the wanted number of planes are preferred, to waste little."""
        counts = self.dataset.planes
        wanted = min(planes, self.longest)
        usable = np.flatnonzero((counts >= wanted) & (counts <= max(wanted + 4, counts[counts >= wanted].min())))
        index = int(rng.choice(usable))
        return from_rendered(self.dataset[index])._replace(name=f"{self.folder}: stack {index}")


class ProceduralSource:
    """Stacks rendered on the fly: endless, but slower than the network trains on a CPU."""

    def __init__(self, textures: Path | None) -> None:
        self.pool = TexturePool(textures)

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """See :class:`Source`."""
        seed = np.random.SeedSequence(int(rng.integers(2**62)))
        return from_rendered(render_stack(seed, self.pool, size=crop, planes=planes))


class StackFolderSource:
    """Folders with ``stack.json`` and ground truth; every stack is decoded once and kept."""

    def __init__(self, config: SourceConfig, coordinate: str = "focus") -> None:
        folders = StackFolders(source_path(config))
        self.indices = select(folders.names, config)
        self.load = lru_cache(maxsize=64)(lambda index: load_named(folders, index, config, coordinate))

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """See :class:`Source`; when no stack is long enough the longest drawn comes back."""
        stack = self.load(int(rng.choice(self.indices)))
        for _ in range(4):
            if len(stack.images) >= planes:
                break
            other = self.load(int(rng.choice(self.indices)))
            stack = other if len(other.images) > len(stack.images) else stack
        return stack


class ClippedSource:
    """Another source, with truth beyond the focus range moved to its nearer end, so that it is trained on, too."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """See :class:`Source`."""
        stack = self.source.draw(rng, planes, crop)
        return stack._replace(truth=stack.truth.clip(0, 1), clipped=True)

    def draw_sharp(self, rng: np.random.Generator, planes: int, crop: int) -> SharpStack:
        """The same before its blur, where the source has that."""
        stack = self.source.draw_sharp(rng, planes, crop)
        return stack._replace(truth=stack.truth.clip(0, 1))


def open_source(config: SourceConfig, coordinate: str = "focus") -> Source:
    """Build the source a configuration names.

    Args:
        config: of the source.
        coordinate: of its truth, see :class:`dualfocus.inference.axis.FocusAxis`.

    Raises:
        ValueError: a missing path, nothing usable in it, or a kind that knows no such coordinate.
    """
    source = _open(config, coordinate)
    return ClippedSource(source) if config.clip_truth else source


def _open(config: SourceConfig, coordinate: str) -> Source:
    if config.kind in ("stacks", "nyu"):
        if config.kind == "stacks":
            return StackFolderSource(config, coordinate)
        from dualfocus.training.nyu_source import NyuSource

        return NyuSource(config, coordinate)
    if config.kind in ("fod500", "ddff12"):
        from dualfocus.training.benchmark_sources import open_benchmark_source

        return open_benchmark_source(config, coordinate)
    if coordinate != "focus":
        raise ValueError(
            f"data source of kind {config.kind}: has no coordinate {coordinate!r}; use stacks, nyu, fod500 or ddff12"
        )
    if config.kind == "procedural":
        return ProceduralSource(config.path)
    if config.kind == "rendered":
        return RenderedSource(source_path(config))
    from dualfocus.training.rgbd_source import RgbdSource

    return RgbdSource(source_path(config))


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


def from_rendered(stack: RenderedStack) -> TrainingStack:
    """A rendered stack as a training stack; its truth is known everywhere."""
    truth = np.asarray(stack.truth, np.float32)
    ratio = float(stack.focus_distances[0] / stack.focus_distances[-1])  # of inverse depths
    return TrainingStack(stack.images, stack.coordinates, truth, np.ones(truth.shape, bool), ratio)


def load_named(dataset: Dataset, index: int, config: SourceConfig, coordinate: str) -> TrainingStack:
    """Stack ``index`` of the data set of a source (ValueError naming the stack when it cannot be used)."""
    name = f"{config.path}: {dataset.names[index]}"
    try:
        return from_sample(dataset[index], coordinate)._replace(name=name)
    except (ValueError, OSError) as error:
        said = str(error)
        raise ValueError(said if dataset.names[index] in said else f"{name}: {said}") from None


def from_sample(sample: Sample, coordinate: str = "focus") -> TrainingStack:
    """Decode a dataset's sample: 8 bit, near to far, truth in the normalised coordinate."""
    stack, axis = sample.stack, FocusAxis(sample.stack, coordinate)
    images = np.stack([to_uint8(stack[int(n)]) for n in stack.near_to_far])
    truth = axis.normalise(sample.truth)
    known = sample.mask & np.isfinite(truth)
    return TrainingStack(images, axis.planes, np.where(known, truth, 0.0).astype(np.float32), known, axis.ratio)
