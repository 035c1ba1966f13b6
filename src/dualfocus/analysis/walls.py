"""Surfaces without texture in a textured picture: a bare patch on a wall, and a bare card in front of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dualfocus.analysis.setup import Size, Subject
from dualfocus.rendering.color import srgb_to_linear
from dualfocus.rendering.noise import grid, noise_texture, random_color
from dualfocus.rendering.procedural import MARGIN, LayeredScene
from dualfocus.rendering.textures import TexturePool

_EXTENT = 0.5  # depth range of a slanted wall, in w
BEHIND = 0.2  # w of the wall behind a card: coordinate 0.8 where the scene fills the focus range


def patched_wall(
    rng: np.random.Generator, pool: TexturePool, size: Size, *, diameter: float, contrast: float
) -> Subject:
    """A slanted wall somewhere between the ends; a round patch in its middle, which is measured, loses its texture.

    Args:
        rng: random numbers.
        pool: textures.
        size: height and width of the picture.
        diameter: the patch's, in px.
        contrast: what is left of the texture inside it, 0 to 1.
    """
    height, width = _canvas(size)
    y, x = grid(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * x / size[1] + np.sin(angle) * y / size[0]
    inside = np.abs(slope[MARGIN:-MARGIN, MARGIN:-MARGIN]).max()
    rgb = _textured(rng, pool, height, width)
    patch = np.hypot(y, x) <= diameter / 2
    rgb = np.where(patch, _faded(rgb, patch, contrast), rgb)
    w = rng.uniform(_EXTENT / 2, 1 - _EXTENT / 2) + _EXTENT / 2 * slope / inside
    scene = _scene([rgb], [np.ones((height, width))], [w])
    return Subject(scene, patch[MARGIN:-MARGIN, MARGIN:-MARGIN])


def bare_card(rng: np.random.Generator, pool: TexturePool, size: Size, *, gap: float) -> Subject:
    """A square card without texture, which is measured, `gap` (in w) nearer than the textured wall behind it."""
    height, width = _canvas(size)
    y, x = grid(height, width)
    card = (np.abs(y) < size[0] / 5) & (np.abs(x) < size[1] / 5)
    wall = _textured(rng, pool, height, width)
    colour = np.broadcast_to(srgb_to_linear(random_color(rng))[:, None, None], wall.shape)
    flat = np.ones((height, width))
    scene = _scene([wall, colour], [flat, card], [BEHIND * flat, (BEHIND + gap) * flat])
    return Subject(scene, card[MARGIN:-MARGIN, MARGIN:-MARGIN])


def _canvas(size: Size) -> Size:
    return size[0] + 2 * MARGIN, size[1] + 2 * MARGIN


def _textured(rng: np.random.Generator, pool: TexturePool, height: int, width: int) -> NDArray[np.float32]:
    """A texture that is never bare, in linear light."""
    if pool.files:
        return srgb_to_linear(pool.photograph(rng, height, width).astype(np.float32))
    return srgb_to_linear(noise_texture(rng, height, width))


def _faded(rgb: NDArray[np.float32], where: NDArray[np.bool_], contrast: float) -> NDArray[np.float32]:
    mean = rgb[:, where].mean(axis=1)[:, None, None]
    return mean + np.float32(contrast) * (rgb - mean)


def _scene(rgb: list[NDArray], alpha: list[NDArray], w: list[NDArray]) -> LayeredScene:
    r, a, coordinate = (np.stack(part).astype(np.float32) for part in (rgb, alpha, w))
    return LayeredScene(r, a, coordinate, MARGIN)
