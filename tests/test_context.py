"""The context beside the focus volume: the prior and what it does to the scores, and the collapsed planes it reads."""

import math

import torch
from torch.nn import functional as F

from dualfocus.models.collapse import PixelSharpness, collapse
from dualfocus.models.context import FocusPrior, SceneContext, posterior_scores
from dualfocus.models.export_graph import collapse_at_once


def prior(score_weight, mean, kappa, size=(1, 1)):
    return FocusPrior(*(torch.full((1, 1, *size), float(value)) for value in (score_weight, mean, kappa)))


def pixel_sharpness(images, coordinates):
    found = PixelSharpness(images[:, 0, 0])
    for image, coordinate in zip(images.unbind(1), coordinates.unbind(1), strict=True):
        found.add(image, coordinate)
    return found.result()


def test_scores_and_prior_multiply_as_probabilities():
    scores, u = torch.randn(1, 4, 1, 1), torch.tensor([[0.0, 0.2, 0.7, 1.0]])
    found = posterior_scores(scores, prior(1.5, 0.4, 0.8), u).softmax(dim=1).flatten()
    by_hand = [math.exp(1.5 * float(scores[0, n]) - 0.8 * (3 * (float(u[0, n]) - 0.4)) ** 2) for n in range(4)]
    torch.testing.assert_close(found, torch.tensor(by_hand) / sum(by_hand))


def test_a_firm_prior_decides_where_the_scores_say_nothing():
    u = torch.linspace(0, 1, 5)[None]
    flat = torch.zeros(1, 5, 1, 1)
    assert posterior_scores(flat, prior(1, 0.25, 5), u).argmax() == 1
    torch.testing.assert_close(posterior_scores(flat, prior(1, 0.25, 0), u), flat)


def test_without_training_the_scores_alone_decide():
    context = SceneContext(8, (8, 8, 8, 8)).eval()
    with torch.no_grad():
        start = context.prior(context(torch.rand(1, 8 + 83, 8, 8), (32, 32)))
    torch.testing.assert_close(start.score_weight, torch.ones_like(start.score_weight))
    assert 0 < start.kappa.max() < 0.02


def test_collapsed_planes_are_what_the_likely_plane_shows():
    images, features, u = torch.rand(1, 3, 3, 8, 12), torch.rand(1, 3, 5, 2, 3), torch.tensor([[0.0, 0.4, 1.0]])
    probability = torch.zeros(1, 3, 2, 3)
    probability[:, 1] = 1
    collapsed = collapse(images, features, probability, u)
    assert collapsed.shape == (1, 5 + 83, 2, 3)
    torch.testing.assert_close(collapsed[:, :48], torch.nn.functional.pixel_unshuffle(images[:, 1], 4))
    torch.testing.assert_close(collapsed[:, 83:], features[:, 1])
    mean, deviation, peak = collapsed[0, 80:83]
    torch.testing.assert_close(mean, torch.full((2, 3), 0.4))
    assert deviation.max() < 1e-3 and peak.min() == 1


def test_images_of_8_bits_are_taken_as_they_are():
    images, features = torch.randint(0, 256, (2, 3, 3, 8, 12), dtype=torch.uint8), torch.rand(2, 3, 5, 2, 3)
    probability, u = torch.rand(2, 3, 2, 3).softmax(dim=1), torch.tensor([[0.0, 0.4, 1.0]]).repeat(2, 1)
    expected = collapse(images / 255, features, probability, u)
    torch.testing.assert_close(collapse(images, features, probability, u), expected)
    pixels = F.pixel_unshuffle(pixel_sharpness(images / 255, u), 4)
    torch.testing.assert_close(expected[:, 48:80], pixels)


def test_a_graph_collapses_all_planes_at_once():
    images, features = torch.rand(2, 3, 3, 8, 12), torch.rand(2, 3, 5, 2, 3)
    probability, u = torch.rand(2, 3, 2, 3).softmax(dim=1), torch.tensor([[0.0, 0.4, 1.0]]).repeat(2, 1)
    expected = collapse(images, features, probability, u)
    torch.testing.assert_close(collapse_at_once(images, features, probability, u), expected, rtol=0, atol=1e-5)


def test_no_gradient_through_the_choice_of_planes():
    images, features = torch.rand(1, 3, 3, 8, 8), torch.rand(1, 3, 4, 2, 2, requires_grad=True)
    scores = torch.randn(1, 3, 2, 2, requires_grad=True)
    collapse(images, features, scores.softmax(dim=1), torch.linspace(0, 1, 3)[None]).sum().backward()
    assert scores.grad is None and features.grad is not None


def test_each_pixel_finds_its_sharpest_plane():
    generator = torch.Generator().manual_seed(0)
    sharp = torch.rand(3, 32, 32, generator=generator)
    blurred = torch.nn.functional.avg_pool2d(sharp[None], 5, 1, 2)[0]
    left = torch.arange(32) < 16
    images = torch.stack((torch.where(left, sharp, blurred), blurred, torch.where(left, blurred, sharp)))
    mean, contrast_gain = pixel_sharpness(images[None], torch.linspace(0, 1, 3)[None])[0]
    assert mean[:, :14].median() < 0.1 and mean[:, 18:].median() > 0.9
    even = pixel_sharpness(sharp[None, None].expand(1, 3, -1, -1, -1), torch.linspace(0, 1, 3)[None])[0]
    torch.testing.assert_close(even[0], torch.full_like(mean, 0.5))
    assert even[1].abs().max() < 1e-6 < contrast_gain.median()
