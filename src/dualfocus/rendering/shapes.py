"""Antialiased silhouettes of foreground layers, each (height, width) float32 alpha in [0, 1]."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from dualfocus.rendering.noise import fractal, grid, soft_step
from dualfocus.rendering.textures import TexturePool

_SUPERSAMPLING = 4
_Points = list[tuple[float, float]]


class _Sheet:
    """A drawing surface that is averaged down to the canvas at the end; coordinates are canvas pixels (x, y)."""

    def __init__(self, height: int, width: int) -> None:
        self.image = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
        self.draw = ImageDraw.Draw(self.image)

    def polygon(self, points: _Points, fill: int = 255) -> None:
        self.draw.polygon([(x * _SUPERSAMPLING, y * _SUPERSAMPLING) for x, y in points], fill=fill)

    def line(self, points: _Points, width: float, fill: int = 255) -> None:
        scaled = [(x * _SUPERSAMPLING, y * _SUPERSAMPLING) for x, y in points]
        self.draw.line(scaled, fill=fill, width=max(round(width * _SUPERSAMPLING), 1), joint="curve")

    def alpha(self) -> np.ndarray:
        return np.asarray(self.image.reduce(_SUPERSAMPLING), np.float32) / 255.0


def _place(rng: np.random.Generator, height: int, width: int) -> tuple[float, float, float]:
    """A centre (x, y) on the canvas and a size in px, from small to most of the canvas."""
    size = min(height, width) * np.exp(rng.uniform(np.log(0.06), np.log(0.45)))
    return rng.uniform(0.05, 0.95) * width, rng.uniform(0.05, 0.95) * height, size


def polygon(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A rotated box, or a star-shaped polygon of 3 to 9 corners."""
    x, y, size = _place(rng, height, width)
    if rng.random() < 0.5:
        half = size * np.exp(rng.uniform(-0.7, 0.7, 2))
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
        tilt = rng.normal(0.0, 0.15) if rng.random() < 0.5 else rng.uniform(0, np.pi)
        rotation = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        points = corners @ rotation.T
    else:
        count = int(rng.integers(3, 10))
        angle = np.sort(rng.uniform(0, 2 * np.pi, count))
        radius = size * rng.uniform(0.4, 1.3, count)
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    sheet = _Sheet(height, width)
    sheet.polygon([(x + px, y + py) for px, py in points])
    return sheet.alpha()


