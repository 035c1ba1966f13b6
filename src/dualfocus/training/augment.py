"""Changes to training stacks that leave their truth as it is: registration, colour, contrast, noise, direction."""

from __future__ import annotations

import cv2
import numpy as np

from dualfocus.alignment.motion import Matrix
from dualfocus.training.stacks import TrainingStack

_FAINT = 0.05  # share of the stacks with little contrast
_NOISY = 0.12  # share of the stacks with much noise
_NOISE = (4.0, 45.0)  # deviation of their noise, in levels of 255
_LEAST_RATIO = 1e-6  # least ratio that is inverted: that of a stack which ends at infinity is 0
_MOST_ZOOM = 0.03
_RESIDUAL_PX = 0.12  # deviation of what a registration leaves, at the border of the picture


def registered(stack: TrainingStack, rng: np.random.Generator) -> TrainingStack:
    """The stack as registration leaves one whose frames had moved: each resampled, and not quite in its place.

    Interpolation softens a frame most where its pixels fell between those of the others; the bands that a change of
    scale makes of that look like focus. Every plane is moved, by focus breathing and a hand, and brought back with the
    kernel that `dualfocus.align` uses. Pixels that left the picture on the way are not known any more.
    """
    count, (height, width) = len(stack.images), stack.truth.shape
    half = max(height, width) / 2
    zoom = np.linspace(-1, 1, count) * rng.uniform(-_MOST_ZOOM, _MOST_ZOOM)
    turn = rng.normal(0.0, 0.003, count)
    shift = rng.normal(0.0, rng.choice([0.3, 2.0]), (count, 2))
    error = rng.normal(0.0, _RESIDUAL_PX, (count, 4)) * (1 / half, 1 / half, 1.0, 1.0)
    images = np.empty_like(stack.images)
    for n, image in enumerate(stack.images):
        away = _similarity((height, width), zoom[n], turn[n], shift[n])
        back = np.linalg.inv(away) @ _similarity((height, width), error[n, 0], error[n, 1], error[n, 2:])
        images[n] = _warp(_warp(image, away), back)
    lost = int(np.ceil(half * np.abs(zoom).max() + np.abs(shift).max() + half * np.abs(turn).max()))
    known = np.zeros_like(stack.known)
    inside = (slice(lost, height - lost), slice(lost, width - lost))
    known[inside] = stack.known[inside]
    return stack._replace(images=images, known=known)


def _similarity(size: tuple[int, int], zoom: float, turn: float, shift: np.ndarray) -> Matrix:
    """(3, 3) motion of pixels about the centre of a picture of `size` (height, width)."""
    y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
    c, s = (1 + zoom) * np.cos(turn), (1 + zoom) * np.sin(turn)
    return np.array([[c, -s, x - c * x + s * y + shift[0]], [s, c, y - s * x - c * y + shift[1]], [0, 0, 1]])


def _warp(image: np.ndarray, motion: Matrix) -> np.ndarray:
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, motion[:2], size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def jitter(stack: TrainingStack, rng: np.random.Generator) -> TrainingStack:
    """One change of colour and contrast for all planes, now and then grey, noisy or nearly flat; half are reversed."""
    images = stack.images[..., rng.permutation(3)].astype(np.float32)
    if rng.random() < 0.1:
        images = np.repeat(images.mean(axis=-1, keepdims=True), 3, axis=-1)
    gain, offset = rng.uniform(0.7, 1.3), rng.uniform(-20, 20)
    faint = rng.random() < _FAINT
    noisy = rng.random() < _NOISY
    if faint:  # so little contrast that noise hides it: the confidence must learn to say so
        gain *= np.exp(rng.uniform(np.log(0.02), np.log(0.3)))
        offset += images.mean() * (1 - gain)
    images = images * gain + offset
    if faint or noisy or rng.random() < 0.3:
        noise = np.exp(rng.uniform(*np.log(_NOISE))) if noisy else rng.uniform(0, 4)
        images += noise * rng.standard_normal(images.shape, dtype=np.float32)
    images = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    coordinates, truth, ratio = stack.coordinates, stack.truth, stack.ratio
    if rng.random() < 0.5:  # far to near is as good a scene: blur depends on |u - u_n| alone
        images, coordinates, truth = images[::-1], (1 - coordinates)[::-1], 1 - truth
        ratio = 1 / max(ratio, _LEAST_RATIO)
    return stack._replace(images=images, coordinates=coordinates, truth=truth, ratio=ratio)
