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
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1)[..., None].contiguous()
    shares = weights.permute(0, 3, 4, 1, 2)[..., None, :, :]  # (B, h, w, 1, 9, factor^2)
    result = maps.new_zeros(batch, height, width, channels, factor * factor)
    for index in range(9):
        dy, dx = divmod(index, 3)
        result.addcmul_(padded[:, dy : dy + height, dx : dx + width], shares[..., index, :])
    pixels = result.unflatten(4, (factor, factor)).permute(0, 3, 1, 4, 2, 5)
    return pixels.reshape(batch, channels, height * factor, width * factor)
