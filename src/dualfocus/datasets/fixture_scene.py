"""A small made-up scene with exact depth: a textured wall that recedes and two textured boards before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MARGIN = 16  # px around the picture, so that blur at its border knows what is outside


@dataclass(frozen=True)
class FixtureScene:
    """Layers back to front on a canvas that is MARGIN px larger than the picture on each side.

    Attributes:
        rgb: (L, 3, H, W) float32, linear light.
        alpha: (L, H, W) float32, 0 or 1.
        depth: (L, H, W) float64 in metres, defined beyond the silhouettes too.
    """

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32]
    depth: NDArray[np.float64]

    def sharp(self) -> NDArray[np.uint8]:
        """(h, w, 3) display-encoded all-in-focus image."""
        from dualfocus.rendering.color import linear_to_srgb8

        image = self.rgb[0]
        for rgb, alpha in zip(self.rgb[1:], self.alpha[1:], strict=True):
            image = np.where(alpha > 0, rgb, image)
        return linear_to_srgb8(_inside(image).transpose(1, 2, 0))

    def visible_depth(self) -> NDArray[np.float64]:
        """(h, w) depth of what the picture shows, in metres."""
        depth = self.depth[0]
        for layer, alpha in zip(self.depth[1:], self.alpha[1:], strict=True):
            depth = np.where(alpha > 0, layer, depth)
        return _inside(depth)

    def stack(self, blur: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Photograph the scene once for each plane.

        Args:
            blur: (L, N, H, W) diameter of the circle of confusion in px of each layer in each plane.

        Returns:
            (N, h, w, 3) display-encoded.
        """
        import torch

        from dualfocus.rendering.color import linear_to_srgb8
        from dualfocus.rendering.layered import render_layers

        maps = (self.rgb, self.alpha[:, None], blur.astype(np.float32))
        rgb, alpha, coc = (torch.from_numpy(np.ascontiguousarray(values))[None] for values in maps)
        light = render_layers(rgb, alpha, coc, psf="disk", margin=MARGIN)[0].numpy()
        return linear_to_srgb8(light.transpose(0, 2, 3, 1))


def make_fixture_scene(
    rng: np.random.Generator, height: int, width: int, near: float, far: float, grain: int = 1
) -> FixtureScene:
    """A scene whose depths in metres lie from `near` to `far`; textures have details of `grain` px and more."""
    rows, columns = height + 2 * MARGIN, width + 2 * MARGIN
    x = np.linspace(0, 1, columns)[None, :].repeat(rows, axis=0)
    y = np.linspace(0, 1, rows)[:, None].repeat(columns, axis=1)
    inverse = [_tilted(rng, x, 1 / far, 0.5 / far + 0.5 / near)]
    alpha = [np.ones((rows, columns))]
    for share in (0.6, 0.9):  # of the way from the far end to the near one
        middle = rng.uniform(0.3, 0.7, 2)
        size = rng.uniform(0.12, 0.22, 2)
        alpha.append((np.abs(x - middle[0]) < size[0]) & (np.abs(y - middle[1]) < size[1]))
        level = 1 / far + share * (1 / near - 1 / far)
        inverse.append(_tilted(rng, y, level, 1 / far + (share + 0.1) * (1 / near - 1 / far)))
    rgb = [_texture(rng, rows, columns, grain) for _ in alpha]
    depth = np.clip(1 / np.stack(inverse), near, far)
    return FixtureScene(np.stack(rgb), np.stack(alpha).astype(np.float32), depth)


def _tilted(rng: np.random.Generator, along: NDArray[Any], first: float, last: float) -> NDArray[np.float64]:
    """A plane: inverse depth from `first` to `last` in one direction or the other."""
    return first + (last - first) * (along if rng.random() < 0.5 else 1 - along)


def _texture(rng: np.random.Generator, rows: int, columns: int, grain: int) -> NDArray[np.float32]:
    from dualfocus.rendering.color import srgb_to_linear
    from dualfocus.rendering.noise import fractal

    small = -(-rows // grain), -(-columns // grain)
    colour = rng.uniform(0.3, 0.7, 3)[:, None, None]
    # fine detail in brightness alone: JPEG halves the resolution of colour
    pattern = colour * (1 + 0.4 * fractal(rng, *small, 0.6) + 0.1 * fractal(rng, *small, 1.5))
    light = srgb_to_linear(np.clip(pattern, 0.02, 0.98)).astype(np.float32)
    return light.repeat(grain, axis=1).repeat(grain, axis=2)[:, :rows, :columns]


def _inside(canvas: NDArray[Any]) -> NDArray[Any]:
    return canvas[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
