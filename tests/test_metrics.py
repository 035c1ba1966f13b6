"""Metrics against golden values worked out apart from this code, and against plain-Python sums."""

import math

import numpy as np
import pytest

from dualfocus import metrics

ROWS, COLUMNS = np.mgrid[0:24, 0:32].astype(np.float64)


def random_maps(seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.4, 8, (13, 17))
    prediction = truth * np.exp(rng.normal(0, 0.3, truth.shape))
    return prediction, truth, rng.random(truth.shape) > 0.3


def by_hand(prediction, truth, mask):
    """The definitions that both conventions share, pixel by pixel."""
    pairs = [(y, t) for y, t, m in zip(prediction.flat, truth.flat, mask.flat, strict=True) if m]
    n = len(pairs)
    mse = sum((y - t) ** 2 for y, t in pairs) / n
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "log_rms": math.sqrt(sum((math.log(y) - math.log(t)) ** 2 for y, t in pairs) / n),
        "abs_rel": sum(abs(y - t) / t for y, t in pairs) / n,
        "sq_rel": sum((y - t) ** 2 / t for y, t in pairs) / n,
        **{f"delta{k}": sum(max(y / t, t / y) < 1.25**k for y, t in pairs) / n for k in (1, 2, 3)},
    }


def test_depth_metrics_equal_the_plain_sums():
    prediction, truth, mask = random_maps()
    expected = by_hand(prediction, truth, mask)
    assert metrics.depth_metrics(prediction, truth, mask) == pytest.approx(expected, rel=1e-12)
    assert 0 < expected["delta1"] < expected["delta2"] < 1


def test_depth_metrics_of_a_worked_example():
    truth = np.array([[1.0, 2.0], [4.0, 5.0]])
    prediction = np.array([[1.2, 2.0], [5.0, 99.0]])  # 5.0 / 4.0 = 1.25 is not below 1.25; the last pixel is masked
    got = metrics.depth_metrics(prediction, truth, np.array([[True, True], [True, False]]))
    assert got["mse"] == pytest.approx((0.04 + 1) / 3)
    assert got["abs_rel"] == pytest.approx((0.2 + 0.25) / 3)
    assert got["sq_rel"] == pytest.approx((0.04 + 0.25) / 3)
    assert (got["delta1"], got["delta2"]) == (pytest.approx(2 / 3), 1)
    assert got["log_rms"] == pytest.approx(math.sqrt((math.log(1.2) ** 2 + math.log(1.25) ** 2) / 3))


def test_prediction_that_is_not_positive_fails_every_delta():
    truth = np.ones((1, 4))
    got = metrics.depth_metrics([[1.0, 0.0, -1.0, 1.0]], truth, truth > 0)
    assert got["delta3"] == 0.5 and math.isnan(got["log_rms"])


def test_masked_pixels_may_hold_anything():
    prediction, truth, mask = random_maps()
    expected = metrics.depth_metrics(prediction, truth, mask)
    prediction[~mask], truth[~mask] = np.nan, -1
    assert metrics.depth_metrics(prediction, truth, mask) == expected


@pytest.mark.parametrize(
    ("prediction", "truth", "mask", "words"),
    [
        (np.ones((2, 2)), np.ones((2, 3)), np.ones((2, 3), bool), "one size"),
        (np.ones((2, 2)), np.ones((2, 2)), np.zeros((2, 2), bool), "mask is empty"),
        (np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2)), "must be bool"),
        (np.full((2, 2), np.nan), np.ones((2, 2)), np.ones((2, 2), bool), "prediction is not finite at 4"),
        (np.ones((2, 2)), np.zeros((2, 2)), np.ones((2, 2), bool), "<= 0"),
    ],
)
def test_errors_say_what_is_wrong(prediction, truth, mask, words):
    with pytest.raises(ValueError, match=words):
        metrics.depth_metrics(prediction, truth, mask)


