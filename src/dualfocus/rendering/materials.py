"""Surface materials of the benchmark, painted by rule: unlike any texture that our training data are made with.

Each material is a function of a generator and a size: (size, size, 3) float32, linear reflectance.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dualfocus.rendering.color import srgb_to_linear
from dualfocus.rendering.noise import fractal

SIZE = 512
_DARKEST, _LIGHTEST = 0.02, 0.85

Picture = NDArray[np.float32]


def paint(rng: np.random.Generator, size: int = SIZE) -> Picture:
    """A textured material of any kind of this module."""
    return _MATERIALS[int(rng.integers(len(_MATERIALS)))](rng, size)


def plaster(rng: np.random.Generator, size: int = SIZE) -> Picture:
    """One colour with a grain of at most 0.6 %: nothing that a focus measure could hold on to."""
    grain = 1 + rng.uniform(0.0, 0.006) * fractal(rng, size, size, 0.8)
    return _reflectance(_hue(rng, (0.3, 0.9), (0.0, 0.3)), grain)


def _hue(rng: np.random.Generator, value: tuple[float, float], saturation: tuple[float, float]) -> Picture:
    """A display-encoded colour (3,)."""
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value)), np.float32)


def _reflectance(display: NDArray[np.floating], grain: NDArray[np.floating] | float = 1.0) -> Picture:
    """Linear reflectance of display-encoded colours (3,) or (size, size, 3), times a (size, size) grain."""
    linear = srgb_to_linear(display) * np.asarray(grain)[..., None]
    return np.clip(linear, _DARKEST, _LIGHTEST).astype(np.float32)


def _mix(first: Picture, second: Picture, share: NDArray[np.floating]) -> NDArray[np.floating]:
    return first + (second - first) * np.clip(share, 0, 1)[..., None]


def _wood(rng: np.random.Generator, size: int) -> Picture:
    """Boards: rings cut lengthwise, bent by a slow field, with fine fibres along them."""
    y, x = np.mgrid[:size, :size] / size
    boards = int(rng.integers(3, 7))
    board = (y * boards).astype(int)
    bend = 0.12 * fractal(rng, size, size, 2.2)
    rings = (y * boards % 1) * rng.uniform(2, 6) + bend * 8 + rng.uniform(0, 9, boards)[board] + 0.4 * x
    fibre = np.repeat(fractal(rng, size, size // 8, 0.4), 8, axis=1)
    hue = rng.uniform(0.05, 0.1)
    light, dark = (np.array(colorsys.hsv_to_rgb(hue, s, v), np.float32) for s, v in ((0.45, 0.85), (0.7, 0.4)))
    shade = (1 + 0.07 * fibre) * rng.uniform(0.75, 1.0, boards)[board]
    gap = np.abs(y * boards % 1 - 0.5) > 0.49
    return _reflectance(_mix(light, dark, 0.5 + 0.5 * np.sin(2 * np.pi * rings)), np.where(gap, 0.25, shade))


def _bricks(rng: np.random.Generator, size: int) -> Picture:
    """Courses shifted by half a brick, mortar between, every brick of its own shade."""
    courses = 2 * int(rng.integers(3, 7))
    y, x = np.mgrid[:size, :size] / size * courses
    x = x / 2 + 0.5 * (y.astype(int) % 2)
    tone = rng.uniform(0.55, 1.0, (courses, courses))[y.astype(int), x.astype(int) % courses]
    mortar = (y % 1 < 0.1) | (x % 1 < 0.05)
    grain = 1 + rng.uniform(0.03, 0.15) * fractal(rng, size, size, 0.7)
    brick, joint = _hue(rng, (0.4, 0.9), (0.1, 0.6)), _hue(rng, (0.6, 0.85), (0.0, 0.1))
    return _reflectance(np.where(mortar[..., None], joint, brick * tone[..., None]), grain)


def _cloth(rng: np.random.Generator, size: int) -> Picture:
    """A weave of two yarns in a tartan of broad stripes."""
    threads = int(rng.integers(40, 90))
    y, x = np.mgrid[:size, :size] / size * threads
    over = (x.astype(int) + y.astype(int)) % 2 == 0
    along, across = (np.abs(np.sin(np.pi * t)) for t in (y, x))
    round_yarn = 0.45 + 0.55 * np.where(over, across, along)
    stripes = rng.integers(0, 3, threads + 1)
    colours = np.stack([_hue(rng, (0.3, 0.9), (0.1, 0.7)) for _ in range(3)])
    yarn = np.where(over[..., None], colours[stripes[x.astype(int)]], colours[stripes[y.astype(int)]])
    return _reflectance(yarn, round_yarn * (1 + 0.05 * fractal(rng, size, size, 0.5)))


def _print(rng: np.random.Generator, size: int) -> Picture:
    """A page of lines of glyphs, words apart, now and then a coloured block."""
    paper, ink = _hue(rng, (0.8, 0.95), (0.0, 0.12)), _hue(rng, (0.05, 0.3), (0.0, 0.8))
    sheet = Image.new("RGB", (size, size), _rgb(paper))
    draw = ImageDraw.Draw(sheet)
    height = int(rng.integers(10, 26))
    for top in range(height // 2, size - height, int(1.7 * height)):
        if rng.random() < 0.12:
            box = (height, top, int(rng.uniform(0.3, 0.9) * size), top + height)
            draw.rectangle(box, fill=_rgb(_hue(rng, (0.4, 0.9), (0.4, 0.9))))
            continue
        left = height
        while left < size - 2 * height:
            if rng.random() < 0.82:
                corners = rng.integers(0, 3, (int(rng.integers(3, 6)), 2)) / 2 * (0.55 * height, height) + (left, top)
                draw.line([tuple(p) for p in corners.tolist()], fill=_rgb(ink), width=max(2, height // 7))
            left += int(0.85 * height)
    return _reflectance(np.asarray(sheet, np.float32) / 255)


def _rgb(display: Picture) -> tuple[int, int, int]:
    r, g, b = np.rint(255 * display).astype(int).tolist()
    return r, g, b


def _terrazzo(rng: np.random.Generator, size: int) -> Picture:
    """Broken chips of a few stones in cement."""
    sheet = Image.new("RGB", (size, size), _rgb(_hue(rng, (0.5, 0.85), (0.0, 0.15))))
    draw = ImageDraw.Draw(sheet)
    stones = [_rgb(_hue(rng, (0.1, 0.95), (0.0, 0.5))) for _ in range(4)]
    for _ in range(int(rng.integers(300, 900))):
        angle = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.exp(rng.normal(2.0, 0.5))
        draw.polygon([tuple(p) for p in (ring + rng.uniform(0, size, 2)).tolist()], fill=stones[rng.integers(4)])
    return _reflectance(np.asarray(sheet, np.float32) / 255, 1 + 0.03 * fractal(rng, size, size, 0.4))


def _marble(rng: np.random.Generator, size: int) -> Picture:
    """Dark veins where a slow field passes through zero."""
    vein = np.exp(-np.abs(fractal(rng, size, size, 1.8)) * rng.uniform(4, 12))
    ground, dark = _hue(rng, (0.6, 0.95), (0.0, 0.2)), _hue(rng, (0.1, 0.4), (0.0, 0.5))
    return _reflectance(_mix(ground, dark, vein), 1 + 0.04 * fractal(rng, size, size, 1.0))


_MATERIALS: tuple[Callable[[np.random.Generator, int], Picture], ...] = (
    _wood,
    _bricks,
    _cloth,
    _print,
    _terrazzo,
    _marble,
)
