"""How much there is to focus on: the texture strength of an image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.pixels import white

TEXTURE_WINDOW = 9  # pixels, where texture is told from flatness


def texture_strength(image: NDArray[Any], window: int) -> NDArray[np.float64]:
    """Mean gradient magnitude of the grey image over a square window, in grey levels of 255 per pixel.

    Args:
        image: (H, W, 3) or (H, W), integer or float in [0, 1].
        window: odd side of the window in pixels.
    """
    grey = image.astype(np.float64) * (255 / white(image.dtype))
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    down, across = (np.gradient(grey, axis=k) if grey.shape[k] > 1 else np.zeros_like(grey) for k in (0, 1))
    strength = np.hypot(down, across)
    return np.asarray(cv2.blur(strength, (window, window), borderType=cv2.BORDER_REFLECT), np.float64)