def test_dfv_metrics_are_percent_over_positive_truth():
    prediction, truth, mask = random_maps(1)
    truth[~mask] = 0
    expected = by_hand(prediction, truth, mask)
    got = metrics.dfv_metrics(prediction, truth)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value * (100 if name.startswith("delta") else 1), rel=1e-12)
    assert got["badpix"] == pytest.approx(100 * np.mean(np.abs(prediction - truth)[mask] > 0.07))
    assert got["bump"] == metrics.bumpiness(prediction, truth)


def test_dfv_counts_failed_pixels_and_empty_images():
    truth = np.array([[1.0, 1.0, 0.0]])
    got = metrics.dfv_metrics(np.array([[0.0, math.e, 5.0]]), truth)
    assert got["log_rms"] == pytest.approx(math.sqrt(1 / 2))  # the zero leaves the sum and stays in n
    assert got["delta3"] == 0
    assert set(metrics.dfv_metrics(np.ones((4, 4)), np.zeros((4, 4))).values()) == {0.0}


@pytest.mark.parametrize(
    ("error", "golden"),
    [
        (0.001 * COLUMNS**2, 1.04375),
        (0.001 * COLUMNS * ROWS, 0.828238),
        (0.001 * COLUMNS, 0.0125),
        (0.01 * ((ROWS == 12) & (COLUMNS == 16)), 0.0128010),
    ],
)
def test_bumpiness_golden_values(error, golden):
    assert metrics.bumpiness(1 + error, np.ones_like(error)) == pytest.approx(golden, rel=1e-5)
    assert metrics.bumpiness(1 + error.T, np.ones_like(error.T)) == pytest.approx(golden, rel=1e-5)


def test_bumpiness_against_scipy_and_clip():
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(3)
    error = rng.normal(0, 0.02, (20, 25))
    across = np.outer([3, 10, 3], [1, 0, -1]) / 16

    def derive(image, kernel):
        return signal.convolve2d(np.pad(image, 1, mode="symmetric"), kernel, mode="valid")

    dx, dy = derive(error, across), derive(error, across.T)
    parts = [derive(dx, across), derive(dx, across.T), derive(dy, across.T), derive(dy, across)]
    expected = 100 * np.minimum(np.sqrt(sum(p**2 for p in parts)), 0.05).mean()
    assert metrics.bumpiness(5 + error, np.full_like(error, 5.0)) == pytest.approx(expected, rel=1e-12)
    assert metrics.bumpiness(5 + 1e6 * error, np.full_like(error, 5.0)) == pytest.approx(5.0)


def test_bumpiness_rings_at_the_border_of_the_truth():
    truth = np.ones((24, 32))
    truth[:, 16:] = 0
    assert metrics.bumpiness(np.ones_like(truth), truth) > 0  # the error holds the prediction where truth is missing


def boundary_by_hand(prediction, truth, mask):
    """Depth Pro's score pair by pair: four directions, ten thresholds, only pairs that are both valid."""
    height, width = truth.shape
    total = weight = 0.0
    for k in range(10):
        threshold = 1.05 + 0.2 * k / 9
        precision = recall = 0.0
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            both = predicted = true = 0
            for y in range(height):
                for x in range(width):
                    v, u = y + dy, x + dx
                    if not (0 <= v < height and 0 <= u < width and mask[y, x] and mask[v, u]):
                        continue
                    here, there = (max(m[y, x], 1e-6) / max(m[v, u], 1e-6) > threshold for m in (prediction, truth))
                    both, predicted, true = both + (here and there), predicted + here, true + there
            precision += both / max(predicted, 1) / 4
            recall += both / max(true, 1) / 4
        total += threshold * (2 * precision * recall / (precision + recall) if precision + recall else 0)
        weight += threshold
    return total / weight


