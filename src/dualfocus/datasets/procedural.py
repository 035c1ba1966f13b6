"""Seeded procedural scenes as samples: rendered when asked for, with textures that those of training do not have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dualfocus.datasets.sample import Sample
from dualfocus.stack import FocalStack

MIN_PLANES, MAX_PLANES = 3, 10


class ProceduralScenes:
    """Scenes of consecutive seeds with 3 to 10 planes, the same on every run.

    Args:
        count: number of scenes.
        first_seed: seed of the first.
        size: height and width in pixels.
        textures: folder of texture images, of which the held-out ones are used; None for noise textures only.

    Raises:
        ValueError: no texture in the folder.
    """

    def __init__(
        self, count: int = 100, *, first_seed: int = 1000, size: int = 256, textures: str | Path | None = None
    ) -> None:
        from dualfocus.rendering.textures import TexturePool

        self.size = size
        self.textures = textures
        self._seeds = range(first_seed, first_seed + count)
        self._pool = TexturePool(textures, split="held_out")
        source = "noise" if textures is None else "photo"
        self.names = [f"{source}-{size}-{seed}" for seed in self._seeds]

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Render scene `index`; the mask is the truth inside the focus range."""
        from dualfocus.rendering.capture import render_stack

        seed = self._seeds[index]
        planes = int(np.random.default_rng([seed, MAX_PLANES]).integers(MIN_PLANES, MAX_PLANES + 1))
        scene = render_stack(seed, self._pool, size=self.size, planes=planes)
        stack = FocalStack(scene.images, scene.focus_distances, "m")
        near, far = stack.coordinates[0], stack.coordinates[-1]
        truth = scene.truth.astype(np.float64)
        depth = stack.depth_from_coordinate(near + np.clip(truth, 0, 1) * (far - near))
        return Sample(self.names[index], stack, depth.astype(np.float32), scene.valid, scene.all_in_focus)
