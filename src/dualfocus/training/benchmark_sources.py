"""Training stacks of the paper's data sets that come as stacks: FoD500 and DDFF 12-Scene."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dualfocus.datasets import Dataset, Ddff12, Fod500
from dualfocus.stack.axis import AxisName
from dualfocus.training.config import SourceConfig
from dualfocus.training.stacks import TrainingStack, cut, load_named, require_size, select, source_path, take_planes

_KEPT_FOD500, _KEPT_DDFF12 = 400, 64  # decoded stacks, of 1 MB and 6 MB each
_KNOWN_SHARE = 0.8  # share of a crop of DDFF whose truth must be known


class SampleSource:
    """The training split of a data set, or the part that `include` and `exclude` leave; the latest stacks are kept."""

    def __init__(self, dataset: Dataset, config: SourceConfig, axis: AxisName, kept: int) -> None:
        self.indices = select(dataset.names, config)
        self.load = lru_cache(maxsize=kept)(lambda index: load_named(dataset, index, config, axis))

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """See `dualfocus.training.stacks.Source`."""
        return self.load(int(rng.choice(self.indices)))


class Ddff12Source(SampleSource):
    """Crops and planes as DFV draws them.

    Planes are any of the ten, without their order changed. Of all crops in which at least 80 % of the truth is known,
    one is drawn; when there is none, any.
    """

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """See `dualfocus.training.stacks.Source`; exactly so many planes and pixels."""
        stack = super().draw(rng, planes, crop)
        top, left = _well_known(rng, stack, crop)
        square = cut(stack, (slice(top, top + crop), slice(left, left + crop)))
        chosen = np.sort(rng.choice(len(stack.images), min(planes, len(stack.images)), replace=False))
        return take_planes(square, chosen)


def open_benchmark_source(config: SourceConfig, axis: AxisName) -> SampleSource:
    """The source of kind fod500 or ddff12."""
    path = source_path(config)
    if config.kind == "fod500":
        return SampleSource(Fod500(path, "train"), config, axis, _KEPT_FOD500)
    return Ddff12Source(Ddff12(path, "train"), config, axis, _KEPT_DDFF12)


def _well_known(rng: np.random.Generator, stack: TrainingStack, crop: int) -> tuple[int, int]:
    """Top and left of a crop whose truth is mostly known."""
    require_size(stack, crop)
    sums = np.pad(stack.known.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    counts = sums[crop:, crop:] - sums[:-crop, crop:] - sums[crop:, :-crop] + sums[:-crop, :-crop]
    good = np.flatnonzero(counts >= _KNOWN_SHARE * crop**2)
    place = int(rng.choice(good)) if len(good) else int(rng.integers(counts.size))
    return place // counts.shape[1], place % counts.shape[1]
