"""Stacks whose frames were moved by known motions, for the tests of registration."""

import cv2
import numpy as np
from moving_stacks import residuals

from dualfocus import FocalStack
from dualfocus.alignment.motion import from_parameters, in_pixels, inverse

SIZE = (150, 200)
EDGE = 40


def texture(seed, size):
    """Grey detail at all scales, about [0, 1]."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.normal(size=(size[0] // s + 2, size[1] // s + 2)), size[::-1]) for s in (2, 4, 8, 16, 32)]
    image = np.sum(layers, axis=0)
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def moving_stack(motions, seed=0, dtype=np.uint8, gains=None):
    """A texture whose left half is sharp in the first plane and whose right half is in the last, each frame moved."""
    size = (SIZE[0] + 2 * EDGE, SIZE[1] + 2 * EDGE)
    scene, count = texture(seed, size), len(motions)
    frames = []
    for n, motion in enumerate(motions):
        left, right = (cv2.GaussianBlur(scene, (0, 0), 0.6 + 2.5 * d / (count - 1)) for d in (n, count - 1 - n))
        side = np.clip((np.arange(size[1]) - size[1] / 2) / 10 + 0.5, 0, 1).astype(np.float32)
        blurred = left + (right - left) * side
        there = np.array([[1, 0, EDGE], [0, 1, EDGE], [0, 0, 1.0]]) @ in_pixels(inverse(motion), SIZE)
        frame = cv2.warpPerspective(blurred, there, SIZE[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        frame = np.clip(frame, 0, 1) * (1 if gains is None else gains[n])
        colour = np.repeat(frame[..., None], 3, axis=2)
        top = 1 if dtype == np.float32 else np.iinfo(dtype).max
        frames.append((colour * top).round().astype(dtype) if top > 1 else colour.astype(np.float32))
    return FocalStack(np.stack(frames), np.linspace(0.5, 1.0, count))


def wandering(count, seed=3):
    rng = np.random.default_rng(seed)
    return [from_parameters("similarity", rng.uniform(-1, 1, 4) * [0.06, 0.06, 0.02, 0.015]) for _ in range(count)]


def worst(aligned, motions, quantile=95):
    reference = aligned.kept.index(aligned.alignment["reference"])
    found = residuals(aligned.transforms, [motions[n] for n in aligned.kept], reference, aligned.common_region)
    return max(float(np.percentile(r, quantile)) for r in found)