def test_boundary_f1_equals_the_plain_loops():
    prediction, truth, mask = random_maps(4)
    truth = np.where(np.arange(17) < 8, 1.0, 1.5) * np.where(np.arange(13) < 5, 1.0, 1.12)[:, None]
    prediction = truth * np.exp(np.random.default_rng(4).normal(0, 0.04, truth.shape))
    prediction[0, 0] = 0
    expected = boundary_by_hand(prediction, truth, mask)
    assert 0.2 < expected < 0.9
    assert metrics.boundary_f1(prediction, truth, mask) == pytest.approx(expected, rel=1e-12)
    assert metrics.boundary_f1(7 * prediction, truth, mask) == pytest.approx(expected, rel=1e-9)  # any scale


def test_boundary_f1_of_worked_examples():
    whole = np.ones((4, 6), bool)
    step = np.where(np.arange(6) < 3, 1.0, 2.0) * np.ones((4, 1))
    assert metrics.boundary_f1(step, step, whole) == pytest.approx(0.25)  # edges in one direction of four
    assert metrics.boundary_f1(np.ones((4, 6)), step, whole) == 0
    blind = whole.copy()
    blind[:, 3] = False  # the edge lies between a valid and an invalid column
    assert metrics.boundary_f1(step, step, blind) == 0


def test_fossa_metrics_equal_the_plain_sums():
    prediction, truth, mask = random_maps(5)
    pairs = [(y, t) for y, t, m in zip(prediction.flat, truth.flat, mask.flat, strict=True) if m]
    g = [math.log(y) - math.log(t) for y, t in pairs]
    n = len(pairs)
    got = metrics.fossa_metrics(prediction, truth, mask)
    assert metrics.depth_metrics(prediction, truth, mask).items() <= got.items()
    for name, ratio in (("d1_05", 1.05), ("d1_15", 1.15), ("delta1", 1.25), ("delta2", 1.25**2)):
        assert got[name] == pytest.approx(sum(max(y / t, t / y) < ratio for y, t in pairs) / n)
    assert 0 < got["d1_05"] < got["d1_15"] < got["delta1"] < 1
    assert got["log10"] == pytest.approx(sum(abs(math.log10(y) - math.log10(t)) for y, t in pairs) / n)
    assert got["silog"] == pytest.approx(math.sqrt(sum(x * x for x in g) / n - 0.5 * (sum(g) / n) ** 2))
    assert got["boundary_f1"] == pytest.approx(boundary_by_hand(prediction, truth, mask))


def test_fossa_metrics_of_truth_times_a_constant():
    _, truth, mask = random_maps(6)
    got = metrics.fossa_metrics(1.1 * truth, truth, mask)
    assert (got["d1_05"], got["d1_15"], got["delta1"]) == (0, 1, 1)
    assert got["log10"] == pytest.approx(math.log10(1.1)) and got["abs_rel"] == pytest.approx(0.1)
    assert got["silog"] == pytest.approx(math.log(1.1) * math.sqrt(0.5))
    assert got["boundary_f1"] == pytest.approx(1) == metrics.boundary_f1(truth, truth, mask)
    got = metrics.fossa_metrics(np.where(mask, 0, truth), truth, mask)
    assert math.isnan(got["log10"]) and math.isnan(got["silog"]) and got["d1_15"] == 0


def test_correlation_and_simple_errors():
    prediction, truth, mask = random_maps(2)
    expected = np.corrcoef(prediction[mask], truth[mask])[0, 1]
    assert metrics.correlation(prediction, truth, mask) == pytest.approx(expected)
    assert metrics.correlation(3 - 2 * truth, truth, mask) == pytest.approx(-1)
    for constant in (1.0, 0.1, 0.3, 333.3):  # rounding must not make something of nothing
        assert math.isnan(metrics.correlation(np.full_like(truth, constant), truth, mask))
    assert metrics.mean_absolute_error(truth + 0.5, truth, mask) == pytest.approx(0.5)
    assert metrics.root_mean_square_error(truth - 2, truth, mask) == pytest.approx(2)


def test_right_is_below_half_a_plane_spacing():
    assert metrics.is_right(np.array([0, 0.12, 0.125, 0.2]), 5).tolist() == [True, True, False, False]
    assert metrics.is_right(np.array([[0.49, 0.51]]), 2).tolist() == [[True, False]]


