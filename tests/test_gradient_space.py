"""L_sv on gradients of depth, inverse depth or their logarithm."""

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from dualfocus.datasets.sample import Sample
from dualfocus.models.output import FocusOutput, TrainingOutput
from dualfocus.rendering.capture import render_stack
from dualfocus.stack import FocalStack
from dualfocus.training.augment import jitter
from dualfocus.training.batches import collate
from dualfocus.training.config import LossConfig
from dualfocus.training.objective import objective
from dualfocus.training.space import in_space
from dualfocus.training.stacks import from_rendered, from_sample, take_planes

NEAR, FAR = 0.5, 2.0
DEPTH = np.linspace(NEAR, FAR, 32 * 32).reshape(32, 32)


def seen(distances=(NEAR, 0.8, FAR), coordinate="focus", unit="m"):
    images = np.zeros((len(distances), 32, 32), np.uint8)
    stack = FocalStack(images, distances, unit, ground_truth=DEPTH)
    return from_sample(Sample("a", stack, DEPTH.astype(np.float32), np.ones(DEPTH.shape, bool)), coordinate)


def mapped(stack, space):
    return in_space(torch.from_numpy(stack.truth)[None].double(), torch.tensor([stack.ratio]), space)[0].numpy()


def between(values):
    """0 at the nearest depth and 1 at the farthest."""
    return (values - values.flat[0]) / (values.flat[-1] - values.flat[0])


@pytest.mark.parametrize(
    ("coordinate", "space", "expected"),
    [
        ("focus", "coordinate", 1 / DEPTH),
        ("focus", "inverse", DEPTH),
        ("focus", "log", np.log(DEPTH)),
        ("depth", "coordinate", DEPTH),
        ("depth", "inverse", 1 / DEPTH),
        ("depth", "log", np.log(DEPTH)),
    ],
)
def test_spaces_against_depth_in_metres(coordinate, space, expected):
    stack = seen(coordinate=coordinate)
    np.testing.assert_allclose(mapped(stack, space), between(expected), atol=2e-6)
    turned = (jitter(stack, np.random.default_rng(seed)) for seed in range(99))
    back = next(other for other in turned if other.truth[0, 0] == 1)
    np.testing.assert_allclose(mapped(back, space), 1 - between(expected), atol=2e-6)


def test_planes_that_are_taken_keep_the_space():
    stack = seen((NEAR, 0.7, 1.0, 1.5, FAR))
    part = take_planes(stack, np.array([1, 3]))
    inside = (DEPTH >= 0.7) & (DEPTH <= 1.5)
    for space, expected in (("inverse", (DEPTH - 0.7) / 0.8), ("log", np.log(DEPTH / 0.7) / np.log(1.5 / 0.7))):
        np.testing.assert_allclose(mapped(part, space)[inside], expected[inside], atol=2e-6)


def test_a_rendered_stack_knows_its_distances():
    scene = render_stack(np.random.SeedSequence(3), size=32, planes=4)
    stack = from_rendered(scene)
    near, far = scene.focus_distances[[0, -1]]
    u = 1 / near + scene.truth.astype(np.float64) * (1 / far - 1 / near)
    inside = (scene.truth >= 0) & (scene.truth <= 1)
    assert inside.any()
    np.testing.assert_allclose(mapped(stack, "inverse")[inside], ((1 / u - near) / (far - near))[inside], atol=1e-5)


def test_what_has_no_zero_or_no_end_stays_finite():
    stage = seen((NEAR, FAR), unit="um")
    np.testing.assert_array_equal(mapped(stage, "log"), stage.truth)
    endless = seen((2.0, 1.0, 0.0), unit="dioptre")
    for space in ("inverse", "log"):
        for ratio in (endless.ratio, 1 / 1e-6):  # as it is, and reversed
            values = in_space(torch.linspace(-3, 3, 61)[None, None], torch.tensor([ratio]), space)
            assert torch.isfinite(values).all() and (values.diff() >= 0).all()
            assert values[0, 0, 30].item() == pytest.approx(0, abs=1e-5)
            assert values[0, 0, 40].item() == pytest.approx(1)


@pytest.mark.parametrize("space", ["coordinate", "inverse", "log"])
def test_the_loss_is_zero_for_the_gradients_of_its_space_alone(space):
    stack = seen()
    batch = collate([stack])
    wanted = {"coordinate": 1 / DEPTH, "inverse": DEPTH, "log": np.log(DEPTH)}
    truth = torch.from_numpy(between(wanted[space]) * (len(stack.images) - 1))
    gradient = torch.zeros(1, 3, 2, 32, 32, dtype=torch.float64)
    gradient[:, :, 0, :, :-1], gradient[:, :, 1, :-1] = truth.diff(dim=1), truth.diff(dim=0)
    output = FocusOutput(
        torch.full((1, 3, 32, 32), 1 / 3),
        batch["truth"],
        batch["truth"],
        batch["truth"],
        TrainingOutput({1: gradient}, batch["truth"][:, None].expand(-1, 2, -1, -1)),
    )
    losses = {s: objective(output, batch, LossConfig(space=s)).spatial.item() for s in ("coordinate", "inverse", "log")}
    assert losses.pop(space) < 1e-5 < 1e-3 < min(losses.values())
