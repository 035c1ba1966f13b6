"""The projection with confidences: a dense solve, its gradients, and what a network relies on."""

import numpy as np
import pytest
import torch
from random_tensors import random

from dualfocus.models.projection import adjoint_differences, forward_differences, integrable_projection
from dualfocus.models.weighted_projection import conjugate_gradients, weighted_projection


def weights(*shape: int, seed: int = 1, least: float = 0.05) -> torch.Tensor:
    drawn = torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return least + (1 - least) * drawn


def dense_rows(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """P without its empty rows, and where those rows are in a flattened (2, H, W) field."""
    rows, places = [], []
    for component, (down, right) in enumerate(((0, 1), (1, 0))):
        for y in range(height - down):
            for x in range(width - right):
                row = np.zeros((height, width))
                row[y, x], row[y + down, x + right] = -1, 1
                rows.append(row.ravel())
                places.append((component * height + y) * width + x)
    return np.array(rows).reshape(-1, height * width), np.array(places, int)


@pytest.mark.parametrize("size", [(1, 2), (1, 7), (5, 1), (2, 2), (6, 8), (9, 4)])
def test_it_is_the_dense_least_squares_solution(size):
    gradient, weight = random(2, *size), weights(2, *size)
    rows, places = dense_rows(*size)
    w, g = weight.numpy().ravel()[places], gradient.numpy().ravel()[places]
    dense = np.linalg.lstsq(w[:, None] * rows, w * g, rcond=None)[0]
    found = weighted_projection(gradient, weight).numpy().ravel()
    np.testing.assert_allclose(found, dense - dense.mean(), rtol=0, atol=1e-9)


def test_equal_weights_give_the_projection_without_weights_at_once():
    gradient = random(3, 2, 30, 40)
    weight = torch.full_like(gradient, 0.3)
    torch.testing.assert_close(
        weighted_projection(gradient, weight), integrable_projection(gradient), rtol=0, atol=1e-10
    )
    iterations = conjugate_gradients(weight.square(), adjoint_differences(weight.square() * gradient))[1]
    assert iterations <= 2


def test_differences_without_confidence_are_overruled_by_the_others():
    surface = random(12, 16)
    gradient = forward_differences(surface)
    spoilt = gradient.clone()
    spoilt[:, 4:8, 5:11] += 10 * random(2, 4, 6, seed=3)
    weight = torch.where(spoilt == gradient, 1.0, 1e-4)
    expected = surface - surface.mean()
    inside = torch.zeros(12, 16, dtype=torch.bool)
    inside[5:8, 6:11] = True  # enclosed by spoilt differences: their level is not known
    trusting = integrable_projection(spoilt)
    doubting = weighted_projection(spoilt, weight)
    outside_error = (doubting - expected)[~inside]
    assert (outside_error - outside_error.mean()).abs().max() < 1e-4
    assert (trusting - expected)[~inside].abs().max() > 1


@pytest.mark.parametrize("size", [(3, 4), (1, 5), (5, 2)])
def test_gradcheck(size):
    gradient, weight = random(2, 2, *size).requires_grad_(), weights(2, 2, *size, least=0.3).requires_grad_()
    assert torch.autograd.gradcheck(weighted_projection, (gradient, weight), atol=1e-6)


def test_the_number_of_iterations_depends_on_the_weights_and_hardly_on_the_size():
    counts = []
    for size in ((15, 20), (30, 40), (60, 80)):
        gradient, weight = random(2, *size), weights(2, *size, least=0.2)
        squared = weight.square().float()
        solution, count = conjugate_gradients(squared, adjoint_differences(squared * gradient.float()))
        residual = adjoint_differences(squared * (forward_differences(solution) - gradient.float()))
        right = adjoint_differences(squared * gradient.float())
        assert residual.norm() < 1e-4 * right.norm()
        counts.append(count)
    assert max(counts) < 40 and counts[2] < 1.5 * counts[0]


@pytest.mark.parametrize(("ratio", "dtype", "error"), [(1e-1, torch.float32, 5e-4), (1e-2, torch.float64, 1e-8)])
def test_weights_far_apart_still_give_the_dense_solution(ratio, dtype, error):
    gradient, weight = random(2, 12, 16), ratio ** torch.rand(2, 12, 16, generator=torch.Generator().manual_seed(2))
    rows, places = dense_rows(12, 16)
    w, g = weight.double().numpy().ravel()[places], gradient.numpy().ravel()[places]
    dense = np.linalg.lstsq(w[:, None] * rows, w * g, rcond=None)[0]
    found = weighted_projection(gradient.to(dtype), weight.to(dtype)).double().numpy().ravel()
    assert np.abs(found - (dense - dense.mean())).max() < error * np.abs(dense - dense.mean()).max()


def test_an_answer_that_is_not_exact_says_so():
    weight = 1e-6 ** torch.rand(2, 30, 30, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with pytest.warns(UserWarning, match="weights span a ratio of .*e\\+0[56], bound them from below"):
        weighted_projection(random(2, 30, 30), weight)


def test_every_problem_of_a_batch_is_its_own():
    gradient = torch.stack((random(2, 9, 11), 100 * random(2, 9, 11, seed=5), torch.zeros(2, 9, 11).double()))
    weight = torch.stack((weights(2, 9, 11), torch.ones(2, 9, 11).double(), weights(2, 9, 11, seed=7)))
    together = weighted_projection(gradient.float(), weight.float())
    for index in range(3):
        alone = weighted_projection(gradient[index].float(), weight[index].float())
        assert (together[index] - alone).abs().max() <= 1e-5 * alone.abs().max()
    assert (together[2] == 0).all()


def test_it_stays_in_float32_under_autocast_forwards_and_backwards():
    gradient, weight = random(2, 30, 40).float().requires_grad_(), weights(2, 30, 40).float().requires_grad_()
    plain = weighted_projection(gradient, weight)
    with torch.autocast("cpu", torch.bfloat16):
        cast = weighted_projection(gradient.bfloat16(), weight)
        same = weighted_projection(gradient, weight)
        same.square().sum().backward()
    assert cast.dtype == same.dtype == torch.float32
    torch.testing.assert_close(same, plain)
    under_autocast = weight.grad.clone()
    weight.grad = None
    plain.square().sum().backward()
    torch.testing.assert_close(under_autocast, weight.grad)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="must be"):
        weighted_projection(torch.zeros(2, 3, 4), torch.ones(1, 3, 4))
    with pytest.raises(ValueError, match="must be"):
        weighted_projection(torch.zeros(3, 3, 4), torch.ones(3, 3, 4))
