"""FOSSA's stacks of RGB-D images: a full-frame lens at f/1.4, five planes at the disparities of the very image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.sample import Sample
from dualfocus.optics import planes_even_in_dioptres
from dualfocus.rendering.gathered_stack import Lens, render_gather_stack
from dualfocus.stack import Camera, FocalStack

PLANES = 5
F_NUMBER = 1.4
SENSOR_M = 36e-3  # along the longer side of the image
WINDOW = 15
QUANTILES = (0.05, 0.95)


def adaptive_sample(
    name: str, rgb: NDArray[np.uint8], depth: NDArray[Any], mask: NDArray[np.bool_], focal_px: float, where: str
) -> Sample:
    """Render the stack of an RGB-D image as FOSSA does for iBims-1, DIODE and HAMMER.

    The planes are evenly spaced in disparity between two quantiles over all pixels, masked ones too, which tells the
    network the depth range of the image.

    Args:
        name: of the sample.
        rgb: (H, W, 3) uint8.
        depth: (H, W) in metres, above 0 everywhere: what is unknown is filled in some way, for the renderer.
        mask: (H, W) bool, the pixels that are measured.
        focal_px: focal length in pixels.
        where: the file, for messages.

    Raises:
        ValueError: maps of other sizes, depth that is not finite and above 0, or the same everywhere.
    """
    if not rgb.shape[:2] == depth.shape == mask.shape:
        raise ValueError(f"{where}: image {rgb.shape[:2]}, depth {depth.shape} and mask {mask.shape} differ in size")
    if not (np.isfinite(depth).all() and depth.min() > 0):
        raise ValueError(f"{where}: the filled depth must be finite and above 0 everywhere")
    far, near = 1 / np.quantile(1 / depth.astype(np.float64), QUANTILES)
    if not near < far:
        raise ValueError(f"{where}: nine tenths of the depth are {near:g} m: no focus range")
    distances = planes_even_in_dioptres(near, far, PLANES)
    pitch = SENSOR_M / max(depth.shape)
    lens = Lens(pitch * focal_px, F_NUMBER, pitch)
    images = render_gather_stack(rgb, depth, distances, lens, WINDOW)
    camera = Camera("thin lens", lens.focal_length * 1e3, F_NUMBER, SENSOR_M * 1e3)
    return Sample(name, FocalStack(images, distances, "m", camera), depth.astype(np.float32), mask, rgb)
