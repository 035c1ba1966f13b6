"""The losses against references written with numpy loops, and their behaviour at invalid pixels."""

import numpy as np
import pytest
import torch
from random_tensors import random

from dualfocus.losses import (
    confidence_loss,
    depth_loss,
    focal_variational_loss,
    masked_mean,
    sharpness_weights,
    spatial_variational_loss,
    total_loss,
)
from dualfocus.models.projection import forward_differences


def probabilities(batch: int, planes: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return (2 * random(batch, planes, height, width, seed=seed)).softmax(dim=1)


def reference_focal(p: np.ndarray) -> float:
    """L_fv of one pixel, plane by plane."""
    k = int(np.argmax(p))
    loss = 0.0
    for i in range(len(p) - 1):
        wrong = p[i] - p[i + 1] if i < k else p[i + 1] - p[i]
        loss += max(0.0, wrong) ** 2
    return loss


def pixel(p: list[float]) -> torch.Tensor:
    return torch.tensor(p, dtype=torch.float64)[None, :, None, None]


class TestSharpnessWeights:
    def test_against_numpy(self):
        depth, planes = random(2, 3, 4), torch.tensor([[0.0, 0.4, 2.0], [1.0, 1.5, 5.0]], dtype=torch.float64)
        for temperature in (None, 0.7):
            q = sharpness_weights(depth, planes, temperature).numpy()
            for b, y, x in np.ndindex(2, 3, 4):
                f = planes[b].numpy()
                tau = (f[-1] - f[0]) / 2 if temperature is None else temperature
                e = np.exp(-np.abs(f - float(depth[b, y, x])) / tau)
                np.testing.assert_allclose(q[b, :, y, x], e / e.sum(), rtol=1e-12)

    @pytest.mark.parametrize(
        ("planes", "sharp", "weight"),
        [(2, 0, 0.731), (3, 0, 0.665), (3, 1, 0.576), (5, 2, 0.498), (10, 0, 0.632), (10, 5, 0.465), (200, 100, 0.462)],
    )
    @pytest.mark.parametrize("unit", [1.0, 1e-3, 250.0])
    def test_the_plane_in_focus_has_the_same_weight_in_any_unit(self, planes, sharp, weight, unit):
        coordinates = unit * torch.linspace(0.3, 4.0, planes, dtype=torch.float64)[None]
        q = sharpness_weights(coordinates[:, sharp][:, None, None], coordinates)
        assert int(q.argmax()) == sharp and float(q.max()) == pytest.approx(weight, abs=1e-3)

    def test_order_and_sign_of_the_coordinate_do_not_matter(self):
        depth, planes = random(1, 3, 4), torch.linspace(-1, 2, 4, dtype=torch.float64)[None]
        forward, backward = sharpness_weights(depth, planes), sharpness_weights(depth, planes.flip(1))
        torch.testing.assert_close(forward, backward.flip(1))

    def test_is_detached(self):
        depth = random(1, 2, 2).requires_grad_()
        assert not sharpness_weights(depth, torch.linspace(0, 1, 3, dtype=torch.float64)[None]).requires_grad


class TestSpatial:
    def test_zero_for_the_forward_differences_of_the_truth(self):
        depth, q = random(2, 5, 6), probabilities(2, 4, 5, 6)
        predicted = forward_differences(depth)[:, None].expand(-1, 4, -1, -1, -1)
        valid = torch.ones(2, 5, 6, dtype=torch.bool)
        assert spatial_variational_loss(predicted, depth, q, valid) == 0
        assert spatial_variational_loss(predicted, depth, q, valid, baseline=3) < 1e-12

    def test_what_lies_beyond_the_border_does_not_count(self):
        depth, q = random(1, 5, 6), probabilities(1, 3, 5, 6)
        predicted = forward_differences(depth)[:, None].repeat(1, 3, 1, 1, 1)
        predicted[:, :, 0, :, -1] = 7
        predicted[:, :, 1, -1, :] = -7
        assert spatial_variational_loss(predicted, depth, q, torch.ones(1, 5, 6, dtype=torch.bool)) == 0

    @pytest.mark.parametrize("baseline", [1, 2, 3, 4, 5])
    def test_against_loops(self, baseline):
        depth, q, predicted = random(2, 4, 5), probabilities(2, 3, 4, 5), random(2, 3, 2, 4, 5, seed=2)
        valid = random(2, 4, 5, seed=3) > -0.5
        total = 0.0
        for b, n, y, x in np.ndindex(2, 3, 4, 5):
            for component, (dy, dx) in enumerate(((0, baseline), (baseline, 0))):
                between = valid[b, y : y + dy + 1, x : x + dx + 1]
                if y + dy < 4 and x + dx < 5 and between.all():
                    difference = depth[b, y + dy, x + dx] - depth[b, y, x]
                    row, column = slice(y, max(y + 1, y + dy)), slice(x, max(x + 1, x + dx))
                    walked = predicted[b, n, component, row, column].sum()
                    total += float(q[b, n, y, x] * (difference - walked).abs()) / baseline
        found = float(spatial_variational_loss(predicted, depth, q, valid, baseline))
        assert found == pytest.approx(total / int(valid.sum()), rel=1e-12)

    def test_a_long_baseline_forgives_a_misplaced_edge(self):
        depth = torch.zeros(1, 1, 24, dtype=torch.float64)
        depth[..., 12:] = 1
        moved = forward_differences(depth.roll(1, -1))[:, None]  # the same edge one pixel further, and one at 0
        moved[..., 0, 0, 0] = 0
        flat, q, valid = torch.zeros_like(moved), torch.ones(1, 1, 1, 24, dtype=torch.float64), depth > -1
        loss = {d: [float(spatial_variational_loss(g, depth, q, valid, d)) for g in (moved, flat)] for d in (1, 8)}
        assert loss[1][0] >= loss[1][1]
        assert loss[8][0] <= loss[8][1] / 3

    def test_a_plane_without_weight_is_free(self):
        depth = random(1, 4, 4)
        q = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
        q[:, 0] = 1
        predicted = forward_differences(depth)[:, None].repeat(1, 2, 1, 1, 1)
        predicted[:, 1] = 100
        assert spatial_variational_loss(predicted, depth, q, torch.ones(1, 4, 4, dtype=torch.bool)) == 0


class TestFocal:
    @pytest.mark.parametrize(
        "p",
        [
            [0.2] * 5,
            [0.1, 0.2, 0.4, 0.2, 0.1],
            [0.7, 0.2, 0.1],
            [0.1, 0.3, 0.6],
            [0.1, 0.35, 0.35, 0.2],
            [0.3, 0.3, 0.2, 0.2],
            [0.0, 0.0, 1.0, 0.0],
            [0.5, 0.5],
        ],
    )
    def test_zero_for_every_unimodal_probability(self, p):
        assert focal_variational_loss(pixel(p)) == 0

    def test_zero_for_random_unimodal_probabilities(self):
        rng = np.random.default_rng(0)
        for _ in range(50):
            p = np.sort(rng.uniform(size=7))
            split = int(rng.integers(1, 8))
            p = np.concatenate([p[:split], np.sort(rng.uniform(0, p[split - 1], 7 - split))[::-1]])
            assert focal_variational_loss(pixel(list(p / p.sum()))) == 0

    def test_grows_with_a_second_peak(self):
        losses = [float(focal_variational_loss(pixel([0.1, 0.5, 0.1, 0.1 + h, 0.1]))) for h in np.linspace(0, 0.3, 7)]
        assert losses[0] == 0 and all(np.diff(losses) > 0)

    @pytest.mark.parametrize("planes", [2, 3, 9])
    def test_against_loops(self, planes):
        p = probabilities(2, planes, 4, 5)
        p[:, :, 0] = (p[:, :, 0] * 4).round() / 4  # ties
        values = [reference_focal(p[b, :, y, x].numpy()) for b, y, x in np.ndindex(2, 4, 5)]
        assert float(focal_variational_loss(p)) == pytest.approx(np.mean(values), rel=1e-12)
        valid = random(2, 4, 5, seed=4) > 0
        assert float(focal_variational_loss(p, valid)) == pytest.approx(
            np.mean(np.array(values)[valid.ravel()]), rel=1e-12
        )

    def test_reversing_the_planes_changes_nothing(self):
        p = probabilities(2, 6, 3, 3)
        torch.testing.assert_close(focal_variational_loss(p), focal_variational_loss(p.flip(1)))


def test_depth_loss_is_smooth_l1():
    error = torch.tensor([0.1, -0.5, 2.0], dtype=torch.float64)
    beta = 0.5
    expected = np.mean([0.1**2 / (2 * beta), 0.5**2 / (2 * beta), 2.0 - beta / 2])
    prediction, truth = error[None, None], torch.zeros(1, 1, 3, dtype=torch.float64)
    valid = torch.ones(1, 1, 3, dtype=torch.bool)
    assert float(depth_loss(prediction, truth, valid, beta)) == pytest.approx(expected, rel=1e-12)


def test_confidence_loss_against_numpy():
    logit, error = random(1, 3, 4), random(1, 3, 4, seed=1).abs()
    known = random(1, 3, 4, seed=2) > 0
    c = 1 / (1 + np.exp(-logit.numpy()))
    good = error.numpy() < 0.5
    entropy = -np.where(good, np.log(c), np.log(1 - c))[known.numpy()].mean()
    assert float(confidence_loss(logit, error, 0.5, known)) == pytest.approx(entropy, rel=1e-12)
    error.requires_grad_()
    assert not confidence_loss(logit, error, 0.5, known).requires_grad  # it must not teach the depth


def test_nothing_valid_gives_zero_with_zero_gradient():
    values = random(2, 3).requires_grad_()
    loss = masked_mean(values, torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert loss == 0 and (values.grad == 0).all()


def test_means_of_half_precision_do_not_overflow():
    """Sums of an image pass 65504, its mean does not."""
    valid = torch.ones(300, 300, dtype=torch.bool)
    found = masked_mean(torch.full((300, 300), 2.5, dtype=torch.float16), valid)
    assert found.dtype == torch.float16 and found.item() == 2.5


def test_total():
    one = torch.tensor(1.0)
    losses = total_loss(one, 2 * one, 3 * one, 4 * one, 0.5, 0.1, 0.2)
    assert losses.total == pytest.approx(1 + 1 + 0.3 + 0.8)
    assert losses[1:] == (1, 2, 3, 4)


def losses(prediction, gradient, score, logit, depth, valid):
    """Every loss of one small scene, as one tuple; `score` becomes the focus probability."""
    coordinates = torch.linspace(0, 3, 4, dtype=torch.float64)[None]
    return (
        depth_loss(prediction, depth, valid, 0.5),
        spatial_variational_loss(gradient, depth, sharpness_weights(depth, coordinates), valid),
        focal_variational_loss(score.softmax(dim=1), valid),
        confidence_loss(logit, (prediction - depth).abs(), 0.5, valid),
    )


def scene():
    inputs = [
        random(1, 4, 5, seed=1),
        random(1, 4, 2, 4, 5, seed=2),
        random(1, 4, 4, 5, seed=3),
        random(1, 4, 5, seed=4),
    ]
    depth = random(1, 4, 5, seed=5).abs()
    valid = random(1, 4, 5, seed=6) > -0.7
    assert 0 < int(valid.sum()) < 20
    return [tensor.requires_grad_() for tensor in inputs], depth, valid


def test_gradients_of_all_losses():
    inputs, depth, valid = scene()
    assert torch.autograd.gradcheck(lambda *args: losses(*args, depth, valid), inputs)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_invalid_pixels_change_nothing_in_value_and_gradient(bad):
    inputs, depth, valid = scene()
    clean = losses(*inputs, depth, valid)
    gradients = torch.autograd.grad(sum(clean), inputs)
    spoilt = losses(*inputs, torch.where(valid, depth, torch.full_like(depth, bad)), valid)
    for one, other in zip(clean, spoilt, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    for one, other in zip(gradients, torch.autograd.grad(sum(spoilt), inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("bad", [3.0, float("nan"), float("inf")])
def test_predictions_at_invalid_pixels_change_nothing(bad):
    (prediction, gradient, score, logit), depth, valid = scene()
    q = sharpness_weights(depth, torch.linspace(0, 3, 4, dtype=torch.float64)[None])
    inputs = [prediction, gradient, score.detach().softmax(dim=1).requires_grad_(), logit]

    def of(prediction, gradient, probability, logit):
        return (
            depth_loss(prediction, depth, valid, 0.5),
            spatial_variational_loss(gradient, depth, q, valid),
            spatial_variational_loss(gradient, depth, q, valid, baseline=2),
            focal_variational_loss(probability, valid),
            confidence_loss(logit, (prediction - depth).abs(), 0.5, valid),
        )

    spoilt = [torch.where(valid.view(1, *[1] * (t.ndim - 3), 4, 5), t, bad) for t in inputs]
    clean, other = of(*inputs), of(*spoilt)
    for one, two in zip(clean, other, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
    for one, two in zip(torch.autograd.grad(sum(clean), inputs), torch.autograd.grad(sum(other), inputs), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
