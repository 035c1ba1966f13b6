"""Exposure and white balance of frames: compared on small copies in linear light, evened out by a gain a channel."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.pixels import to_unit, white
from dualfocus.srgb import to_display, to_linear

_WIDTH = 48  # pixels across a thumbnail: so few that blur leaves them as they are
_DARKEST, _BRIGHTEST = 0.003, 0.95  # linear light that is compared: neither noise nor clipped
_LEAST_PIXELS = 20
_BURNT_OUT = 0.95  # share of a thumbnail that is clipped
_FLAT = 0.02  # deviation of the logarithm of light: nothing to tell two pictures apart by


def thumbnail(image: NDArray[Any]) -> NDArray[Any]:
    """A small copy in linear light of (H, W, 3) uint8, uint16 or float in [0, 1]; NaN where it is clipped."""
    light: NDArray[Any] = to_linear(to_unit(image))
    size = (_WIDTH, max(8, round(_WIDTH * image.shape[0] / image.shape[1])))
    small = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    bright = np.asarray((light > _BRIGHTEST).any(axis=2), np.float32)
    clipped = cv2.resize(bright, size, interpolation=cv2.INTER_AREA)
    return np.where(clipped[..., None] > 0.02, np.float32(np.nan), small)


def warp_thumbnail(small: NDArray[Any], pixels: NDArray[Any]) -> NDArray[Any]:
    """A thumbnail in the frame of the reference, by the motion in its pixels; NaN outside."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(small, pixels, small.shape[1::-1], flags=flags, borderValue=(np.nan,) * 3)


def gain(small: NDArray[Any], reference: NDArray[Any]) -> NDArray[Any]:
    """(3,) factors of linear light that bring a thumbnail to the reference; ones when too little can be compared."""
    with np.errstate(invalid="ignore"):
        usable = ((small > _DARKEST) & (reference > _DARKEST)).all(axis=2)
    if usable.sum() < _LEAST_PIXELS:
        return np.ones(3)
    return np.exp(np.median(np.log(reference[usable] / small[usable]), axis=0)).astype(np.float64)


def likeness(small: NDArray[Any], reference: NDArray[Any]) -> float:
    """Correlation of the brightness of two thumbnails where both are known.

    0 when too little can be compared; 1 when nothing can tell them apart, as where both are flat or burnt out.
    """
    a, b = (np.log(np.maximum(t.mean(axis=2), _DARKEST)) for t in (small, reference))
    usable = np.isfinite(a) & np.isfinite(b)
    if usable.sum() < _LEAST_PIXELS:
        return float((np.isnan(a) & np.isnan(b)).mean() > _BURNT_OUT)
    a, b = a[usable] - a[usable].mean(), b[usable] - b[usable].mean()
    if max(a.std(), b.std()) < _FLAT:
        return 1.0
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-12))


def apply_gain(image: NDArray[Any], factors: NDArray[Any]) -> NDArray[Any]:
    """An (H, W, 3) image with its linear light multiplied by a factor a channel; type and range are kept."""
    result = np.empty_like(image)
    for channel, factor in enumerate(factors):
        result[..., channel] = _brighten(image[..., channel], np.float32(factor))
    return result


def _brighten(values: NDArray[Any], factor: np.float32) -> NDArray[Any]:
    if values.dtype.kind == "f":
        return np.minimum(to_display(to_linear(values) * factor), np.float32(1))
    top = white(values.dtype)
    light = to_linear(np.arange(top + 1, dtype=np.float32) / top) * factor
    return np.rint(np.minimum(to_display(light), 1) * top).astype(values.dtype)[values]
