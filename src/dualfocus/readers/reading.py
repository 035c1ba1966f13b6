"""How a stack is to be read, as one value: what is the same for every stack of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualfocus.readers.load import load_stack, parse_distances
from dualfocus.readers.source import Source
from dualfocus.stack import FocalStack


@dataclass(frozen=True)
class Reading:
    """The options of `load_stack`, which says what they are; plain data, so that it can go to another process."""

    focus: str | Sequence[float] | None = None
    unit: str | None = None
    channel: int | None = None
    time: int | None = None
    z_step: float | None = None
    pixel_size: float | None = None
    frames: int | None = None

    def load(self, source: Source | Sequence[Source]) -> FocalStack:
        """What `load_stack` makes of a source with these options."""
        return load_stack(source, **vars(self))

    def check(self) -> None:
        """Find out what is wrong with the options for every stack, before any is opened.

        Channel, time and frames depend on the files; they are not looked at.

        Raises:
            ValueError: one line that names the value that is wrong.
        """
        unit, distances = parse_distances(self.focus, self.unit, self.z_step)
        count = 2 if distances is None else len(distances)
        if count < 2:
            raise ValueError(
                f"{count} focus distances, but a focal stack has two planes or more: give one for each image"
            )
        if distances is not None and unit is None:  # a sidecar may say which; metres unless they cannot be
            unit = "m" if min(distances) > 0 else "um"
        planes = np.zeros((count, 1, 1), np.uint8)
        FocalStack(planes, distances, None if distances is None else unit, pixel_size_um=self.pixel_size)
