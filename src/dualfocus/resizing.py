"""Working size of large photographs, and the way back that keeps edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def working_size(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """Height and width to work at: that of the photographs unless they have more than ``pixels``."""
    height, width = size
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    return max(min(16, height), round(height * scale)), max(min(16, width), round(width * scale))


def shrink(image: NDArray, size: tuple[int, int]) -> NDArray:
    """Area average of (H, W) or (H, W, 3) to ``size`` (height, width)."""
    return image if image.shape[:2] == size else cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def enlarge(values: NDArray, size: tuple[int, int]) -> NDArray:
    """Bilinear interpolation of a float32 map (h, w) to ``size`` (height, width)."""
    return values if values.shape == size else cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)


def guided_upsample(values: NDArray[np.float32], guide: NDArray, radius: int = 2, epsilon: float = 1e-4) -> NDArray:
    """Upsample a map so that its edges follow those of a full-size photograph (fast guided filter, He and Sun 2015).

    Args:
        values: (h, w) float32.
        guide: (H, W, 3) uint8 or uint16, the photograph.
        radius: of the local windows, in small pixels.
        epsilon: regularisation, in squared grey values of [0, 1].

    Returns:
        (H, W) float32, within the range of ``values`` around each pixel.
    """
    luma = guide.astype(np.float32).mean(axis=2) / (65535 if guide.dtype == np.uint16 else 255)
    small = shrink(luma, values.shape)
    window = (2 * radius + 1, 2 * radius + 1)
    mean_guide, mean_values = cv2.blur(small, window), cv2.blur(values, window)
    covariance = cv2.blur(small * values, window) - mean_guide * mean_values
    variance = cv2.blur(small * small, window) - mean_guide**2
    slope = covariance / (variance + epsilon)
    offset = cv2.blur(mean_values - slope * mean_guide, window)
    slope = cv2.blur(slope, window)
    size = guide.shape[:2]
    result = enlarge(slope, size) * luma + enlarge(offset, size)
    kernel = np.ones(window, np.uint8)
    low, high = cv2.erode(values, kernel), cv2.dilate(values, kernel)
    return np.clip(result, enlarge(low, size), enlarge(high, size))
