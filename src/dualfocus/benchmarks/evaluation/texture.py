"""How much there is to focus on: the texture strength of an image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def texture_strength(image: NDArray[Any], window: int) -> NDArray[np.float64]:
    """Mean gradient magnitude of the grey image over a square window, in grey levels of 255 per pixel.

    Args:
        image: (H, W, 3) or (H, W), integer or float in [0, 1].
        window: odd side of the window in pixels.
    """
    scale = 255 / np.iinfo(image.dtype).max if image.dtype.kind == "u" else 255
    grey = image.astype(np.float64) * scale
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    return cv2.blur(np.hypot(*np.gradient(grey)), (window, window), borderType=cv2.BORDER_REFLECT)
