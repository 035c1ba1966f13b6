"""The plane encoder of ``dualfocus-s``: dense 3x3 blocks on a pixel-unshuffle stem.

Focus lives in the highest frequencies, so nothing is thrown away before the first convolution, and the
log energy of the Laplacian is given beside the colours: differences of its features between planes are
log ratios of sharpness, which a ReLU network would otherwise have to learn to divide for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.models.layers import ConvNorm, Residual

_NOISE_FLOOR = 1.5 / 255  # Laplacian response below which the log energy is flat: about the noise of 8-bit photos


def log_sharpness(images: Tensor) -> Tensor:
    """Log energy of the luma Laplacian, about -1 (flat) to 1 (sharpest edge): (M, 3, H, W) -> (M, 1, H, W)."""
    luma = images.mean(dim=1, keepdim=True)
    padded = F.pad(luma, (1, 1, 1, 1), mode="replicate")
    centre = padded[..., 1:-1, 1:-1]
    across = (2 * centre - padded[..., 1:-1, :-2] - padded[..., 1:-1, 2:]).abs()
    down = (2 * centre - padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]).abs()
    return torch.log1p((across + down) / _NOISE_FLOOR) / 3 - 1


class PlaneEncoder(nn.Module):
    """Features of every plane at 1/2 (stem only), 1/4, 1/8 and 1/16."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = widths
        self.stem = ConvNorm(16, half)
        self.quarter = nn.Sequential(ConvNorm(half, quarter, stride=2), Residual(quarter))
        self.eighth = nn.Sequential(ConvNorm(quarter, eighth, stride=2), Residual(eighth))
        self.sixteenth = nn.Sequential(ConvNorm(eighth, sixteenth, stride=2), Residual(sixteenth))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(M, 3, H, W) in [0, 1], sides multiples of 16 -> features at 1/4, 1/8, 1/16."""
        x = torch.cat(((images - 0.45) / 0.25, log_sharpness(images)), dim=1)
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        quarter = self.quarter(self.stem(x))
        eighth = self.eighth(quarter)
        return quarter, eighth, self.sixteenth(eighth)
