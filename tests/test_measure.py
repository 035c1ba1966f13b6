"""One figure of one image against its definition: a yardstick with answers that are known."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dualfocus import metrics
from dualfocus.benchmarks.evaluation.measure import COLUMNS, Yardstick
from dualfocus.benchmarks.evaluation.texture import texture_strength
from dualfocus.benchmarks.protocols import PROTOCOLS
from dualfocus.datasets import Sample
from dualfocus.stack import FocalStack

HEIGHT, WIDTH = 20, 24
TRUTH = np.broadcast_to(np.linspace(1.0, 4.0, WIDTH, dtype=np.float32), (HEIGHT, WIDTH)).copy()


def answer(stack, depth, confidence=0.5):
    shape = stack.size
    return SimpleNamespace(
        depth=np.broadcast_to(np.asarray(depth, np.float32), shape),
        valid=np.ones(shape, bool),
        confidence=np.broadcast_to(np.asarray(confidence, np.float32), shape),
        std=np.zeros(shape, np.float32),
        unit=stack.result_unit,
    )


def make_sample(distances=(1.0, 2.0, 4.0), unit="m", truth=TRUTH, image=None):
    stack = FocalStack(np.zeros((len(distances), HEIGHT, WIDTH), np.uint8), distances, unit)
    return Sample("a", stack, truth, np.ones(truth.shape, bool), image)


def measure(sample, result, protocol=None):
    measured = Yardstick(sample, protocol).measure(result)
    return measured.figures, measured.histogram


def test_measure_against_independent_sums():
    sample = make_sample()
    rng = np.random.default_rng(0)
    depth = (TRUTH * rng.uniform(0.8, 1.25, TRUTH.shape)).astype(np.float32)
    confidence = rng.random(TRUTH.shape).astype(np.float32)
    figures, histogram = measure(sample, answer(sample.stack, depth, confidence))
    assert set(figures) == set(COLUMNS)
    error = depth.astype(float) - TRUTH
    assert figures["rmse"] == pytest.approx(math.sqrt(np.mean(error**2)))
    assert figures["mae"] == pytest.approx(np.mean(np.abs(error)))
    assert figures["abs_rel"] == pytest.approx(np.mean(np.abs(error) / TRUTH))
    position = np.abs(1 / depth.astype(float) - 1 / TRUTH) / (1 - 1 / 4)  # of the range 1 m to 4 m
    assert figures["range_rmse"] == pytest.approx(math.sqrt(np.mean(position**2)), rel=1e-6)
    assert figures["plane_mae"] == pytest.approx(2 * np.mean(position), rel=1e-6)
    assert figures["within_half_plane"] == np.mean(position < 0.25)
    assert (figures["inside"], figures["valid"], figures["filled"]) == (1, 1, 0)
    assert math.isnan(figures["range_rmse_textured"])
    hit = position < 0.25
    assert histogram.expected_calibration_error() == pytest.approx(
        metrics.expected_calibration_error(confidence, hit), abs=1e-6
    )
    np.testing.assert_allclose(
        histogram.error_by_confidence(), metrics.error_by_confidence(confidence, position), rtol=0.02
    )


def test_truth_outside_the_focus_range_counts_for_depth_only():
    sample = make_sample(distances=(2.0, 3.0))
    figures, histogram = measure(sample, answer(sample.stack, TRUTH))
    inside = (TRUTH >= 2) & (TRUTH <= 3)
    assert figures["inside"] == pytest.approx(inside.mean()) and 0 < figures["inside"] < 1
    assert histogram.count.sum() == inside.sum()
    assert figures["rmse"] == 0 and figures["delta1"] == 1


def test_missing_predictions_are_filled_and_counted():
    sample = make_sample()
    depth = TRUTH.copy()
    depth[:, 0], depth[:, 1] = np.nan, 0
    figures, _ = measure(sample, answer(sample.stack, depth))
    assert figures["filled"] == pytest.approx(2 / WIDTH)
    expected = np.where((np.arange(WIDTH) < 2), 4 - TRUTH, 0)  # the farthest plane stands in
    assert figures["mae"] == pytest.approx(expected.mean(), rel=1e-6)


def test_infinity_is_a_coordinate_of_a_stack_in_dioptres():
    sample = make_sample(distances=(1.0, 0.5, 0.0), unit="dioptre")
    depth = np.full(TRUTH.shape, np.inf, np.float32)
    figures, _ = measure(sample, answer(sample.stack, depth))
    assert figures["range_mae"] == pytest.approx(np.mean(1 / TRUTH), rel=1e-6)
    assert figures["mae"] == pytest.approx(np.mean(np.abs(2 - TRUTH)), rel=1e-6)  # the farthest finite plane is at 2 m


def test_index_stacks_have_no_ratios():
    truth = (TRUTH - 1) / 3 * 2
    sample = Sample("i", FocalStack(np.zeros((3, HEIGHT, WIDTH), np.uint8)), truth, truth >= 0)
    figures, _ = measure(sample, answer(sample.stack, truth + 0.25))
    assert figures["mae"] == pytest.approx(0.25, rel=1e-5) and figures["plane_mae"] == pytest.approx(0.25, rel=1e-5)
    assert figures["range_mae"] == pytest.approx(0.125, rel=1e-5)
    assert math.isnan(figures["abs_rel"]) and math.isnan(figures["delta1"]) and figures["correlation"] > 0.9999


def test_clipping_is_of_prediction_and_truth():
    sample = make_sample()
    figures, _ = measure(sample, answer(sample.stack, TRUTH + 1), replace(PROTOCOLS["stacks"], clip=(0, 2)))
    expected = np.minimum(TRUTH + 1, 2) - np.minimum(TRUTH, 2)
    assert figures["mse"] == pytest.approx(np.mean(expected.astype(np.float64) ** 2), rel=1e-5)
    unclipped, _ = measure(sample, answer(sample.stack, TRUTH + 1))
    assert unclipped["mse"] == pytest.approx(1) and unclipped["range_rmse"] == figures["range_rmse"]


def test_plane_order_and_unit_do_not_change_coordinates():
    near_to_far = make_sample(distances=(1.0, 2.0, 4.0)).stack
    shuffled = make_sample(distances=(2.0, 4.0, 1.0)).stack
    millimetres = make_sample(distances=(1000.0, 2000.0, 4000.0), unit="mm").stack
    expected = near_to_far.normalised_coordinate(TRUTH)
    np.testing.assert_allclose(shuffled.normalised_coordinate(TRUTH), expected)
    np.testing.assert_allclose(millimetres.normalised_coordinate(1000 * TRUTH.astype(float)), expected, atol=1e-12)
    assert expected[0, 0] == pytest.approx(0) and expected[0, -1] == pytest.approx(1)


def test_texture_columns():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, WIDTH // 2 :] = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH // 2, 1))
    strength = texture_strength(image, 9)
    grey = image[..., 0].astype(float)
    gradient = np.hypot(*np.gradient(grey))
    assert strength[10, 15] == pytest.approx(gradient[6:15, 11:20].mean())
    assert strength[:, 0].max() == 0
    sample = make_sample(image=image)
    wrong = np.arange(WIDTH) < 4
    confidence = np.where(np.arange(WIDTH) < WIDTH // 2, 0.1, 0.9)
    figures, _ = measure(sample, answer(sample.stack, np.where(wrong, 2 * TRUTH, TRUTH), confidence))
    assert figures["range_rmse"] > 0 and figures["range_rmse_textured"] == 0
    assert figures["confidence_flat"] == pytest.approx(0.1, abs=1e-6)
    assert figures["confidence_textured"] > 0.8
    assert 0 < figures["flat"] < 0.5


def test_wrong_unit_or_size_is_an_error():
    sample = make_sample()
    result = answer(sample.stack, TRUTH)
    result.unit = "mm"
    with pytest.raises(ValueError, match="in 'mm'"):
        measure(sample, result)


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (1, 1)])
def test_texture_of_a_line_of_pixels(size):
    line = np.arange(max(size), dtype=np.uint8).reshape(size) * 3
    np.testing.assert_allclose(texture_strength(line, 9), 3 if max(size) > 1 else 0)
