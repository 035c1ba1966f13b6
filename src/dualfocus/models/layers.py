"""Small building blocks shared by the networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvNorm(nn.Module):
    """3x3 (or 1x1) convolution, batch norm, optional ReLU; `fold` merges the norm for inference."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, relu: bool = True, dilation: int = 1
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv: nn.Conv2d = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        x = self.norm(self.conv(x))
        return x.relu_() if self.relu else x

    def fold(self) -> None:
        """Replace convolution and norm by one convolution with the same result in evaluation mode."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        first = ConvNorm(channels, channels, dilation=dilation)
        self.body = nn.Sequential(first, ConvNorm(channels, channels, relu=False, dilation=dilation))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        return self.body(x).add_(x).relu_()


def add_in_place_if_no_grad(x: Tensor, other: Tensor) -> Tensor:
    """`x + other`, `other` broadcast; with gradients disabled it is written into `x`, which saves memory.

    While a graph is traced for export it is a new tensor all the same: the graph cannot hold a write in place.
    """
    return x + other if torch.is_grad_enabled() or torch.jit.is_tracing() else x.add_(other)


def plane_mean(x: Tensor) -> Tensor:
    """Mean over planes, (B, N, C, H, W) -> (B, C, H, W); channels stay last in memory, where `mean` moves them."""
    return x.permute(0, 1, 3, 4, 2).mean(dim=1).permute(0, 3, 1, 2)


def upsample_2x(x: Tensor) -> Tensor:
    """Bilinear upsampling to twice the size: nearest neighbours would leave a grid in bare areas."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def shift_planes(x: Tensor, planes: int) -> Tensor:
    """Give each plane a quarter of the channels of each neighbour, 0 past the ends.

    The first quarter comes from the plane before, the next from the plane after. A 2-D convolution after it mixes
    planes at no extra arithmetic.

    Args:
        x: (B * N, C, H, W), planes of one stack adjacent.
        planes: N.
    """
    quarter = x.shape[1] // 4
    source = x.unflatten(0, (-1, planes))
    if torch.jit.is_tracing():  # writing into slices is several times faster here, but a graph cannot hold it
        before = F.pad(source[:, :-1, :quarter], (0, 0, 0, 0, 0, 0, 1, 0))
        after = F.pad(source[:, 1:, quarter : 2 * quarter], (0, 0, 0, 0, 0, 0, 0, 1))
        return torch.cat((before, after, source[:, :, 2 * quarter :]), dim=2).flatten(0, 1)
    shifted = torch.empty_like(x)
    target = shifted.unflatten(0, (-1, planes))
    target[:, 1:, :quarter] = source[:, :-1, :quarter]
    target[:, 0, :quarter] = 0
    target[:, :-1, quarter : 2 * quarter] = source[:, 1:, quarter : 2 * quarter]
    target[:, -1, quarter : 2 * quarter] = 0
    target[:, :, 2 * quarter :] = source[:, :, 2 * quarter :]
    return shifted


class PlaneResidual(nn.Module):
    """A residual block over space and planes: plane shift before each of its two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = ConvNorm(channels, channels, relu=False)
        self.context = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, planes: int) -> Tensor:
        """(B * N, C, H, W) -> the same shape."""
        hidden = self.first(shift_planes(x, planes)).unflatten(0, (-1, planes))
        # the mean over planes tells each plane how it compares with the whole stack, however long
        hidden = add_in_place_if_no_grad(hidden, self.context(plane_mean(hidden))[:, None])
        hidden = shift_planes(hidden.flatten(0, 1), planes)
        return self.second(hidden).add_(x).relu_()


def fold_norms(network: nn.Module) -> None:
    """Fold every batch norm of a network in evaluation mode; the outputs stay the same to rounding."""
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module.fold()
        elif isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                conv, norm = module[index], module[index + 1]
                if isinstance(conv, nn.Conv2d | nn.Conv3d) and isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
                    module[index], module[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()


def use_channels_last(module: nn.Module) -> None:
    """Lay the 2-D kernels out with channels last, the faster way on CPUs; 3-D kernels have no such layout."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's types


def plane_features(coordinates: Tensor) -> Tensor:
    """Where a plane lies among the others: (B, N) coordinates in [0, 1] -> (B * N, 4).

    Its coordinate, its distance to the plane before and after in mean plane spacings (0 past the ends), and 1 / N.
    """
    planes = coordinates.shape[1]
    gaps = (coordinates[:, 1:] - coordinates[:, :-1]) * (planes - 1)
    zero = torch.zeros_like(coordinates[:, :1])
    before, after = torch.cat((zero, gaps), dim=1), torch.cat((gaps, zero), dim=1)
    count = torch.full_like(coordinates, 1.0 / planes)
    return torch.stack((coordinates, before, after, count), dim=-1).flatten(0, 1)


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Replicate the last row and column until both sides are multiples; (M, C, H, W)."""
    height, width = images.shape[-2:]
    pad = (0, -width % multiple, 0, -height % multiple)
    return F.pad(images, pad, mode="replicate") if any(pad) else images
