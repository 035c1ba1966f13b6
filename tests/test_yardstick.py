"""One prediction under a protocol: its figures in the protocol's space, empty masks, and where the errors are."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dualfocus import metrics
from dualfocus.benchmarks.evaluation.evaluator import ALL_COLUMNS, summarise
from dualfocus.benchmarks.evaluation.measure import COLUMNS, Yardstick
from dualfocus.benchmarks.evaluation.records import ModelRecord
from dualfocus.benchmarks.evaluation.slices import SLICES, SliceSums, edge_distance
from dualfocus.benchmarks.protocols import PROTOCOLS
from dualfocus.datasets import Sample
from dualfocus.datasets.ddff12 import DISPARITY_M
from dualfocus.stack import FocalStack

HEIGHT, WIDTH = 24, 32
TRUTH = np.broadcast_to(np.linspace(1.1, 1.9, WIDTH, dtype=np.float32), (HEIGHT, WIDTH)).copy()
TRUTH[:10] = 3.5
DFV, HYBRIDDEPTH = PROTOCOLS["ddff12/dfv-n5"], PROTOCOLS["ddff12/hybriddepth-n5"]


def answer(depth, confidence=0.5):
    shape = depth.shape
    confidence = np.broadcast_to(np.asarray(confidence, np.float32), shape)
    return SimpleNamespace(
        depth=depth.astype(np.float32),
        valid=np.ones(shape, bool),
        confidence=confidence,
        std=np.full(shape, 0.1, np.float32),
        unit="m",
    )


def dioptre_sample(mask):
    return Sample("a", FocalStack(np.zeros((3, HEIGHT, WIDTH), np.uint8), [1, 0.5, 0.25], "dioptre"), TRUTH, mask)


def test_errors_of_disparity():
    rng = np.random.default_rng(0)
    mask = rng.random(TRUTH.shape) > 0.2
    depth = TRUTH * np.exp(rng.normal(0, 0.2, TRUTH.shape))
    depth[0, 0], mask[0, 0] = np.inf, False
    padded = np.pad(depth, ((0, 8), (0, 0)), constant_values=2.0)  # 24 rows become 32, as DFV pads
    got = Yardstick(dioptre_sample(mask), DFV).measure(answer(padded)).figures
    disparity = DISPARITY_M / np.where(np.isinf(depth), 4, depth).astype(np.float32).astype(float)
    truth = np.where(mask, DISPARITY_M / TRUTH.astype(float), 0)
    expected = metrics.dfv_metrics(disparity, truth)
    for name in ("mse", "rmse", "log_rms", "abs_rel", "sq_rel", "bump"):
        assert got[name] == pytest.approx(expected[name], rel=1e-6), name
    for name in ("delta1", "delta2", "badpix"):
        assert got[name] == pytest.approx(expected[name] / 100), name
    spread = DISPARITY_M * 0.1 / np.where(np.isinf(padded), np.inf, padded) ** 2
    assert got["avg_unc"] == pytest.approx(spread.mean(), rel=1e-5)  # the padding counts
    masked = Yardstick(dioptre_sample(mask), HYBRIDDEPTH).measure(answer(padded)).figures
    counted = mask & (DISPARITY_M / TRUTH > 0.02) & (DISPARITY_M / TRUTH < 0.28)
    assert masked["delta1"] == pytest.approx(metrics.depth_metrics(disparity, truth + ~mask, counted)["delta1"])


def test_an_image_without_truth_enters_the_mean_of_dfv_alone(tmp_path):
    empty, whole = np.zeros(TRUTH.shape, bool), np.ones(TRUTH.shape, bool)
    means = {}
    for protocol in (DFV, HYBRIDDEPTH, replace(DFV, metric_set="masked")):
        record = ModelRecord(tmp_path / f"{protocol.name}-{protocol.metric_set}", ALL_COLUMNS)
        for name, mask in (("empty", empty), ("whole", whole)):
            measured = Yardstick(dioptre_sample(mask), protocol).measure(answer(1.1 * TRUTH))
            assert set(measured.figures) == set(COLUMNS)
            record.add(name, {**measured.figures, "seconds": 1.0}, measured.histogram, measured.slices)
        assert record.rows["whole"]["abs_rel"] == pytest.approx(1 - 1 / 1.1, rel=1e-5)
        if protocol is DFV:
            assert all(record.rows["empty"][name] == 0 for name in ("mse", "rmse", "log_rms", "delta1", "bump"))
        else:
            assert math.isnan(record.rows["empty"]["rmse"]) and math.isnan(record.rows["empty"]["delta1"])
        assert math.isnan(record.rows["empty"]["inside"]) and math.isnan(record.rows["empty"]["ause"])
        means[protocol.name, protocol.metric_set] = summarise(record, ["empty", "whole"])["mean"]["delta1"]
    assert list(means.values()) == [0.5, 1, 1]


def test_confidence_in_the_order_of_the_errors_has_no_ause():
    depth = TRUTH * np.linspace(1, 1.3, HEIGHT)[:, None]
    sample = dioptre_sample(np.ones(TRUTH.shape, bool))
    error = Yardstick(sample).coordinate_error(depth)
    best = Yardstick(sample).measure(answer(depth, 1 - error / error.max()))
    assert best.figures["ause"] == pytest.approx(0, abs=1e-3)
    worst = Yardstick(sample).measure(answer(depth, error / error.max()))
    assert worst.figures["ause"] > 0.5
    assert best.figures["ause"] == pytest.approx(
        metrics.sparsification_error((1 - error / error.max()).astype(np.float32), error), abs=1e-3
    )


def test_slices_against_loops():
    rng = np.random.default_rng(0)
    truth = TRUTH
    image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    camera = {"focal_length_mm": 50, "f_number": 8, "sensor_width_mm": 6.4}
    stack = FocalStack(np.zeros((3, HEIGHT, WIDTH), np.uint8), [1, 2, 4], camera=camera)
    mask = rng.random(truth.shape) > 0.2
    sample = Sample("a", stack, truth, mask, image)
    depth = (truth * np.exp(rng.normal(0, 0.1, truth.shape))).astype(np.float32)
    confidence = rng.random(truth.shape).astype(np.float32)
    result = SimpleNamespace(depth=depth, valid=mask, confidence=confidence, std=depth, unit="m")
    got = Yardstick(sample).measure(result).slices.table()
    assert set(got) == {"texture", "edge", "blur", "blur_change", "place"}
    place = (1 - 1 / truth.astype(float)) / (1 - 1 / 4)
    error = np.abs(1 / depth.astype(float) - 1 / truth) / (1 - 1 / 4)
    pitch = 6.4e-3 / WIDTH
    coc = np.abs(1 / truth.astype(float)[..., None] - 1 / np.array([1, 2, 4])) * 0.05 * 0.05 / 8 / pitch
    values = {"place": place, "blur": coc.min(axis=2), "blur_change": coc.max(axis=2) - coc.min(axis=2)}
    for name, value in values.items():
        bounds = [-np.inf, *SLICES[name].bounds, np.inf]
        for group, low, high in zip(got[name], bounds, bounds[1:], strict=False):
            there = mask & (value >= low) & (value < high)
            assert group["pixels"] == there.sum()
            if there.any():
                assert group["plane_mae"] == pytest.approx(2 * error[there].mean())
                assert group["range_rmse"] == pytest.approx(np.sqrt(np.mean(error[there] ** 2)))
                assert group["within_half_plane"] == pytest.approx(np.mean(error[there] < 0.25))
                assert group["confidence"] == pytest.approx(confidence[there].mean())
    plain = Sample("a", FocalStack(np.zeros((3, HEIGHT, WIDTH), np.uint8), [1, 2, 4]), truth, mask)
    without_camera = Yardstick(plain).measure(result).slices.table()
    assert set(without_camera) == {"texture", "edge", "plane_distance", "place"}
    pooled = SliceSums()
    for _ in range(2):
        pooled.merge(Yardstick(sample).measure(result).slices)
    assert pooled.table()["edge"][0]["pixels"] == 2 * got["edge"][0]["pixels"]
    assert pooled.table()["edge"][0]["plane_mae"] == pytest.approx(got["edge"][0]["plane_mae"])


def test_distance_to_depth_edges():
    place = np.zeros((5, 20))
    place[:, 10:] = 0.06
    expected = np.abs(np.arange(20) - 9.5) - 0.5  # both sides of the step are at 0
    np.testing.assert_allclose(edge_distance(place, np.ones(place.shape, bool))[2], expected, atol=1e-3)
    known = np.ones(place.shape, bool)
    known[:, 10] = False  # the step lies at a pixel that nobody knows
    assert np.isinf(edge_distance(place, known)).all()
    place[:, 10:] = 0.04
    assert np.isinf(edge_distance(place, np.ones(place.shape, bool))).all()
