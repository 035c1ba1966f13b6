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


def plane_energies(plane: Tensor, levels: int = 4, window: float = 1.5) -> list[Tensor]:
    """Windowed focus energy of one plane at every level of its pyramid, finest first, (h, w) each.

    Args:
        plane: (H, W) luma.
        levels: scales of the pyramid; fewer are used when the image is too small.
        window: sigma, in pixels of each level, of the Gaussian window that gathers the energy.
    """
    image, energies = plane[None], []
    for _ in range(levels):
        energies.append(gaussian_blur(modified_laplacian_energy(image), window)[0])
        if min(image.shape[-2:]) < 8:
            break
        image = halve(image)
    return energies


class NoiseScale:
    """What the scores of a stack are measured against, gathered plane by plane: exposure, contrast and noise."""

    def __init__(self) -> None:
        self._means: list[float] = []
        self._squares: list[float] = []
        self._quiet: list[list[float]] = []

    def add(self, plane: Tensor, energies: list[Tensor]) -> None:
        """Take in the luma (H, W) of a plane and what `plane_energies` makes of it."""
        double = plane.cpu().double()  # Apple's GPUs have no float64
        self._means.append(float(double.mean()))
        self._squares.append(float(double.square().mean()))
        self._quiet.append([_quiet_energy(energy) for energy in energies])

    def measure(self) -> tuple[list[float], list[float], float]:
        """Gain of every plane, energy of the noise at every level, and the contrast of the stack.

        The gains remove exposure drift: they bring each plane to the mean brightness of the stack (defocus keeps it).
        The noise at a level is the emptiest fifth of the emptiest plane: the most defocused plane of a textured scene,
        or the textureless parts of any, hold nothing else. The contrast is the standard deviation of the luma.
        """
        mean = sum(self._means) / len(self._means)
        gains = [mean / max(own, 1e-6) for own in self._means]
        square = sum(gain**2 * own for gain, own in zip(gains, self._squares, strict=True)) / len(gains)
        level_mean = sum(gain * own for gain, own in zip(gains, self._means, strict=True)) / len(gains)
        contrast = max(square - level_mean**2, 0.0) ** 0.5
        least = max((_LEAST_NOISE * contrast) ** 2, 1e-14)
        quiet = [[gain**2 * q for q in levels] for gain, levels in zip(gains, self._quiet, strict=True)]
        return gains, [max(min(level), least) for level in zip(*quiet, strict=True)], max(contrast, 1e-7)


def _quiet_energy(energy: Tensor, quantile: float = 0.2) -> float:
    sample = energy.flatten()
    return float(torch.quantile(sample[:: max(1, sample.numel() // 50_000)], quantile))


def plane_score(energies: list[Tensor], gain: float, floors: list[float], softening: float = 4.0) -> Tensor:
    """Log focus measure of one plane, summed over its pyramid.

    score = Σ_levels log(E / E_noise + softening). In the log, a factor common to all planes (the texture's
    strength) drops out and the peak of a blurred texture is near a parabola; the noise floor makes the score flat,
    hence silent, where a scale sees only noise, so fine scales rule where they can and coarse ones elsewhere.

    Args:
        energies: what `plane_energies` returned.
        gain: gain of the plane, see `NoiseScale`.
        floors: energy of the noise at every level.
        softening: noise floors added to the measure; larger trusts weak texture less.

    Returns:
        (H, W).
    """
    score = torch.zeros_like(energies[0])
    for energy, floor in zip(energies, floors, strict=True):
        term = torch.log(energy * (gain**2 / floor) + softening)
        if term.shape != score.shape:
            term = F.interpolate(term[None, None], size=score.shape, mode="bilinear", align_corners=False)[0, 0]
        score += term
    return score
