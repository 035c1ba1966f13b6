"""`dualfocus-s` and `-xs` as one graph for export: any batch, number of planes and image size.

The network itself caches the cosines of the projection and asks Python about sizes; a graph with free sizes cannot.
Here nothing is computed beforehand, and both are operations of the graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.models.collapse import DETAIL_POWER, certainty
from dualfocus.models.encoder import LOG_SCALE, modified_laplacian
from dualfocus.models.projection import adjoint_differences
from dualfocus.models.small import DualFocusSmall

OUTPUTS = ("coordinate", "std", "confidence", "probability")


class ExportGraph(nn.Module):
    """The network with padding, bases of the projection and confidence inside."""

    def __init__(self, network: DualFocusSmall) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, images: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `DualFocusSmall.forward`.

        Args:
            images: (B, N, 3, H, W) in [0, 1], planes near to far.
            coordinates: (B, N), increasing from 0 to 1.

        Returns:
            coordinate, std and confidence, (B, H, W); probability, (B, N, ceil(H / 4), ceil(W / 4)).
        """
        network = self.network
        planes, height, width = images.shape[1], images.shape[-2], images.shape[-1]
        stride = network.stride
        full = ((height + stride - 1) // stride * stride, (width + stride - 1) // stride * stride)
        padded = replicate(images.flatten(0, 1), *full)
        features = network.encoder(padded)
        # sizes computed from the graph's input: the exporter would take those of the features from its trace
        rows, columns = full[0] // stride, full[1] // stride
        surface, _ = network.surfaces(features[2], planes, lambda field: project(field[..., :rows, :columns].float()))
        fused, scores = network.fuse(features, surface, coordinates)
        folded = (-1, planes)
        probability = scores[-1].unflatten(0, folded)[:, :, 0].softmax(dim=1)
        collapsed = collapse_at_once(padded.unflatten(0, folded), fused.unflatten(0, folded), probability, coordinates)
        output = network.read_out(scores, collapsed, coordinates, (height, width))
        return output.coordinate, output.std, output.confidence, output.probability


def replicate(maps: Tensor, height: int, width: int) -> Tensor:
    """Repeat the last row and column until maps (M, C, h, w) have this size; a pad by nothing is no special case."""
    return F.pad(maps, (0, width - maps.shape[-1], 0, height - maps.shape[-2]), mode="replicate")


def collapse_at_once(images: Tensor, features: Tensor, probability: Tensor, coordinates: Tensor) -> Tensor:
    """`dualfocus.models.collapse.collapse` without a loop over planes, whose number a graph does not know."""
    detail = modified_laplacian(images.flatten(0, 1)).unflatten(0, (-1, coordinates.shape[1]))[:, :, 0]
    weight = ((detail + 1) / 64) ** DETAIL_POWER  # as exact, and not above what half precision holds
    mean = (weight * coordinates[:, :, None, None]).sum(dim=1) / weight.sum(dim=1)
    contrast_gain = (detail.amax(dim=1).log1p() - detail.log1p().mean(dim=1)) / LOG_SCALE
    image_in_focus = (F.interpolate(probability, scale_factor=4)[:, :, None] * images).sum(dim=1)
    pixels = F.pixel_unshuffle(torch.cat((image_in_focus, torch.stack((mean, contrast_gain), dim=1)), dim=1), 4)
    features_in_focus = (probability[:, :, None] * features).sum(dim=1)
    return torch.cat((pixels, certainty(probability, coordinates), features_in_focus), dim=1)


def project(gradient: Tensor) -> Tensor:
    """The integrable projection in float32, of a size that only the graph's input tells.

    Args:
        gradient: (..., 2, H, W) float32.

    Returns:
        (..., H, W).
    """
    height, width = gradient.shape[-2:]
    rows, row_eigenvalues = _basis(height, gradient.device)
    columns, column_eigenvalues = _basis(width, gradient.device)
    # the constant has eigenvalue 0 and gets 0: zero mean
    eigenvalues = row_eigenvalues[:, None] + column_eigenvalues[None, :]
    inverse = torch.where(eigenvalues > 0, 1 / eigenvalues.clamp(min=1e-12), torch.zeros_like(eigenvalues))
    spectrum = (rows @ adjoint_differences(gradient)) @ columns.T
    return (rows.T @ (spectrum * inverse)) @ columns


def _basis(length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Orthonormal DCT-II matrix (length, length) and the eigenvalues (length,) of P^T P along one side.

    The angle is pi (2n + 1) k / 2 length: its index is reduced modulo one turn, 4 length, as an integer, because
    float32 would lose the phase of large products.
    """
    k = torch.arange(length, device=device)
    count = k[-1] + 1  # the length as a tensor: exporters take it as a divisor where they refuse a size
    index = ((2 * k[None, :] + 1) * k[:, None]) % (4 * count)
    step = math.pi / 2 / count.float()
    scale = torch.where(k > 0, 2.0, 1.0).div(count).sqrt()
    return torch.cos(index.float() * step) * scale[:, None], 4 * torch.sin(k.float() * step).square()
