"""The curve of sRGB (IEC 61966-2-1): display-encoded values, as files hold them, and linear light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_linear(display: NDArray[np.floating]) -> NDArray[np.floating]:
    """Display-encoded values in [0, 1] as linear light, same shape and type."""
    return np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)


def to_display(linear: NDArray[np.floating]) -> NDArray[np.floating]:
    """Linear light in [0, 1] as display-encoded values, same shape and type."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
