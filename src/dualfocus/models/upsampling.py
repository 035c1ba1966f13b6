"""Convex upsampling of the focus moments.

Every full-size pixel is a convex combination of its 3x3 coarse neighbours. Upsampling is linear, and so is
the expectation over planes: the moments of the upsampled probability are the upsampled moments. So N
full-size probability maps never exist.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def convex_upsample(maps: Tensor, weights: Tensor, factor: int) -> Tensor:
    """Upsample by convex combinations of 3x3 neighbours.

    Args:
        maps: (B, C, h, w).
        weights: (B, 9, factor^2, h, w), sums to 1 over the 9 neighbours.
        factor: integer scale.

    Returns:
        (B, C, h * factor, w * factor).
    """
    batch, channels, height, width = maps.shape
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    result = maps.new_zeros(batch, channels, factor * factor, height, width)
    for index in range(9):
        dy, dx = divmod(index, 3)
        neighbour = padded[:, :, None, dy : dy + height, dx : dx + width]
        result = result + neighbour * weights[:, None, index]
    return F.pixel_shuffle(result.flatten(1, 2), factor)
