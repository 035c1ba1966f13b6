"""Noise-aware sum-modified-Laplacian: how sharp is each plane at each pixel, compared with the noise."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
# Noise below this fraction of the image contrast is not believed: 8-bit rounding alone is about as large.
_LEAST_NOISE = 0.003


def luma(images: Tensor) -> Tensor:
    """Rec. 601 luma of (..., 3, H, W) display-encoded images, as (..., H, W).

    Display encoding makes photon noise nearly independent of intensity, so one noise floor serves a whole plane.
    """
    r, g, b = images.unbind(-3)
    return _LUMA[0] * r + _LUMA[1] * g + _LUMA[2] * b


def equalise_exposure(planes: Tensor) -> Tensor:
    """Remove exposure drift: scale each plane of (N, H, W) to the mean brightness of the stack (defocus keeps it)."""
    mean = planes.mean((1, 2), keepdim=True).clamp(min=1e-6)
    return planes * (mean.mean() / mean)


def _separable(image: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    """Filter (N, H, W) with a symmetric odd 1-D kernel along both axes, border repeated."""
    radius = kernel.numel() // 2
    out = image[:, None]
    out = F.conv2d(F.pad(out, (radius, radius, 0, 0), mode="replicate"), kernel[None, None, None], stride=(1, stride))
    out = F.conv2d(
        F.pad(out, (0, 0, radius, radius), mode="replicate"), kernel[None, None, :, None], stride=(stride, 1)
    )
    return out[:, 0]


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (N, H, W) with the border repeated; the kernel ends at 2.5 sigma."""
    radius = max(1, math.ceil(2.5 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    return _separable(image, kernel / kernel.sum())


def halve(image: Tensor) -> Tensor:
    """Next level of the binomial pyramid: (N, H, W) to (N, ceil(H / 2), ceil(W / 2))."""
    return _separable(image, torch.tensor(_BINOMIAL, dtype=image.dtype, device=image.device), stride=2)


def modified_laplacian_energy(image: Tensor) -> Tensor:
    """Squared modified Laplacian, I_xx² + I_yy², of (N, H, W).

    Nayar & Nakagawa (1994) add absolute values; squares are used here because uncorrelated noise then adds the same
    expected amount to every plane, and so moves no peak.
    """
    p = F.pad(image[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    centre = 2 * p[:, 1:-1, 1:-1]
    xx = centre - p[:, 1:-1, :-2] - p[:, 1:-1, 2:]
    yy = centre - p[:, :-2, 1:-1] - p[:, 2:, 1:-1]
    return xx.square().add_(yy.square())


def noise_floor(energies: list[Tensor], contrast: float, quantile: float = 0.2) -> float:
    """Energy of the noise at one scale: the emptiest fifth of the emptiest plane.

    The most defocused plane of a textured scene, or the textureless parts of any, hold nothing but noise.

    Args:
        energies: windowed energy (h, w) of each plane.
        contrast: standard deviation of the stack's luma; bounds the floor from below.
        quantile: share of the pixels taken as empty.
    """
    lowest = math.inf
    for energy in energies:
        sample = energy.flatten()
        sample = sample[:: max(1, sample.numel() // 50_000)]
        lowest = min(lowest, float(torch.quantile(sample, quantile)))
    return max(lowest, (_LEAST_NOISE * contrast) ** 2, 1e-14)


def score_volume(planes: Tensor, levels: int = 4, window: float = 1.5, softening: float = 4.0) -> Tensor:
    """Log focus measure of every plane, summed over a pyramid, its mean over the planes removed.

    score_n = Σ_levels log(E_n / E_noise + softening). In the log, a factor common to all planes (the texture's
    strength) drops out and the peak of a blurred texture is near a parabola; the noise floor makes the score flat,
    hence silent, where a scale sees only noise, so fine scales rule where they can and coarse ones elsewhere.

    Args:
        planes: (N, H, W) luma.
        levels: scales of the pyramid; fewer are used when the image is too small.
        window: sigma, in pixels of each level, of the Gaussian window that gathers the energy.
        softening: noise floors added to the measure; larger trusts weak texture less.

    Returns:
        (N, H, W), mean 0 over the planes; 0 everywhere for images without content.
    """
    size = planes.shape[-2:]
    contrast = float(planes.std())
    score = torch.zeros_like(planes)
    # Plane by plane: only the pyramid image of each plane is kept between levels.
    current = list(planes.unsqueeze(1))
    for level in range(levels):
        energies = [gaussian_blur(modified_laplacian_energy(plane), window) for plane in current]
        floor = noise_floor([energy[0] for energy in energies], contrast)
        for n, energy in enumerate(energies):
            term = torch.log(energy / floor + softening)
            if level:
                term = F.interpolate(term[None], size=size, mode="bilinear", align_corners=False)[0]
            score[n] += term[0]
        if level + 1 == levels or min(current[0].shape[-2:]) < 8:
            break
        current = [halve(plane) for plane in current]
    return score.sub_(score.mean(0))
