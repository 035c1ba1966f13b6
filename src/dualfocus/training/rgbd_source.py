"""Training stacks rendered on the fly from photographs with dense depth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from dualfocus.datasets.files import read_image
from dualfocus.datasets.rgbd import read_depth, rgbd_pairs
from dualfocus.pixels import pick_pixels
from dualfocus.rendering.rgbd import render_rgbd
from dualfocus.training.stacks import TrainingStack, draw_square, from_rendered

_TRIES = 8


class RgbdSource:
    """`rgb/NAME.jpg` (or png, webp) beside `depth/NAME.npy` in metres or 16-bit `depth/NAME.png` in millimetres.

    Only the shape of the depth counts: the planes and the aperture of every stack are drawn at random, so a wrong
    scale of the depth does no harm. Pixels without depth (0, NaN or inf) are filled for rendering and unknown in the
    truth.

    Raises:
        ValueError: a missing folder, no pictures, or a picture without depth; see `rgbd_pairs`.
    """

    def __init__(self, folder: Path) -> None:
        self.pairs = rgbd_pairs(folder)

    def draw(self, rng: np.random.Generator, planes: int, crop: int) -> TrainingStack:
        """A random square of a random picture, shrunk to `crop` pixels, as a stack of `planes` planes.

        Raises:
            ValueError: a file that cannot be used, or several draws in a row without any depth.
        """
        for _ in range(_TRIES):
            image_path, depth_path = self.pairs[int(rng.integers(len(self.pairs)))]
            image, depth = read_image(image_path, "RGB"), read_depth(depth_path)
            if image.shape[:2] != depth.shape:
                raise ValueError(f"{depth_path}: {_size(depth)} pixels, but {image_path.name} has {_size(image)}")
            image, depth = random_square(image, depth, rng, crop, image_path)
            known = np.isfinite(depth) & (depth > 0)
            if known.any():
                return from_rendered(render_rgbd(image, depth, rng, planes=planes))._replace(known=known)
        raise ValueError(f"{depth_path}: no depth in {_TRIES} random squares; are most of its pixels 0 or NaN?")


def random_square(
    image: np.ndarray, depth: np.ndarray, rng: np.random.Generator, crop: int, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """A square of at least `crop` pixels, its size drawn evenly in log, shrunk to `crop`.

    Shrinking averages the colours and picks one of the depths, which must not be averaged across edges.
    """
    height, width = depth.shape
    if min(height, width) < crop:
        raise ValueError(f"{path}: {_size(depth)} pixels are smaller than the crop of {crop}")
    side = int(round(math.exp(rng.uniform(math.log(crop), math.log(min(height, width))))))
    square = draw_square(rng, depth.shape, side)
    part = Image.fromarray(image[square])
    shrunk = part if side == crop else part.resize((crop, crop), Image.Resampling.LANCZOS)
    return np.array(shrunk), pick_pixels(depth[square], (crop, crop))


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
