"""The scores of all planes at all pixels, from planes that are read one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from dualfocus.models.classical.focus_measure import NoiseScale, luma, plane_energies, plane_score

PART = 16_000_000  # planes x pixels of the volume that are worked on at once
READS = 2  # readings of every plane


class Sharpest(NamedTuple):
    """The maximum of every pixel's own score, before pooling.

    Attributes:
        height: (H, W) maximum of the score over the planes, less its mean.
        plane: (H, W) plane of the maximum.
        image: (3, H, W) the provisional all-in-focus image.
        contrast: standard deviation of the stack's luma.
    """

    height: Tensor
    plane: Tensor
    image: Tensor
    contrast: float


def score_stack(read: Callable[[int], Tensor], planes: int) -> tuple[Tensor, Sharpest]:
    """Score every plane, and find the sharpest, from `READS` readings.

    The first reading measures the noise, which the scores of the second are relative to.

    Args:
        read: n -> plane n, (3, H, W) in [0, 1].
        planes: N.

    Returns:
        the scores, (N, H, W), their mean over the planes removed, and what is sharpest.
    """
    noise = NoiseScale()
    kept: dict[int, list[Tensor]] = {}
    for n in range(planes):
        plane = luma(read(n).float())
        kept[n] = plane_energies(plane)
        noise.add(plane, kept[n])
        if planes * plane.numel() > PART:
            del kept[n]
    gains, floors, contrast = noise.measure()
    volume: Tensor | None = None
    for n in range(planes):
        image = read(n).float()
        score = plane_score(kept.pop(n) if n in kept else plane_energies(luma(image)), gains[n], floors)
        if volume is None:
            volume = score.new_empty(planes, *score.shape)
            height, guide = score.clone(), image.clone()
            best = torch.zeros_like(score, dtype=torch.long)
        else:
            better = score > height
            height = torch.where(better, score, height)
            best[better] = n
            guide = torch.where(better, image, guide)
        volume[n] = score
    assert volume is not None
    mean = volume.mean(dim=0)
    volume -= mean
    # rounding puts the height just below the mean where all planes are alike
    return volume, Sharpest((height - mean).clamp(min=0), best, guide, contrast)
