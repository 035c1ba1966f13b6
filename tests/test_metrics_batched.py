"""Batched torch metrics against the numpy reference, over random maps with holes, empty masks and zero predictions."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from dualfocus import metrics
from dualfocus.metrics import batched

TOLERANCE = {"rel": 1e-6, "abs": 1e-6, "nan_ok": True}


def draw(seed, count=3):
    """Maps with sharp steps and holes; some batches hold an empty mask, a zero and a negative prediction."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(5, 24, 2)
    steps = rng.uniform(0.3, 6, (count, 1, width // 3 + 1)).repeat(3, axis=2)[..., :width]
    truth = steps * np.exp(rng.normal(0, 0.02, (count, height, width)))
    prediction = truth * np.exp(rng.normal(0, 0.3 * rng.random(), truth.shape))
    mask = rng.random(truth.shape) > rng.uniform(0, 0.9)
    if seed % 3 == 0:
        mask[0] = False
    if seed % 4 == 1:
        prediction[1, rng.integers(height), rng.integers(width)] = rng.choice([0.0, -1.0])
        mask[1] = True
    return prediction, truth, mask


def on_torch(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


@pytest.mark.parametrize("seed", range(24))
def test_masked_conventions_agree(seed):
    prediction, truth, mask = draw(seed)
    mask[2, 0, 0] = True
    for ours, reference in (
        (batched.depth_metrics, metrics.depth_metrics),
        (batched.fossa_metrics, metrics.fossa_metrics),
    ):
        got = ours(*on_torch(prediction, truth, mask))
        for b in range(len(truth)):
            if not mask[b].any():
                assert all(torch.isnan(value[b]) for value in got.values())
                continue
            expected = reference(prediction[b], truth[b], mask[b])
            assert set(got) == set(expected)
            for name, value in expected.items():
                assert got[name][b].item() == pytest.approx(value, **TOLERANCE), name


@pytest.mark.parametrize("seed", range(24))
def test_dfv_convention_agrees(seed):
    prediction, truth, mask = draw(seed)
    truth = np.where(mask, truth, 0)
    got = batched.dfv_metrics(*on_torch(prediction, truth))
    for b in range(len(truth)):
        expected = metrics.dfv_metrics(prediction[b], truth[b])
        assert set(got) == set(expected)
        for name, value in expected.items():
            assert got[name][b].item() == pytest.approx(value, **TOLERANCE), name


def test_bumpiness_with_a_mask_and_float32_maps():
    prediction, truth, mask = draw(2)
    prediction, truth = prediction.astype(np.float32), truth.astype(np.float32)
    expected = [metrics.bumpiness(*maps) for maps in zip(prediction, truth, mask, strict=True)]
    got = batched.bumpiness(*on_torch(prediction, truth, mask))
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_what_numpy_refuses_is_nan_for_that_map_alone():
    truth = np.ones((4, 3, 3))
    prediction = np.full_like(truth, 1.1)
    mask = np.ones(truth.shape, bool)
    prediction[0, 0, 0], truth[1, 1, 1], mask[2] = np.nan, 0, False
    got = batched.fossa_metrics(*on_torch(prediction, truth, mask))
    for name, value in got.items():
        assert torch.isnan(value[:3]).all() and torch.isfinite(value[3]), name
    outside = np.ones_like(mask)
    outside[0, 0, 0] = outside[1, 1, 1] = False  # what is not counted may hold anything
    got = batched.depth_metrics(*on_torch(prediction, truth, outside))
    np.testing.assert_allclose(got["abs_rel"], 0.1)


def test_the_reference_needs_no_torch():
    code = "import sys, dualfocus.metrics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
