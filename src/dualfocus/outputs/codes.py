"""Depth as 16-bit numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_STRIP = 32  # rows worked on at once: what is between has 64 bits and should stay in the cache


def encode_depth(depth: NDArray[np.floating[Any]], valid: NDArray[np.bool_]) -> tuple[NDArray[np.uint16], float, float]:
    """Depth as (H, W) uint16, scale and offset: depth = offset + scale * value, and 0 where there is none.

    The valid, finite range is spread over 1 to 65535, so the error is at most half the scale.
    """
    known = valid & np.isfinite(depth)
    if not known.any():
        return np.zeros(depth.shape, np.uint16), 1.0, 0.0
    shown = depth[known]
    low, high = float(shown.min()), float(shown.max())
    scale = (high - low) / 65534 if high > low else 1.0
    offset = low - scale
    codes = np.zeros(depth.shape, np.uint16)
    for top in range(0, len(depth), _STRIP):
        rows = slice(top, top + _STRIP)
        steps = np.round((np.where(known[rows], depth[rows].astype(np.float64), low) - offset) / scale)
        codes[rows] = np.where(known[rows], np.clip(steps, 1, 65535), 0)
    return codes, scale, offset
