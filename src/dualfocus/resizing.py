"""Working size of large photographs, and the way back that keeps edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WORKING_PIXELS = 2_100_000  # of one plane
WORKING_PLANE_PIXELS = 40_000_000  # of the whole stack


def working_size(size: tuple[int, int], planes: int) -> tuple[int, int]:
    """Height and width to work at: that of the photographs unless memory or time would not allow it."""
    height, width = size
    pixels = min(WORKING_PIXELS, WORKING_PLANE_PIXELS / planes)
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    return (height, width) if scale == 1 else (max(16, round(height * scale)), max(16, round(width * scale)))


def shrink(image: NDArray, size: tuple[int, int]) -> NDArray:
    """Area average to (height, width)."""
    return image if image.shape[:2] == size else cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def guided_upsample(values: NDArray[np.float32], guide: NDArray, radius: int = 2, epsilon: float = 1e-4) -> NDArray:
    """Upsample a map so that its edges follow those of a full-size photograph (fast guided filter, He and Sun 2015).

    Args:
        values: (h, w) float32.
        guide: (H, W, 3), the photograph.
        radius: of the local windows, in small pixels.
        epsilon: regularisation, in squared grey values of [0, 1].

    Returns:
        (H, W) float32, within the range of ``values`` around each pixel.
    """
    height, width = guide.shape[:2]
    luma = guide.astype(np.float32).mean(axis=2) / (65535 if guide.dtype == np.uint16 else 255)
    small = shrink(luma, values.shape)
    window = (2 * radius + 1, 2 * radius + 1)
    mean_guide, mean_values = cv2.blur(small, window), cv2.blur(values, window)
    covariance = cv2.blur(small * values, window) - mean_guide * mean_values
    variance = cv2.blur(small * small, window) - mean_guide**2
    slope = covariance / (variance + epsilon)
    offset = cv2.blur(mean_values - slope * mean_guide, window)
    slope = cv2.blur(slope, window)
    full = (width, height)
    result = cv2.resize(slope, full) * luma + cv2.resize(offset, full)
    kernel = np.ones(window, np.uint8)
    low, high = cv2.erode(values, kernel), cv2.dilate(values, kernel)
    return np.clip(result, cv2.resize(low, full), cv2.resize(high, full))
