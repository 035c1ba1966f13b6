"""A depth map as a picture: near is warm, far is cold, what is not valid is grey, with a legend."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dualfocus.outputs.result import DepthResult

INVALID_GREY = 128

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
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * encoded).astype(np.uint8)


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


def colour_picture(result: DepthResult) -> NDArray[np.uint8]:
    """(H, W + legend, 3) uint8 picture of the depth; an image too small for a legend has none.

    Colours are even in inverse depth for m and mm (as blur is), else in depth, from the 1st to the 99th percentile.
    """
    nearness = _nearness(result)
    shown = nearness[result.valid & np.isfinite(nearness)]
    low, high = np.percentile(shown, (1, 99)) if shown.size else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, low + 0.5
    picture = _paint(nearness, result.valid, low, high)
    legend = _legend(picture.shape[0], low, high, result) if shown.size else None
    return picture if legend is None else np.concatenate([picture, legend], axis=1)


def _uses_inverse(result: DepthResult) -> bool:
    return result.unit in ("m", "mm")


def _nearness(result: DepthResult) -> NDArray[np.float64]:
    """A number that grows towards the camera, in which the colours are even."""
    depth = result.depth.astype(np.float64)
    if _uses_inverse(result):
        with np.errstate(divide="ignore"):
            return np.where(depth > 0, 1 / depth, np.nan)
    return depth if result.order == "far_to_near" else -depth


def _depth_at(nearness: float, result: DepthResult) -> float:
    if _uses_inverse(result):
        return 1 / nearness if nearness > 0 else float("inf")
    return nearness if result.order == "far_to_near" else -nearness


def _paint(nearness: NDArray[np.float64], valid: NDArray[np.bool_], low: float, high: float) -> NDArray[np.uint8]:
    known = valid & np.isfinite(nearness)
    position = np.clip((np.where(known, nearness, low) - low) / (high - low), 0, 1)
    picture = colour_map()[np.round(255 * position).astype(np.uint8)]
    picture[~known] = INVALID_GREY
    return picture


def _legend(height: int, low: float, high: float, result: DepthResult) -> NDArray[np.uint8] | None:
    """(height, w, 3) white strip with the colour bar, near at the top, depths beside it and the unit above."""
    size = int(np.clip(height // 22, 10, 64))
    if height < 6 * size:
        return None
    font = ImageFont.load_default(size=size)
    top, bottom, bar_left, bar_width = round(2.2 * size), height - size, size // 2, round(1.2 * size)
    positions = np.linspace(1, 0, int(np.clip((bottom - top) // (2.5 * size), 2, 7)))
    labels = [_number(_depth_at(low + p * (high - low), result)) for p in positions]
    title = "plane" if result.unit == "index" else result.unit
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


def _number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if not np.isfinite(value):
        return "inf"
    digits = 2 - int(np.floor(np.log10(abs(value)))) if value else 0
    return f"{value:.{min(max(digits, 0), 6)}f}"
