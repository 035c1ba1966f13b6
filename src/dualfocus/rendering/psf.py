"""Blur kernels between a disk and a Gaussian, at a fixed ladder of circle-of-confusion diameters."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

LADDER: tuple[float, ...] = (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.75, 5, 6.5, 8.5, 11, 14, 18, 22.5, 28)
_GROWTH = 1.25  # ratio of neighbouring diameters beyond the ladder
_SUBSAMPLES = 8  # sub-pixel cells per side when a disk is averaged over a pixel
_PIXEL_VARIANCE = 1.0 / 12.0
_FULL_PIXEL = 3.0  # diameter in px from which a kernel carries the whole variance of a pixel


def psf_shape(psf: float | str) -> float:
    """Turn `"disk"`, `"gaussian"` or a number in [0, 1] (0 = disk, 1 = Gaussian) into the number.

    Raises:
        ValueError: for any other name or number.
    """
    named = {"disk": 0.0, "gaussian": 1.0}
    value = named.get(psf, -1.0) if isinstance(psf, str) else float(psf)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"psf must be 'disk', 'gaussian' or a number from 0 (disk) to 1 (Gaussian), not {psf!r}")
    return value


def blur_variance(diameter: float) -> float:
    """Variance per axis, in px^2, of the kernel for a circle of confusion of this diameter in px.

    A disk of diameter C and a Gaussian of sigma C/4 both have C^2/16; averaging over a pixel adds 1/12. The second
    term fades in (as C^2, up to 3 px) so that a point in focus keeps its single pixel.
    """
    return diameter**2 / 16.0 + _PIXEL_VARIANCE * min(1.0, (diameter / _FULL_PIXEL) ** 2)


def ladder_levels(smallest: float, largest: float) -> tuple[float, ...]:
    """The run of ladder diameters (at least two) that brackets CoC diameters `smallest` to `largest`, in px."""
    levels = list(LADDER)
    while levels[-1] < largest:
        levels.append(levels[-1] * _GROWTH)
    first = max(i for i, level in enumerate(levels[:-1]) if level <= max(smallest, 0.0) or i == 0)
    last = min(i for i, level in enumerate(levels) if i > first and level >= largest)
    return tuple(float(level) for level in levels[first : last + 1])


@lru_cache(maxsize=512)
def blur_kernel(diameter: float, psf: float) -> np.ndarray:
    """Kernel (K, K) float32, K odd, sum 1, with the variance of `blur_variance` exactly.

    The family is a disk convolved with a Gaussian: `psf` is the Gaussian's share of the variance.
    """
    variance = blur_variance(diameter)
    disk = _fit(_disk, (1.0 - psf) * variance, 1.0, diameter + 2.0)
    gaussian = _fit(_gaussian, psf * variance, 0.05, 0.3 * diameter + 1.0)
    kernel = _convolve(disk, gaussian)
    return (kernel / kernel.sum()).astype(np.float32)


def kernel_radius(diameter: float, psf: float) -> int:
    """Half width in px of the kernel for this diameter."""
    return blur_kernel(diameter, psf).shape[0] // 2


@lru_cache(maxsize=128)
def transfer_functions(levels: tuple[float, ...], psf: float, shape: tuple[int, int], device: str) -> Tensor:
    """Fourier transforms (K, S0, S1 // 2 + 1), real, of the kernels of `levels` on a periodic grid `shape`."""
    grid = np.zeros((len(levels), *shape), np.float32)
    for index, level in enumerate(levels):
        kernel = blur_kernel(level, psf)
        radius = kernel.shape[0] // 2
        rows, columns = (np.arange(-radius, radius + 1) % side for side in shape)
        grid[index][np.ix_(rows, columns)] = kernel
    return torch.fft.rfft2(torch.from_numpy(grid).to(device)).real.contiguous()


def _disk(diameter: float) -> np.ndarray:
    """Disk of this diameter averaged over each pixel (area coverage by sub-pixel cells with a one-cell soft edge)."""
    radius = diameter / 2.0
    half = max(int(np.ceil(radius - 0.5)), 0)
    size = 2 * half + 1
    axis = (np.arange(size * _SUBSAMPLES) + 0.5) / _SUBSAMPLES - size / 2.0
    distance = np.hypot(axis[:, None], axis[None, :])
    cover = np.clip((radius - distance) * _SUBSAMPLES + 0.5, 0.0, 1.0)
    kernel = cover.reshape(size, _SUBSAMPLES, size, _SUBSAMPLES).mean((1, 3))
    return kernel / kernel.sum()


def _gaussian(sigma: float) -> np.ndarray:
    half = max(int(np.ceil(3.0 * sigma)), 1)
    axis = np.arange(-half, half + 1)
    line = np.exp(-0.5 * (axis / sigma) ** 2)
    line /= line.sum()
    return np.outer(line, line)


def _variance(kernel: np.ndarray) -> float:
    axis = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    return float((kernel.sum(0) * axis**2).sum())


def _fit(make: Callable[[float], np.ndarray], variance: float, low: float, high: float) -> np.ndarray:
    """Kernel `make(parameter)` whose discrete variance equals `variance` (bisection; a single 1 for none)."""
    if variance < 1e-9:
        return np.ones((1, 1))
    for _ in range(32):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _variance(make(middle)) < variance else (low, middle)
    return make(0.5 * (low + high))


def _convolve(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    size = first.shape[0] + second.shape[0] - 1
    product = np.fft.rfft2(first, (size, size)) * np.fft.rfft2(second, (size, size))
    return np.maximum(np.fft.irfft2(product, (size, size)), 0.0)
