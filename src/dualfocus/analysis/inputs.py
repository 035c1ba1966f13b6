"""What the stacks of an analysis are made from, and sets of stacks that are not made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from dualfocus.analysis.setup import Setup, Size
from dualfocus.datasets import Dataset, ProceduralScenes, Sample, StackFolders, open_nyu
from dualfocus.datasets.unpacked import unpacked
from dualfocus.inference.shipped import SAMPLES
from dualfocus.rendering.textures import TexturePool

DATA = ("textures", "pathtraced", "nyu")  # what `--data NAME=PATH` can give
_FIRST_SEED = 5000
_NYU_PLANES = 5


class MissingError(ValueError):
    """A level that cannot be measured here; says what it needs."""


@dataclass(frozen=True)
class Inputs:
    """The same for every experiment.

    Attributes:
        scenes: stacks a level.
        size: height and width of rendered pictures.
        data: name of `DATA` to path. Without textures all surfaces are noise textures.
    """

    scenes: int = 24
    size: Size = (160, 160)
    data: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def pool(self) -> TexturePool:
        """Held-out textures."""
        return TexturePool(self.data.get("textures"), split="held_out")

    @property
    def seeds(self) -> range:
        """The same for every level."""
        return range(_FIRST_SEED, _FIRST_SEED + self.scenes)


class Photographs:
    """The stacks of one setup, as a dataset."""

    def __init__(self, setup: Setup, inputs: Inputs) -> None:
        self.setup, self.inputs = setup, inputs
        self.names = [str(seed) for seed in inputs.seeds]

    def __len__(self) -> int:
        """Number of stacks."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Render stack `index`."""
        return self.setup.photograph(self.inputs.seeds[index], self.inputs.pool, self.inputs.size)


def photographs(setup: Setup) -> Callable[[Inputs], Dataset]:
    """The source of a setup's stacks."""
    return partial(Photographs, setup)


def noise_textures(inputs: Inputs) -> Dataset:
    """Scenes and cameras of the `procedural` protocol, with noise textures alone."""
    return ProceduralScenes(inputs.scenes, size=inputs.size[0])


def photo_textures(inputs: Inputs) -> Dataset:
    """The same with the given photographs as textures."""
    return ProceduralScenes(inputs.scenes, size=inputs.size[0], textures=_given(inputs, "textures"))


def path_traced(inputs: Inputs) -> Dataset:
    """The given path-traced stacks, or the packaged ones."""
    return StackFolders(inputs.data.get("pathtraced", SAMPLES))


def nyu(inputs: Inputs) -> Dataset:
    """Test images of NYU Depth v2 as `nyu/hybriddepth-n5` renders them."""
    return open_nyu(unpacked(_given(inputs, "nyu")), planes=_NYU_PLANES)


def _given(inputs: Inputs, name: str) -> Path:
    if name not in inputs.data:
        raise MissingError(f"needs --data {name}=PATH")
    return inputs.data[name]
