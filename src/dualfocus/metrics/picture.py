"""How near a picture is to the true one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def psnr(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of 8-bit images of one shape; infinite when they are equal."""
    error = float(np.mean((image.astype(np.float64) - truth) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def ssim(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Mean structural similarity of the grey images (Wang et al. 2004): Gaussian window of 11, sigma 1.5.

    Args:
        image: (H, W, 3), at least 11 pixels a side.
        truth: the same shape.
    """
    a, b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64) for picture in (image, truth))
    mean_a, mean_b = _window(a), _window(b)
    variance_a, variance_b = _window(a * a) - mean_a**2, _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float(similarity.mean())


def _window(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means of the windows that lie inside the image."""
    return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)[5:-5, 5:-5]
