"""Where training stacks come from, all brought to one form: 8-bit planes near to far, normalised truth."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dualfocus.datasets.stack_folders import StackFolders
from dualfocus.rendering.capture import render_stack
from dualfocus.rendering.dataset import RenderedDataset
from dualfocus.rendering.textures import TexturePool
from dualfocus.stack.axis import AxisName
from dualfocus.training.config import SourceConfig
from dualfocus.training.stacks import Source, TrainingStack, from_rendered, load_named, select, source_path

if TYPE_CHECKING:
    from dualfocus.training.unblurred import SharpStack


class RenderedSource:
    """Stacks rendered earlier by `dualfocus render` into a folder of shards."""

    def __init__(self, folder: Path) -> None:
        self.dataset, self.folder = RenderedDataset(folder), folder
        self.longest = int(self.dataset.planes.max())

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """See `Source`; stacks of about the wanted number of planes are preferred, to waste little."""
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
        """See `Source`."""
        seed = np.random.SeedSequence(int(rng.integers(2**62)))
        return from_rendered(render_stack(seed, self.pool, size=crop, planes=planes))


class StackFolderSource:
    """Folders with `stack.json` and ground truth; every stack is decoded once and kept."""

    def __init__(self, config: SourceConfig, axis: AxisName = "focus") -> None:
        folders = StackFolders(source_path(config))
        self.indices = select(folders.names, config)
        self.load = lru_cache(maxsize=64)(lambda index: load_named(folders, index, config, axis))

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """See `Source`; when no stack is long enough the longest drawn comes back."""
        stack = self.load(int(rng.choice(self.indices)))
        for _ in range(4):
            if len(stack.images) >= planes:
                break
            other = self.load(int(rng.choice(self.indices)))
            stack = other if len(other.images) > len(stack.images) else stack
        return stack


class ClippedSource:
    """A source, with truth beyond the focus range moved to its nearer end, so that it is trained on, too."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """See `Source`."""
        stack = self.source.draw(rng, planes, crop)
        return stack._replace(truth=stack.truth.clip(0, 1), clipped=True)

    def draw_sharp(self, rng: np.random.Generator, planes: int, crop: int) -> SharpStack:
        """The stack of `draw` before its blur, where the source has that."""
        stack = self.source.draw_sharp(rng, planes, crop)
        return stack._replace(truth=stack.truth.clip(0, 1))


def open_source(config: SourceConfig, axis: AxisName = "focus") -> Source:
    """Build the source a configuration names.

    Args:
        config: configuration of the source.
        axis: axis of its truth, see `dualfocus.stack.axis.FocusAxis`.

    Raises:
        ValueError: a missing path, nothing usable in it, or a kind that has no such axis.
    """
    source = _open(config, axis)
    return ClippedSource(source) if config.clip_truth else source


def _open(config: SourceConfig, axis: AxisName) -> Source:
    if config.kind in ("stacks", "nyu"):
        if config.kind == "stacks":
            return StackFolderSource(config, axis)
        from dualfocus.training.nyu_source import NyuSource

        return NyuSource(config, axis)
    if config.kind in ("fod500", "ddff12"):
        from dualfocus.training.benchmark_sources import open_benchmark_source

        return open_benchmark_source(config, axis)
    if axis != "focus":
        raise ValueError(
            f"data source of kind {config.kind}: has no coordinate {axis!r}; use stacks, nyu, fod500 or ddff12"
        )
    if config.kind == "procedural":
        return ProceduralSource(config.path)
    if config.kind == "rendered":
        return RenderedSource(source_path(config))
    from dualfocus.training.rgbd_source import RgbdSource

    return RgbdSource(source_path(config))