def ellipse(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A rotated ellipse, sometimes a ring."""
    x, y, size = _place(rng, height, width)
    v, u = grid(height, width)
    v, u = v + height / 2 - y, u + width / 2 - x
    angle, axes = rng.uniform(0, np.pi), size * np.exp(rng.normal(0, 0.25, 2))
    a, b = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    distance = (1.0 - np.hypot(a / axes[0], b / axes[1])) * axes.min()
    alpha = soft_step(distance)
    if rng.random() < 0.2:
        alpha = alpha * soft_step(axes.min() * rng.uniform(0.1, 0.5) - distance)
    return alpha.astype(np.float32)


def _threshold(field: np.ndarray, level: float) -> np.ndarray:
    """Alpha of field > level with edges about one pixel wide; even areas lie on one side, never half in front."""
    slope = np.hypot(*np.gradient(field))
    distance = (field - level) / np.maximum(slope, 1e-3)
    return soft_step(np.where(slope < 1e-3, np.where(field > level, 1.0, -1.0), distance)).astype(np.float32)


def blob(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Islands of a smooth fractal field."""
    field = fractal(rng, height, width, rng.uniform(1.8, 3.0))
    return _threshold(field, float(np.quantile(field[::4, ::4], rng.uniform(0.5, 0.93))))


def leaves(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One to thirty pointed leaves, sometimes on a stem."""
    sheet = _Sheet(height, width)
    x, y, size = _place(rng, height, width)
    t = np.linspace(0, 1, 12)
    for _ in range(int(np.exp(rng.uniform(0, np.log(30))))):
        length, slim, bend = rng.uniform(8, max(size, 12)), rng.uniform(0.12, 0.4), rng.normal(0, 0.3)
        angle = rng.uniform(0, 2 * np.pi)
        half = slim * length * np.sin(np.pi * t**0.8)
        along, across = t * length, bend * length * t * (1 - t)
        u, v = np.concatenate([along, along[::-1]]), np.concatenate([across + half, (across - half)[::-1]])
        cx, cy = x + rng.normal(0, size * 0.7), y + rng.normal(0, size * 0.7)
        px, py = cx + u * np.cos(angle) - v * np.sin(angle), cy + u * np.sin(angle) + v * np.cos(angle)
        sheet.polygon(list(zip(px.tolist(), py.tolist(), strict=True)))
        if rng.random() < 0.3:
            sheet.line([(cx, cy), (x, y)], rng.uniform(1.0, 2.5))
    return sheet.alpha()


def lines(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A few thin straight or sagging lines across the picture: wires, twigs, poles."""
    sheet = _Sheet(height, width)
    t = np.linspace(0, 1, 16)
    for _ in range(int(rng.integers(1, 9))):
        ends = rng.uniform(-0.2, 1.2, (2, 2)) * (width, height)
        sag, bend = rng.normal(0, 0.06, 2) * height
        px = ends[0, 0] + t * (ends[1, 0] - ends[0, 0]) + bend * np.sin(2 * np.pi * t)
        py = ends[0, 1] + t * (ends[1, 1] - ends[0, 1]) + sag * 4 * t * (1 - t)
        sheet.line(list(zip(px.tolist(), py.tolist(), strict=True)), np.exp(rng.uniform(0, np.log(4))))
    return sheet.alpha()


def lattice(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A fence (one direction) or a grid (two), rotated."""
    sheet = _Sheet(height, width)
    angle, reach = rng.normal(0, 0.3), float(height + width)
    for turn in [0.0, np.pi / 2][: 1 + int(rng.random() < 0.55)]:
        c, s = np.cos(angle + turn), np.sin(angle + turn)
        pitch, thick = rng.uniform(8, 45), np.exp(rng.uniform(0, np.log(6)))
        for offset in np.arange(-reach / 2, reach / 2, max(pitch, 2.5 * thick)):
            x, y = width / 2 - s * offset, height / 2 + c * offset
            sheet.line([(x - c * reach, y - s * reach), (x + c * reach, y + s * reach)], thick)
    return sheet.alpha()


def strokes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Rows of small random strokes, like writing."""
    sheet = _Sheet(height, width)
    size = rng.uniform(7, 26)
    x0, y0 = rng.uniform(0, 0.6) * width, rng.uniform(0, 0.7) * height
    thick = rng.uniform(1.0, max(size / 6, 1.2))
    for row in range(int(rng.integers(1, 5))):
        for column in range(int(rng.integers(2, 10))):
            for _ in range(int(rng.integers(1, 4))):
                points = rng.integers(0, 3, (int(rng.integers(2, 4)), 2)) / 2.0 * (0.65, 0.8) * size
                sheet.line([(x0 + column * size + px, y0 + row * size * 1.3 + py) for px, py in points], thick)
    return sheet.alpha()


def cut_out(rng: np.random.Generator, height: int, width: int, pool: TexturePool) -> np.ndarray:
    """A natural silhouette: the thresholded brightness of a photograph, kept inside an ellipse or everywhere."""
    if not pool.files:
        return blob(rng, height, width)
    grey = np.ascontiguousarray(pool.photograph(rng, height, width).mean(0))
    picture = Image.fromarray((grey * 255).astype(np.uint8)).resize((width // 3, height // 3))
    smooth = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255.0
    alpha = _threshold(smooth, float(np.quantile(smooth[::4, ::4], rng.uniform(0.4, 0.9))))
    return alpha * ellipse(rng, height, width) if rng.random() < 0.6 else alpha


_SHAPES: tuple[tuple[Callable[[np.random.Generator, int, int], np.ndarray], float], ...] = (
    (polygon, 0.26),
    (ellipse, 0.2),
    (blob, 0.12),
    (leaves, 0.13),
    (lines, 0.1),
    (lattice, 0.05),
    (strokes, 0.04),
)


def silhouette(rng: np.random.Generator, height: int, width: int, pool: TexturePool) -> np.ndarray:
    """A random silhouette of any kind in this module: alpha (height, width) float32."""
    weights = np.array([weight for _, weight in _SHAPES])
    pick = rng.random()
    if pick >= weights.sum():
        return cut_out(rng, height, width, pool)
    return _SHAPES[int(np.searchsorted(np.cumsum(weights), pick, side="right"))][0](rng, height, width)
