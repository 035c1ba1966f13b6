"""Seeded layered scenes: a background room or relief, and up to seven textured layers in front of it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from dualfocus.rendering import relief
from dualfocus.rendering.noise import fractal
from dualfocus.rendering.shapes import silhouette
from dualfocus.rendering.textures import TexturePool

MARGIN = 16
MAX_LAYERS = 8
_LOWEST_RANGE = 0.15  # scenes flatter than this keep their share of the focus range small


@dataclass(frozen=True)
class LayeredScene:
    """Layers back to front on one canvas, all defined everywhere.

    Attributes:
        rgb: (L, 3, H, W) float32, linear light, may exceed 1.
        alpha: (L, H, W) float32 in [0, 1]; the first layer is opaque.
        w: (L, H, W) float32, blur coordinate: affine in inverse depth, larger is nearer; the visible part inside the
            margin spans about [0, 1].
        margin: border of the canvas in px that is not part of the picture.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    w: np.ndarray
    margin: int

    def visible_w(self) -> np.ndarray:
        """The coordinate (H, W) of the topmost layer whose alpha exceeds 0.5."""
        return topmost(self.alpha, self.w)


def topmost(alpha: np.ndarray, w: np.ndarray) -> np.ndarray:
    """`w` (L, H, W) of the topmost layer with `alpha` (L, H, W) above 0.5, back to front: (H, W)."""
    result = w[0].copy()
    for layer in range(1, len(w)):
        np.copyto(result, w[layer], where=alpha[layer] > 0.5)
    return result


def make_scene(
    rng: np.random.Generator, pool: TexturePool | None = None, size: tuple[int, int] = (160, 160), margin: int = MARGIN
) -> LayeredScene:
    """A random scene whose picture is `size` (height, width), on a canvas that is `margin` px larger all around."""
    pool = pool or TexturePool()
    height, width = size[0] + 2 * margin, size[1] + 2 * margin
    w, rgb = _background(rng, pool, height, width)
    layers_w, layers_rgb, layers_alpha = [w], [rgb], [np.ones((height, width), np.float32)]
    count = int(rng.choice(MAX_LAYERS, p=[0.1, 0.14, 0.18, 0.18, 0.14, 0.1, 0.09, 0.07]))
    for _ in range(count):
        alpha = silhouette(rng, height, width, pool)
        if alpha.max() < 0.5:
            continue
        w, rgb = _foreground(rng, pool, alpha)
        w = w + _in_front(rng, alpha, w, topmost(np.stack(layers_alpha), np.stack(layers_w)))
        if rng.random() < 0.5:
            _cast_shadow(rng, alpha, layers_rgb)
        layers_w.append(w)
        layers_rgb.append(rgb)
        layers_alpha.append(alpha)
    scene = LayeredScene(np.stack(layers_rgb), np.stack(layers_alpha), np.stack(layers_w), margin)
    inside = scene.visible_w()[margin : height - margin, margin : width - margin]
    low, high = float(inside.min()), float(inside.max())
    span = max(high - low, _LOWEST_RANGE)
    return LayeredScene(scene.rgb, scene.alpha, ((scene.w - low) / span).astype(np.float32), margin)


def _background(rng: np.random.Generator, pool: TexturePool, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    kind = rng.random()
    if kind < 0.45:
        w, face = relief.room(rng, height, width)
        rgb = _faces_surface(rng, pool, face)
        return w, _shade(rng, w, rgb)
    if kind < 0.65:
        w = relief.plane(rng, height, width, rng.choice([0.0, 0.3, 1.0]))
    elif kind < 0.8:
        w = relief.quadric(rng, height, width)
    else:
        w = relief.height_field(rng, height, width)
    return w, _shade(rng, w, pool.surface(rng, height, width))


def _foreground(rng: np.random.Generator, pool: TexturePool, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinate (up to a constant) and colours of a layer with this silhouette."""
    height, width = alpha.shape
    slope = float(rng.choice([0.02, 0.2, 0.6], p=[0.3, 0.5, 0.2]))
    if rng.random() < 0.2:
        w, face = relief.box_faces(rng, alpha, 0.6)
        return w, _shade(rng, w, _faces_surface(rng, pool, face))
    w = relief.plane(rng, height, width, slope)
    if rng.random() < 0.4:
        w = w + relief.bulge(alpha, rng.normal(0.1, 0.12))
    if rng.random() < 0.1:
        w = w + np.float32(rng.uniform(0.01, 0.05)) * fractal(rng, height, width, rng.uniform(2.0, 3.0))
    return w, _shade(rng, w, pool.surface(rng, height, width))


def _faces_surface(rng: np.random.Generator, pool: TexturePool, face: np.ndarray) -> np.ndarray:
    """A texture of its own on every face, or one on all."""
    rgb = pool.surface(rng, *face.shape)
    for number in np.unique(face)[1:]:
        if rng.random() < 0.8:
            rgb = np.where(face == number, pool.surface(rng, *face.shape), rgb)
    return rgb


def _in_front(rng: np.random.Generator, alpha: np.ndarray, w: np.ndarray, below: np.ndarray) -> np.float32:
    """Offset that puts the layer in front of everything it covers, by a gap that is mostly small."""
    contact = float((below - w)[alpha > 0.05].max())
    gap = 0.0 if rng.random() < 0.15 else rng.exponential(0.25)
    return np.float32(contact + 0.01 + gap)


def _shade(rng: np.random.Generator, w: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Soft light: a smooth field over the canvas, and Lambert-like shading by the slope of the surface."""
    light = np.zeros_like(w)
    if rng.random() < 0.6:
        light = light + np.float32(rng.uniform(0.05, 0.4)) * fractal(rng, w.shape[0], w.shape[1], 3.0)
    if rng.random() < 0.7:
        dy, dx = np.gradient(w)
        angle = rng.uniform(0, 2 * np.pi)
        tilt = (np.sin(angle) * dy + np.cos(angle) * dx) * np.float32(max(w.shape) * rng.uniform(0.1, 0.6))
        light = light + tilt / np.sqrt(1.0 + tilt * tilt)
    return rgb * np.exp(np.clip(light, -1.5, 0.8)).astype(np.float32)


def _cast_shadow(rng: np.random.Generator, alpha: np.ndarray, layers: list[np.ndarray]) -> None:
    """Darken what is already there by the blurred, shifted silhouette of a new layer (in place)."""
    height, width = alpha.shape
    small = Image.fromarray((alpha * 255).astype(np.uint8)).reduce(int(rng.integers(3, 9)))
    soft = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255.0
    shift = rng.integers(-8, 9, 2)
    shadow = 1.0 - np.float32(rng.uniform(0.2, 0.7)) * np.roll(soft, shift, (0, 1))
    for index, rgb in enumerate(layers):
        layers[index] = rgb * shadow