def test_calibration_error():
    confidence = np.array([0.05] * 10 + [0.95] * 10)
    correct = np.array([False] * 10 + [True] * 10)
    assert metrics.expected_calibration_error(confidence, correct, bins=10) == pytest.approx(0.05)
    assert metrics.expected_calibration_error(confidence, ~correct, bins=10) == pytest.approx(0.95)
    assert metrics.expected_calibration_error([1.0, 0.0], [True, False]) == 0
    rng = np.random.default_rng(0)
    confidence = rng.random(200_000)
    assert metrics.expected_calibration_error(confidence, rng.random(200_000) < confidence) < 0.01


def test_error_by_confidence_has_equal_counts_and_ignores_order():
    confidence = np.arange(40) / 40
    error = np.arange(40)[::-1].astype(float)
    expected = error.reshape(10, 4).mean(axis=1)
    np.testing.assert_allclose(metrics.error_by_confidence(confidence, error), expected)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(metrics.error_by_confidence(confidence[order], error[order]), expected)
    np.testing.assert_allclose(metrics.error_by_confidence(np.ones(40), error), error.mean())  # ties share their mean
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        metrics.error_by_confidence([1.5], [0.0])


def test_sparsification_error_is_zero_for_the_best_order_only():
    error = np.random.default_rng(0).random(1000)
    assert metrics.sparsification_error(1 - error, error) == pytest.approx(0)
    assert metrics.sparsification_error(error, error) > 0.5
    assert math.isnan(metrics.sparsification_error(error, np.zeros(1000)))


def test_sparsification_error_of_a_worked_example_and_of_ties():
    error = np.array([4.0, 3.0, 2.0, 1.0])
    confidence = np.array([0.9, 0.1, 0.2, 0.3])  # the worst pixel is the most confident one
    kept_by_confidence = np.array([4.0, (4 + 1) / 2, (4 + 1 + 2) / 3, 10 / 4])
    kept_by_error = np.array([1.0, (1 + 2) / 2, (1 + 2 + 3) / 3, 10 / 4])
    expected = np.mean(kept_by_confidence - kept_by_error) / 2.5
    assert metrics.sparsification_error(confidence, error, steps=4) == pytest.approx(expected)
    tied = np.full(4, 0.5)  # any order is as good: every part of it has the mean error
    expected = np.mean(2.5 - kept_by_error) / 2.5
    assert metrics.sparsification_error(tied, error, steps=4) == pytest.approx(expected)
    assert metrics.sparsification_error(tied, error[::-1], steps=4) == pytest.approx(expected)


def test_risk_coverage_counts_from_the_most_confident():
    got = metrics.risk_coverage([2, 0, 2], [6.0, 0.0, 1.0], steps=4)  # levels of increasing confidence
    np.testing.assert_allclose(got, [0.5, 0.5, (1 + 3) / 3, 7 / 4])
    with pytest.raises(ValueError, match="no pixels"):
        metrics.risk_coverage([0, 0], [0, 0])


@pytest.mark.parametrize("mask", [np.ones(13, bool), np.ones((13, 5), bool), np.ones((13, 17))])
def test_bumpiness_names_a_wrong_mask(mask):
    prediction, truth, _ = random_maps()
    with pytest.raises(ValueError, match=r"the mask must be bool of shape \(13, 17\)"):
        metrics.bumpiness(prediction, truth, mask)


@pytest.mark.parametrize("mean", [metrics.mean_absolute_error, metrics.root_mean_square_error])
@pytest.mark.parametrize(
    "weight", [np.ones((13, 5)), np.zeros((13, 17)), -np.ones((13, 17)), np.full((13, 17), np.nan)]
)
def test_weights_that_are_none_are_refused(mean, weight):
    prediction, truth, mask = random_maps()
    with pytest.raises(ValueError, match="weight"):
        mean(prediction, truth, mask, weight)
