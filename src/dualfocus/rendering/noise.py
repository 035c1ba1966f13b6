"""Seeded noise: fractal fields and patterns (checker, stripes, dots, cells), numpy only."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=16)
def _frequency(height: int, width: int) -> np.ndarray:
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    return np.maximum(np.hypot(fy, fx), 1.0 / max(height, width)).astype(np.float32)


def fractal(rng: np.random.Generator, height: int, width: int, exponent: float) -> np.ndarray:
    """Field (height, width) float32, mean 0, deviation 1, amplitude spectrum 1/f^exponent."""
    frequency = _frequency(height, width)
    noise = rng.standard_normal((2, *frequency.shape), dtype=np.float32)
    spectrum = (noise[0] + 1j * noise[1]) * frequency**-exponent
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, (height, width)).astype(np.float32)
    return field / max(float(field.std()), 1e-12)


def random_color(rng: np.random.Generator) -> np.ndarray:
    """A display-encoded colour (3,) float32, mostly of low saturation."""
    value, spread = rng.uniform(0.08, 0.95), rng.choice([0.03, 0.12, 0.35])
    return np.clip(value + rng.normal(0.0, spread, 3), 0.02, 1.0).astype(np.float32)


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates y (height, 1) and x (1, width) about the centre, float32, in px."""
    y = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
    x = np.arange(width, dtype=np.float32)[None, :] - (width - 1) / 2
    return y, x


def rotated_grid(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (2 x (height, width)) in px of a randomly rotated and shifted frame."""
    y, x = grid(height, width)
    angle = rng.uniform(0.0, 2 * np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    offset = rng.uniform(-50, 50, 2).astype(np.float32)
    return c * y - s * x + offset[0], s * y + c * x + offset[1]


def soft_step(distance: np.ndarray) -> np.ndarray:
    """0 to 1 over one pixel around distance 0 (an antialiased edge)."""
    return np.clip(distance + 0.5, 0.0, 1.0)


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    v, _ = rotated_grid(rng, height, width)
    period, share = np.exp(rng.uniform(np.log(4), np.log(40))), rng.uniform(0.2, 0.8)
    return soft_step(period * share / 2 - np.abs(np.mod(v, period) - period / 2))


def _checker(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    v, u = rotated_grid(rng, height, width)
    size = np.exp(rng.uniform(np.log(4), np.log(30)))
    a = np.clip(np.sin(v * np.pi / size) * size / np.pi * 2, -1, 1)
    b = np.clip(np.sin(u * np.pi / size) * size / np.pi * 2, -1, 1)
    return 0.5 + 0.5 * a * b


def _dots(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    v, u = rotated_grid(rng, height, width)
    period = np.exp(rng.uniform(np.log(5), np.log(30)))
    radius = period * rng.uniform(0.15, 0.45)
    return soft_step(radius - np.hypot(np.mod(v, period) - period / 2, np.mod(u, period) - period / 2))


def _cells(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = grid(height, width)
    count = int(rng.integers(8, 40))
    centers = rng.uniform(-0.55, 0.55, (count, 2)).astype(np.float32) * np.array([height, width], np.float32)
    best = np.full((height, width), 1e9, np.float32)
    value = np.zeros((height, width), np.float32)
    for cy, cx in centers:
        distance = (y - cy) ** 2 + (x - cx) ** 2
        nearer = distance < best
        best[nearer] = distance[nearer]
        value[nearer] = rng.random()
    return value


def _fractal_pattern(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return 0.5 + 0.25 * fractal(rng, height, width, rng.uniform(0.4, 1.8))


def _speckle(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    field = fractal(rng, height, width, rng.uniform(0.2, 1.0))
    return soft_step((field - rng.uniform(-0.5, 1.5)) * rng.uniform(1.0, 4.0))


_PATTERNS: tuple[tuple[Callable[[np.random.Generator, int, int], np.ndarray], float], ...] = (
    (_fractal_pattern, 0.4),
    (_speckle, 0.15),
    (_stripes, 0.12),
    (_checker, 0.1),
    (_dots, 0.1),
    (_cells, 0.13),
)


def noise_texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Pattern between two or three random colours, with some grain: (3, height, width) display-encoded float32."""
    choice = rng.choice(len(_PATTERNS), p=[weight for _, weight in _PATTERNS])
    mix = np.clip(_PATTERNS[choice][0](rng, height, width), 0.0, 1.0).astype(np.float32)
    first, second = random_color(rng)[:, None, None], random_color(rng)[:, None, None]
    texture = first + (second - first) * mix
    if rng.random() < 0.6:
        grain = fractal(rng, height, width, rng.uniform(0.3, 1.3)) * np.float32(rng.uniform(0.01, 0.12))
        texture = texture * (1.0 + grain)
    return np.clip(texture, 0.0, 1.0).astype(np.float32)
