"""DFV's plane encoder: ResNet-18, pyramid pooling and a U-shaped upward path (Yang et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVEL_WIDTHS = (16, 32, 64, 128)  # channels handed on at 1/4, 1/8, 1/16, 1/32
_RESNET_WIDTHS = (64, 128, 256, 512)


def scaled(widths: tuple[int, ...], width: float) -> tuple[int, ...]:
    """Channel counts times `width`, rounded to even numbers, at least 2; unchanged at 1."""
    return tuple(max(2, 2 * round(channels * width / 2)) for channels in widths)


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """The two-convolution block of ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_norm(inputs, outputs, stride=stride)
        self.second = conv_norm(outputs, outputs)
        self.stride = stride
        same = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = nn.Identity() if same else conv_norm(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(M, inputs, H, W) -> (M, outputs, H / stride, W / stride)."""
        # rows and columns are left out before the shortcut's 1x1 convolution, not by its stride: the same numbers, but
        # with few channels, channels-last and two threads torch 2.13 writes past its memory in that one's backward
        left = x[..., :: self.stride, :: self.stride]
        return F.relu(self.shortcut(left) + self.second(F.relu(self.first(x))))


class PyramidPooling(nn.Module):
    """Averages over four windows, from the whole map to small ones, mixed and added to the map."""

    def __init__(self, channels: int, dimensions: int = 2) -> None:
        super().__init__()
        conv = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.dimensions = dimensions
        self.mixes = nn.ModuleList([conv(channels, channels, 1) for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, [N,] H, W) -> the same shape; planes, where there are any, are pooled like rows."""
        shortest = min(x.shape[-2:])
        pooled = torch.zeros_like(x)
        mode = "bilinear" if self.dimensions == 2 else "trilinear"
        for index, mix in enumerate(self.mixes):
            cells = max(1, round(1 + index * (shortest / 2 - 1) / 3))
            bins = tuple(min(cells, side) for side in x.shape[2:])
            pool = F.adaptive_avg_pool2d(x, bins) if len(bins) == 2 else F.adaptive_avg_pool3d(x, bins)  # type: ignore[arg-type]
            pooled = pooled + F.interpolate(mix(pool), size=x.shape[2:], mode=mode, align_corners=False) / 4
        return F.relu((x + pooled) / 2)


class UpStep(nn.Module):
    """Double the size, convolve, join the skip connection, convolve."""

    def __init__(self, inputs: int, skip: int) -> None:
        super().__init__()
        self.narrow = conv_norm(inputs, skip)
        self.join = conv_norm(2 * skip, skip)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(M, inputs, h, w) and (M, skip, 2h, 2w) -> (M, skip, 2h, 2w)."""
        x = F.leaky_relu(self.narrow(F.interpolate(x, scale_factor=2, mode="nearest")), 0.1)
        return F.leaky_relu(self.join(torch.cat((x, skip), dim=1)), 0.1)


class ResNetEncoder(nn.Module):
    """Per-plane features at 1/4, 1/8, 1/16, 1/32 with 16, 32, 64, 128 channels (times `width`), from scratch."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.level_widths = scaled(LEVEL_WIDTHS, width)
        quarter, eighth, sixteenth, last = widths = scaled(_RESNET_WIDTHS, width)
        self.stem = conv_norm(3, quarter, 7, 2)
        layers, inputs = [], quarter
        for level, outputs in enumerate(widths):
            stride = 1 if level == 0 else 2
            layers.append(nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)))
            inputs = outputs
        self.layers = nn.ModuleList(layers)
        self.pooling = PyramidPooling(last)
        self.up = nn.ModuleList([UpStep(last, sixteenth), UpStep(sixteenth, eighth), UpStep(eighth, quarter)])
        self.out = nn.ModuleList([nn.Conv2d(w, o, 1) for w, o in zip(widths, self.level_widths, strict=True)])
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("deviation", std[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(M, 3, H, W) in [0, 1], sides multiples of 32 -> features at 1/4, 1/8, 1/16, 1/32."""
        x = F.relu(self.stem((images - self.mean) / self.deviation))
        x = F.max_pool2d(x, 3, 2, 1)
        levels = []
        for layer in self.layers:
            x = layer(x)
            levels.append(x)
        levels[3] = self.pooling(levels[3])
        for index, step in enumerate(self.up):
            levels[2 - index] = step(levels[3 - index], levels[2 - index])
        return [out(level) for out, level in zip(self.out, levels, strict=True)]
