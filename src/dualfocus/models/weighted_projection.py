"""The integrable projection with confidences: VA-DepthNet's layer without its dense solve.

`z* = argmin_z ||W (P z - G)||^2` with P the forward differences of the image grid and W a diagonal of positive
weights. The weights break the DCT that diagonalises `P^T P`, so the normal equations `P^T W^2 P z = P^T W^2 G` are
solved by conjugate gradients with the unweighted DCT solve as preconditioner: the preconditioned condition number is at
most `max(W^2) / min(W^2)`, whatever the size of the image. VA-DepthNet ties the level of z to its last pixel; here,
as in `dualfocus.models.projection`, the gauge is zero mean. Its rows of stride 2 are left out: they add no
unknown, and as published they link the last column of a row to the next row.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dualfocus.models.precision import full_precision
from dualfocus.models.projection import adjoint_differences, forward_differences, solve_laplacian

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}  # norm of the residual, relative to the right-hand side
MOST_ITERATIONS = 2000


def weighted_projection(gradient: Tensor, weight: Tensor) -> Tensor:
    """The surface whose differences are nearest to a gradient field where that is trusted.

    Differentiable once in both arguments, by implicit differentiation: the backward pass is one more solve of the same
    system, and nothing of the iterations is kept. Every leading index is its own problem. Runs in float32 (float64 for
    float64 input) even under autocast.

    Args:
        gradient: G, (..., 2, H, W), component 0 along x, 1 along y; entries past the last column or row have no effect.
        weight: diagonal of W, of the same shape, above 0. Time and error grow with the ratio of its largest value to
            its smallest: for 10 about 40 iterations and an error of 1e-4 of the answer in float32 (100 and 1e-11 in
            float64), for 100 about 200 and 4e-3 (600 and 1e-10). Bound weights from below.

    Returns:
        (..., H, W) surface of zero mean.

    Warns:
        UserWarning: the iterations ended before the answer was exact, here or in the backward pass.

    Raises:
        ValueError: shapes that differ.
    """
    if gradient.shape != weight.shape or gradient.shape[-3] != 2:
        raise ValueError(f"gradient {tuple(gradient.shape)} and weight {tuple(weight.shape)} must be (..., 2, H, W)")
    with full_precision(gradient.device):
        exact = torch.float64 if gradient.dtype == torch.float64 else torch.float32
        return _WeightedProjection.apply(gradient.to(exact), weight.to(exact))


class _WeightedProjection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor) -> Tensor:
        squared = weight.square()
        surface, _ = conjugate_gradients(squared, adjoint_differences(squared * gradient))
        ctx.save_for_backward(gradient, weight, surface)
        return surface

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, surface_grad: Tensor) -> tuple[Tensor, Tensor]:
        """With v = A^+ dL/dz: dL/dG = W^2 P v, and dL/dW^2 = P v (G - P z)."""
        gradient, weight, surface = ctx.saved_tensors
        with full_precision(surface_grad.device):
            adjoint, _ = conjugate_gradients(weight.square(), _without_mean(surface_grad))
            slope = forward_differences(adjoint)
            return weight.square() * slope, 2 * weight * slope * (gradient - forward_differences(surface))


def conjugate_gradients(squared: Tensor, right: Tensor) -> tuple[Tensor, int]:
    """Solve `P^T S P z = b` for the z of zero mean.

    A system that has reached the tolerance is not updated while others of the batch go on, so its solution is the same
    in any batch.

    Args:
        squared: diagonal of S = W^2, (..., 2, H, W), above 0.
        right: b, (..., H, W), of zero mean.

    Returns:
        z, (..., H, W), and the number of iterations: until every residual is below `TOLERANCE` of b, or
        `MOST_ITERATIONS`, after a warning.
    """
    goal = TOLERANCE[right.dtype] ** 2 * _dot(right, right)
    solution, residual = torch.zeros_like(right), right
    preconditioned = solve_laplacian(residual)
    direction, height = preconditioned, _dot(residual, preconditioned)
    for iteration in range(MOST_ITERATIONS):
        running = _dot(residual, residual) > goal
        if not running.any():
            return solution, iteration
        image = adjoint_differences(squared * forward_differences(direction))
        step = torch.where(running, height / _dot(direction, image), 0.0)
        solution = solution + step * direction
        residual = residual - step * image
        preconditioned = solve_laplacian(residual)
        following = _dot(residual, preconditioned)
        direction = torch.where(running, preconditioned + following / height * direction, direction)
        height = torch.where(running, following, height)
    left = (_dot(residual, residual) / _dot(right, right))[running].max().sqrt()
    span = (squared.amax() / squared.amin()).sqrt()
    warnings.warn(
        f"weighted projection: stopped after {MOST_ITERATIONS} iterations with {left:.1g} of the right-hand side left;"
        f" the weights span a ratio of {span:.2g}, bound them from below",
        stacklevel=2,
    )
    return solution, MOST_ITERATIONS


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=(-2, -1), keepdim=True)


def _without_mean(surface: Tensor) -> Tensor:
    return surface - surface.mean(dim=(-2, -1), keepdim=True)
