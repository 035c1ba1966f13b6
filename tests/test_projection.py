"""The integrable projection: dense least squares, its mathematical properties, what the networks rely on."""

import numpy as np
import pytest
import torch
from random_tensors import random

from dualfocus.models import projection
from dualfocus.models.projection import (
    adjoint_differences,
    forward_differences,
    integrable_projection,
    project_inside,
)

SIZES = [(1, 1), (1, 7), (5, 1), (2, 2), (6, 8), (9, 4), (12, 12)]


@pytest.fixture(autouse=True, params=["products", "fft"])
def solver(request, monkeypatch):
    """Everything here holds for both ways to transform."""
    monkeypatch.setattr(projection, "_FFT_PIXELS", 10**9 if request.param == "products" else 0)


def dense_differences(height: int, width: int) -> np.ndarray:
    """P as a (2 H W, H W) matrix, entry by entry; rows past the last column or row are 0."""
    matrix = np.zeros((2, height, width, height, width))
    for y in range(height):
        for x in range(width):
            if x + 1 < width:
                matrix[0, y, x, y, x + 1], matrix[0, y, x, y, x] = 1, -1
            if y + 1 < height:
                matrix[1, y, x, y + 1, x], matrix[1, y, x, y, x] = 1, -1
    return matrix.reshape(2 * height * width, height * width)


def curl_field(height: int, width: int, seed: int) -> torch.Tensor:
    """Closed loops of random strength around every square of four pixels: divergence-free by construction."""
    strength = random(height - 1, width - 1, seed=seed)
    field = torch.zeros(2, height, width, dtype=torch.float64)
    for y in range(height - 1):
        for x in range(width - 1):
            s = strength[y, x]
            field[0, y, x] += s  # right along the upper side
            field[1, y, x + 1] += s  # down the right side
            field[0, y + 1, x] -= s  # back along the lower side
            field[1, y, x] -= s  # up the left side
    return field


@pytest.mark.parametrize("size", [*SIZES, (37, 50)])
def test_a_true_gradient_gives_its_surface_back_without_the_mean(size):
    surface = random(3, *size)
    expected = surface - surface.mean(dim=(-2, -1), keepdim=True)
    torch.testing.assert_close(integrable_projection(forward_differences(surface)), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", [(2, 2), (6, 8), (11, 5)])
def test_a_curl_field_changes_nothing(size):
    gradient, curl = random(2, *size), 10 * curl_field(*size, seed=1)
    kernel = dense_differences(*size).T @ curl.numpy().ravel()
    assert np.abs(kernel).max() < 1e-12 and curl.abs().max() > 1
    torch.testing.assert_close(
        integrable_projection(gradient + curl), integrable_projection(gradient), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("size", SIZES)
def test_adjoint(size):
    surface, gradient = random(*size), random(2, *size, seed=1)
    left = (forward_differences(surface) * gradient).sum()
    right = (surface * adjoint_differences(gradient)).sum()
    torch.testing.assert_close(left, right, rtol=0, atol=1e-12)


def test_gradients():
    gradient = random(2, 2, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(integrable_projection, gradient)
    assert torch.autograd.gradcheck(lambda g: project_inside(g, 3, 4), gradient)
    assert torch.autograd.gradcheck(forward_differences, random(2, 3, 4).requires_grad_())
    assert torch.autograd.gradcheck(adjoint_differences, gradient)


@pytest.mark.parametrize("size", SIZES)
def test_equals_dense_least_squares(size):
    gradient, matrix = random(2, *size), dense_differences(*size)
    expected, *_ = np.linalg.lstsq(matrix, gradient.numpy().ravel(), rcond=None)  # the least norm has zero mean
    found = integrable_projection(gradient).numpy().ravel()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(
        forward_differences(random(*size)).numpy().ravel(), matrix @ random(*size).numpy().ravel()
    )


def test_batch_and_channels_are_independent():
    gradient = random(2, 3, 2, 7, 6)
    together = integrable_projection(gradient)
    assert together.shape == (2, 3, 7, 6)
    for batch in range(2):
        for channel in range(3):
            alone = integrable_projection(gradient[batch, channel])
            torch.testing.assert_close(together[batch, channel], alone, rtol=0, atol=1e-12)
    changed = gradient.clone()
    changed[1, 2] += 5
    torch.testing.assert_close(integrable_projection(changed)[0], together[0], rtol=0, atol=0)


@pytest.mark.parametrize("size", [(4, 5), (200, 200)])
def test_an_empty_batch_gives_an_empty_batch(size):
    assert integrable_projection(torch.zeros(0, 2, *size)).shape == (0, *size)


def test_entries_beyond_the_last_column_and_row_have_no_effect():
    gradient = random(2, 5, 6)
    changed = gradient.clone()
    changed[0, :, -1] = 1e6
    changed[1, -1, :] = -1e6
    torch.testing.assert_close(integrable_projection(changed), integrable_projection(gradient), rtol=0, atol=0)


def test_the_result_is_linear_and_has_zero_mean():
    one, two = random(2, 6, 9), random(2, 6, 9, seed=1)
    expected = 2 * integrable_projection(one) - 3 * integrable_projection(two)
    torch.testing.assert_close(integrable_projection(2 * one - 3 * two), expected, rtol=0, atol=1e-11)
    assert integrable_projection(one).mean().abs() < 1e-14


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_padding_does_not_change_the_surface_inside(leading):
    gradient = random(*leading, 2, 8, 8)
    inside = project_inside(gradient, 5, 7)
    assert inside.shape == (*leading, 8, 8)
    alone = integrable_projection(gradient[..., :5, :7])
    torch.testing.assert_close(inside[..., :5, :7], alone, rtol=0, atol=0)
    torch.testing.assert_close(inside[..., 4:, :7], alone[..., 4:, :].expand(*leading, 4, 7), rtol=0, atol=0)
    changed = gradient.clone()
    changed[..., 5:, :] = float("nan")
    changed[..., 7:] = float("nan")
    torch.testing.assert_close(project_inside(changed, 5, 7), inside, rtol=0, atol=0)
    torch.testing.assert_close(project_inside(gradient, 8, 8), integrable_projection(gradient), rtol=0, atol=0)


def test_autocast_leaves_it_in_float32():
    gradient = random(2, 64, 64).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        surface = integrable_projection(gradient)
        half = integrable_projection(gradient.bfloat16())
    assert surface.dtype == half.dtype == torch.float32
    torch.testing.assert_close(surface, integrable_projection(gradient), rtol=0, atol=0)
    # float32 keeps the lowest frequencies, which the inverse amplifies by three orders of magnitude
    torch.testing.assert_close(surface.double(), integrable_projection(gradient.double()), rtol=0, atol=1e-3)


def test_a_size_first_seen_in_inference_mode_can_be_trained_through_later():
    with torch.inference_mode():
        integrable_projection(torch.zeros(2, 3, 17))
    gradient = torch.ones(2, 3, 17, requires_grad=True)
    integrable_projection(gradient).square().sum().backward()
    assert torch.isfinite(gradient.grad).all()
