"""A depth map as a picture: near is warm, far is cold, what is not valid is grey, with a legend."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dualfocus.outputs.numbers import on_a_scale
from dualfocus.outputs.result import DepthResult
from dualfocus.srgb import to_display

INVALID_GREY = 128
_COUNTED = 1_000_000  # pixels at least, for the ends of the scale
_STRIP = 32  # rows worked on at once: what is between has 64 bits and should stay in the cache

# Far to near: position, and lightness, chroma and hue (degrees) in OKLCH. Lightness rises from dark blue to yellow and
# falls again to red, so that the nearest things stand out by their colour.
_STOPS = np.array(
    [
        (0.00, 0.27, 0.130, 292.0),
        (0.20, 0.49, 0.150, 262.0),
        (0.40, 0.67, 0.115, 215.0),
        (0.58, 0.79, 0.150, 155.0),
        (0.74, 0.88, 0.165, 108.0),
        (0.87, 0.76, 0.165, 62.0),
        (1.00, 0.58, 0.200, 28.0),
    ]
)
_OKLAB_TO_LMS = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_LMS_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@lru_cache(maxsize=1)
def colour_map() -> NDArray[np.uint8]:
    """(256, 3) sRGB colours from far (dark blue) to near (red), interpolated in Oklab."""
    hue = np.radians(_STOPS[:, 3])
    lab = np.stack([_STOPS[:, 1], _STOPS[:, 2] * np.cos(hue), _STOPS[:, 2] * np.sin(hue)], axis=1)
    position = np.linspace(0, 1, 256)
    smooth = np.stack([_smooth_curve(position, _STOPS[:, 0], lab[:, c]) for c in range(3)], axis=1)
    linear = np.clip((smooth @ _OKLAB_TO_LMS.T) ** 3 @ _LMS_TO_RGB.T, 0, 1)
    return np.round(255 * to_display(linear)).astype(np.uint8)


def _smooth_curve(x: NDArray[Any], knots: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Cubic Hermite curve through the values, with the slopes of central differences: no visible band at a knot."""
    slope = np.gradient(values, knots)
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    width = knots[left + 1] - knots[left]
    t = (x - knots[left]) / width
    return (
        (2 * t**3 - 3 * t**2 + 1) * values[left]
        + (t**3 - 2 * t**2 + t) * width * slope[left]
        + (3 * t**2 - 2 * t**3) * values[left + 1]
        + (t**3 - t**2) * width * slope[left + 1]
    )


@dataclass(frozen=True)
class ColourScale:
    """Which colour a depth has: position (nearness - low) / (high - low) in the colour map.

    Nearness is a number that grows towards the camera and in which the colours are even: inverse depth for m and mm (as
    blur is), else depth up to its sign.

    Attributes:
        inverse: whether it is the inverse depth.
        farther: 1 where a larger depth is farther away, -1 where it is nearer.
        low: nearness of the farthest colour.
        high: nearness of the nearest colour.
    """

    inverse: bool
    farther: int
    low: float
    high: float

    def nearness(self, depth: NDArray[Any]) -> NDArray[np.float64]:
        """Nearness of depth of any shape; NaN for a camera's depth that is not above zero."""
        values = np.asarray(depth, np.float64)
        if not self.inverse:
            return -self.farther * values
        with np.errstate(divide="ignore"):
            return np.where(values > 0, 1 / values, np.nan)

    def depth_texts(self, count: int) -> list[str]:
        """Depths of `count` colours from the nearest to the farthest, for people."""
        return on_a_scale(self._depth_at(value) for value in np.linspace(self.high, self.low, count).tolist())

    def _depth_at(self, nearness: float) -> float:
        if self.inverse:
            return 1 / nearness if nearness > 0 else float("inf")
        return -self.farther * nearness


def colour_scale(result: DepthResult) -> ColourScale:
    """The scale of a result, from the 1st to the 99th percentile of its valid depths."""
    unbounded = ColourScale(result.unit in ("m", "mm"), -1 if result.order == "far_to_near" else 1, 0, 1)
    nearness = unbounded.nearness(_sample(result.depth, result.valid))
    shown = nearness[np.isfinite(nearness)]
    low, high = np.percentile(shown, (1, 99)).tolist() if shown.size else (0.0, 1.0)
    return replace(unbounded, low=low, high=high) if high > low else replace(unbounded, low=low - 0.5, high=low + 0.5)


def _sample(depth: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The valid depths, of a large map every few rows and columns; all where few are valid."""
    every = max(1, math.isqrt(depth.size // _COUNTED))
    some = depth[::every, ::every][valid[::every, ::every]]
    return some if len(some) > _COUNTED // 10 else depth[valid]


def colour_picture(result: DepthResult) -> NDArray[np.uint8]:
    """(H, W + legend, 3) uint8 picture of the depth; an image too small for a legend, or without depth, has none."""
    scale = colour_scale(result)
    picture, anything = np.empty((*result.depth.shape, 3), np.uint8), False
    for top in range(0, len(picture), _STRIP):
        rows = slice(top, top + _STRIP)
        nearness = scale.nearness(result.depth[rows])
        known = result.valid[rows] & np.isfinite(nearness)
        picture[rows] = paint((nearness - scale.low) / (scale.high - scale.low), known, colour_map())
        anything |= bool(known.any())
    legend = _legend(picture.shape[0], scale, result.unit) if anything else None
    return picture if legend is None else np.concatenate([picture, legend], axis=1)


def paint(position: NDArray[np.float64], known: NDArray[np.bool_], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A map as a picture.

    Args:
        position: (H, W), 0 to 1 from the first colour to the last; beyond, it is that of the end.
        known: (H, W) bool; grey elsewhere.
        colours: (256, 3).

    Returns:
        (H, W, 3).
    """
    shown = np.clip(np.where(known, position, 0), 0, 1)
    picture = colours[np.round(255 * shown).astype(np.uint8)]
    picture[~known] = INVALID_GREY
    return picture


def _legend(height: int, scale: ColourScale, unit: str) -> NDArray[np.uint8] | None:
    """(height, w, 3) white strip with the colour bar, near at the top, depths beside it and the unit above."""
    size = int(np.clip(height // 22, 10, 64))
    if height < 6 * size:
        return None
    font = ImageFont.load_default(size=size)
    top, bottom, bar_left, bar_width = round(2.2 * size), height - size, size // 2, round(1.2 * size)
    positions = np.linspace(1, 0, int(np.clip((bottom - top) // (2.5 * size), 2, 7)))
    labels = scale.depth_texts(len(positions))
    title = "plane" if unit == "index" else unit
    text_left = bar_left + bar_width + size // 2
    width = round(max(text_left + max(font.getlength(label) for label in labels), font.getlength(title) + size))
    canvas = Image.new("RGB", (width + size // 2, height), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((bar_left, size), title, fill="black", font=font, anchor="lm")
    for p, label in zip(positions, labels, strict=True):
        y = top + (1 - p) * (bottom - top)
        draw.line([(bar_left + bar_width, y), (text_left - 2, y)], fill="black", width=max(1, size // 12))
        draw.text((text_left, y), label, fill="black", font=font, anchor="lm")
    strip = np.array(canvas)
    rows = np.linspace(255, 0, bottom - top + 1).round().astype(int)
    strip[top : bottom + 1, bar_left : bar_left + bar_width] = colour_map()[rows][:, None]
    return strip
