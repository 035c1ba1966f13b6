"""The integrable projection: the surface whose gradient is nearest to a predicted gradient field.

`z* = argmin_z ||P z - G||^2` with P the forward differences of the image grid. The normal matrix
`P^T P` is the Laplacian with Neumann borders; the orthonormal DCT-II diagonalises it, so the exact
least-squares solution costs a transform there and back: two pairs of small matrix products, or, where
maps are large and on a CPU, FFTs. A constant is in the null space of P, so the paper's inverse does not
exist as written: the gauge here is zero mean.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from dualfocus.models.precision import full_precision

_FFT_PIXELS = 20_000  # pixels of a map above which FFTs are faster than products on a CPU (docs/projection.md)
_CACHED_PIXELS = 100_000  # pixels transformed at once, which stay in the cache of a CPU from pass to pass


def forward_differences(surface: Tensor) -> Tensor:
    """Apply P: forward differences in x and y, 0 past the last column and row.

    Args:
        surface: (..., H, W).

    Returns:
        (..., 2, H, W), component 0 along x (columns), 1 along y (rows).
    """
    dx = F.pad(surface[..., :, 1:] - surface[..., :, :-1], (0, 1))
    dy = F.pad(surface[..., 1:, :] - surface[..., :-1, :], (0, 0, 0, 1))
    return torch.stack((dx, dy), dim=-3)


def adjoint_differences(gradient: Tensor) -> Tensor:
    """Apply the transpose of P; entries past the last column and row have no effect.

    Args:
        gradient: (..., 2, H, W).

    Returns:
        (..., H, W), with `<P z, G> == <z, P^T G>`.
    """
    gx, gy = gradient[..., 0, :, :-1], gradient[..., 1, :-1, :]
    return F.pad(gx, (1, 0)) - F.pad(gx, (0, 1)) + F.pad(gy, (0, 0, 1, 0)) - F.pad(gy, (0, 0, 0, 1))


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept between calls: a tensor born in inference mode could never be trained through
def _dct_basis(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Orthonormal DCT-II matrix (length, length): row k is the k-th cosine."""
    k = torch.arange(length, dtype=torch.float64)[:, None]
    n = torch.arange(length, dtype=torch.float64)[None, :]
    basis = torch.cos(math.pi * (2 * n + 1) * k / (2 * length)) * math.sqrt(2 / length)
    basis[0] /= math.sqrt(2)
    return basis.to(device=device, dtype=dtype)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _inverse_eigenvalues(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """1 / eigenvalues of P^T P on the DCT grid (H, W); 0 for the constant, which fixes the zero-mean gauge."""
    i = torch.arange(height, dtype=torch.float64)[:, None]
    j = torch.arange(width, dtype=torch.float64)[None, :]
    eigenvalues = 4 * torch.sin(math.pi * i / (2 * height)) ** 2 + 4 * torch.sin(math.pi * j / (2 * width)) ** 2
    eigenvalues[0, 0] = math.inf
    return (1 / eigenvalues).to(device=device, dtype=dtype)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _twiddles(length: int, dtype: torch.dtype) -> Tensor:
    """(length // 2 + 1,) complex factors that turn the FFT of a folded signal into its orthonormal DCT-II."""
    k = torch.arange(length // 2 + 1, dtype=torch.float64)
    turns = torch.polar(torch.where(k > 0, 2.0, 1.0).double().sqrt(), -math.pi * k / (2 * length))
    return turns.to(dtype.to_complex())


def integrable_projection(gradient: Tensor) -> Tensor:
    """Project a gradient field onto the gradients of surfaces and integrate it (the paper's z*).

    Exact least squares at any size, linear and differentiable, every leading index independent. Runs in
    float32 (float64 for float64 input) even under autocast: half precision loses the low frequencies.

    Args:
        gradient: (..., 2, H, W), any leading dimensions.

    Returns:
        (..., H, W) surface of zero mean.

    >>> surface = torch.tensor([[0.0, 1.0, 4.0], [2.0, 3.0, 6.0]])
    >>> gradient = forward_differences(surface)  # (2, 2, 3)
    >>> bool(torch.allclose(integrable_projection(gradient), surface - surface.mean(), atol=1e-6))
    True
    """
    with full_precision(gradient.device):
        return solve_laplacian(adjoint_differences(gradient if gradient.dtype == torch.float64 else gradient.float()))


def solve_laplacian(right: Tensor) -> Tensor:
    """Apply the pseudo-inverse of P^T P, in the precision of its argument.

    Args:
        right: (..., H, W) float32 or float64; its mean has no effect.

    Returns:
        (..., H, W) of zero mean.
    """
    if right.numel() == 0:
        return torch.zeros_like(right)
    height, width = right.shape[-2:]
    inverse = _inverse_eigenvalues(height, width, right.dtype, right.device)
    if right.device.type == "cpu" and height * width > _FFT_PIXELS:
        maps = right.reshape(-1, height, width).split(max(1, _CACHED_PIXELS // (height * width)))
        return torch.cat([_solve_by_fft(part, inverse) for part in maps]).reshape(right.shape)
    rows = _dct_basis(height, right.dtype, right.device)
    columns = _dct_basis(width, right.dtype, right.device)
    spectrum = rows @ right @ columns.T
    return (rows.T @ (spectrum * inverse)) @ columns


def _solve_by_fft(right: Tensor, inverse: Tensor) -> Tensor:
    """`solve_laplacian` of (M, H, W), one axis after the other."""
    spectrum = _dct(_dct(right).mT).mT * inverse
    return _inverse_dct(_inverse_dct(spectrum.mT).mT)


def _dct(x: Tensor) -> Tensor:
    """Orthonormal DCT-II along the last axis, by one real FFT of its length (Makhoul 1980)."""
    length = x.shape[-1]
    folded = torch.cat((x[..., ::2], x[..., 1::2].flip(-1)), dim=-1)
    turned = torch.fft.rfft(folded, norm="ortho") * _twiddles(length, x.dtype)
    return torch.cat((turned.real, -turned.imag[..., 1 : (length + 1) // 2].flip(-1)), dim=-1)


def _inverse_dct(x: Tensor) -> Tensor:
    """Inverse of `_dct`: the orthonormal DCT-III."""
    length = x.shape[-1]
    mirrored = F.pad(x[..., length - length // 2 :].flip(-1), (1, 0))
    turned = torch.complex(x[..., : length // 2 + 1], -mirrored) / _twiddles(length, x.dtype)
    folded = torch.fft.irfft(turned, n=length, norm="ortho")
    result, half = torch.empty_like(folded), (length + 1) // 2
    result[..., ::2], result[..., 1::2] = folded[..., :half], folded[..., half:].flip(-1)
    return result


def project_inside(gradient: Tensor, height: int, width: int) -> Tensor:
    """Project over the true image region only, then replicate the surface into the padding.

    Args:
        gradient: (..., 2, H', W') with H' >= height and W' >= width; the image fills the top left.
        height: rows of the true image region.
        width: columns of it.

    Returns:
        (..., H', W'); inside the image identical to `integrable_projection` of the cropped field.
    """
    full_height, full_width = gradient.shape[-2:]
    surface = integrable_projection(gradient[..., :height, :width])
    if (full_height, full_width) == (height, width):
        return surface
    pad = (0, full_width - width, 0, full_height - height)
    padded = F.pad(surface.reshape(1, -1, height, width), pad, mode="replicate")
    return padded.reshape(*gradient.shape[:-3], full_height, full_width)
