"""Depth as 16-bit numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def encode_depth(depth: NDArray[np.floating[Any]], valid: NDArray[np.bool_]) -> tuple[NDArray[np.uint16], float, float]:
    """Depth as (H, W) uint16, scale and offset: depth = offset + scale * value, and 0 where there is none.

    The valid, finite range is spread over 1 to 65535, so the error is at most half the scale.
    """
    known = valid & np.isfinite(depth)
    if not known.any():
        return np.zeros(depth.shape, np.uint16), 1.0, 0.0
    values = depth.astype(np.float64)
    low, high = float(values[known].min()), float(values[known].max())
    scale = (high - low) / 65534 if high > low else 1.0
    offset = low - scale
    steps = np.round((np.where(known, values, low) - offset) / scale)
    return np.where(known, np.clip(steps, 1, 65535), 0).astype(np.uint16), scale, offset
