"""The plane encoder of `dualfocus-s`: dense 3x3 blocks on a pixel-unshuffle stem.

Focus lives in the highest frequencies, so nothing is thrown away before the first convolution, and the logarithm of the
modified Laplacian is given beside the colours: differences of it between planes are log ratios of sharpness, which a
ReLU network would otherwise have to learn to divide for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.models.layers import ConvNorm, Residual

_NOISE_FLOOR = 1.5 / 255  # noise of the modified Laplacian of 8-bit photos, about; its logarithm is flat below
LOG_SCALE = 3  # divisor of that logarithm: from flat to the sharpest edge it then grows by about 2


def modified_laplacian(images: Tensor) -> Tensor:
    """|I_xx| + |I_yy| of the mean of the colours in units of the noise floor: (M, 3, H, W) -> (M, 1, H, W).

    Nayar and Nakagawa (1994). An amplitude: twice the contrast makes it twice as large.
    """
    grey = images.mean(dim=1, keepdim=True)
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    twice = 2 * grey
    across = (twice - padded[..., 1:-1, :-2]).sub_(padded[..., 1:-1, 2:]).abs_()
    down = (twice - padded[..., :-2, 1:-1]).sub_(padded[..., 2:, 1:-1]).abs_()
    return across.add_(down).div_(_NOISE_FLOOR)


def log_modified_laplacian(images: Tensor) -> Tensor:
    """Logarithm of the modified Laplacian, about -1 (flat) to 1 (sharpest edge): (M, 3, H, W) -> (M, 1, H, W)."""
    return modified_laplacian(images).log1p_().div_(LOG_SCALE).sub_(1)


def stem_input(images: Tensor) -> Tensor:
    """Colours about 0, and the logarithm of their modified Laplacian: (M, 3, H, W) in [0, 1] -> (M, 4, H, W).

    Channels last.
    """
    detail = log_modified_laplacian(images)
    if torch.jit.is_tracing():  # a graph cannot hold writing into slices, which here saves most of the time
        return torch.cat(((images - 0.45) * 4, detail), dim=1)
    count, _, height, width = images.shape
    x = images.new_empty(count, height, width, 4)
    for channel, colour in enumerate(images.unbind(1)):
        x[..., channel] = (colour - 0.45).mul_(4)
    x[..., 3] = detail[:, 0]
    return x.permute(0, 3, 1, 2)


class Stem(ConvNorm):
    """3x3 convolution of cells of 2x2 pixels; `fold` makes it one of 6x6 pixels, so that no cells are built."""

    cell = 2

    def forward(self, x: Tensor) -> Tensor:
        """(M, inputs / 4, H, W) -> (M, outputs, H / 2, W / 2)."""
        if self.conv.stride == (1, 1):
            x = F.pixel_unshuffle(x, self.cell)
        return super().forward(x.contiguous(memory_format=torch.channels_last))

    def fold(self) -> None:
        """See `ConvNorm.fold`; the kernel of a cell's pixels is that of its channels, laid out in space."""
        super().fold()
        cells = self.conv
        if cells.stride == (1, 1):
            kernel, padding = self.cell * cells.kernel_size[0], self.cell * cells.padding[0]  # type: ignore[operator]
            inputs = cells.in_channels // self.cell**2
            conv = nn.Conv2d(inputs, cells.out_channels, kernel, self.cell, padding, device=cells.weight.device)
            conv.weight = nn.Parameter(F.pixel_shuffle(cells.weight, self.cell).detach(), requires_grad=False)
            conv.bias = cells.bias
            self.conv = conv


class PlaneEncoder(nn.Module):
    """Features of every plane at 1/2 (stem only), 1/4, 1/8 and 1/16."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = widths
        self.stem = Stem(16, half)
        self.quarter = nn.Sequential(ConvNorm(half, quarter, stride=2), Residual(quarter))
        self.eighth = nn.Sequential(ConvNorm(quarter, eighth, stride=2), Residual(eighth))
        self.sixteenth = nn.Sequential(ConvNorm(eighth, sixteenth, stride=2), Residual(sixteenth))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(M, 3, H, W) in [0, 1], sides multiples of 16 -> features at 1/4, 1/8, 1/16."""
        quarter = self.quarter(self.stem(stem_input(images)))
        eighth = self.eighth(quarter)
        return quarter, eighth, self.sixteenth(eighth)
