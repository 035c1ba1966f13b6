"""What the protocols do to images, ranges and means: padding, coordinates, leaks."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from known_predictions import BF

from dualfocus import cli
from dualfocus.benchmarks.evaluation.measure import Yardstick
from dualfocus.benchmarks.protocols import PROTOCOLS, open_dataset
from dualfocus.benchmarks.protocols.catalogue import FIXED_DISTANCES_M
from dualfocus.benchmarks.protocols.protocol import Range
from dualfocus.datasets import Ddff12, Sample
from dualfocus.inference.torch_model import load_torch_model
from dualfocus.stack import FocalStack


def test_ddff12_is_padded_as_dfv_does_and_cut_back(benchmark_data):
    protocol = PROTOCOLS["ddff12/dfv-n5"]
    sample = Ddff12(benchmark_data("ddff12"), planes=5)[0]
    padded = protocol.padded(sample.stack)
    assert padded.size == (384, 576) and padded.unit == "dioptre"
    np.testing.assert_array_equal(padded[2][:383, :552], sample.stack[2])
    np.testing.assert_array_equal(padded[2][383, :552], sample.stack[2][381])  # reflected about the last row
    np.testing.assert_array_equal(padded[2][:383, 552:], sample.stack[2][:, 550:526:-1])
    depth = np.full((384, 576), 3.0)
    depth[383], depth[:, 552:] = 99, 99
    compared = protocol.compare(sample, depth)
    assert compared.prediction.shape == (383, 552)
    np.testing.assert_allclose(compared.prediction, BF / 3)
    np.testing.assert_allclose(compared.truth[compared.mask], BF / sample.truth[sample.mask], rtol=1e-6)
    assert not compared.truth[~compared.mask].any()


def test_stereo_sets_are_padded_with_black(benchmark_data):
    protocol = PROTOCOLS["middlebury/aif-n15"]
    sample = open_dataset(protocol, benchmark_data("middlebury"))[0]
    padded = protocol.padded(sample.stack)
    assert sample.stack.size == (277, 347) and padded.size == (288, 352)
    np.testing.assert_array_equal(padded[7][:277, :347], sample.stack[7])
    assert not padded[7][277:].any() and not padded[7][:, 347:].any()


def test_a_model_under_a_padding_protocol(benchmark_data, tmp_path):
    data = benchmark_data("ddff12")
    command = ["evaluate", "classical", "--protocol", "ddff12/dfv-n5", "--data", str(data), "--limit", "1"]
    assert cli.main([*command, "-o", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "summary.json").read_text())["models"]["classical"]["mean"]
    protocol, sample = PROTOCOLS["ddff12/dfv-n5"], Ddff12(data, planes=5)[0]
    result = load_torch_model("classical").predict(protocol.padded(sample.stack))
    disparity = BF / result.depth.astype(np.float64)
    truth = np.divide(BF, sample.truth, out=np.zeros(sample.truth.shape), where=sample.mask)
    error = (disparity[:383, :552] - truth)[sample.mask]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)
    spread = BF * result.std / result.depth.astype(np.float64) ** 2  # over the padding too
    assert found["avg_unc"] == pytest.approx(spread.mean(), rel=1e-4)
    assert 0 < found["avg_unc"] < 0.1


def test_ranges_and_spaces():
    ends = np.array([0.1, 0.5, 1.5])
    assert Range(0.1, 1.5).holds(ends).tolist() == [False, True, False]
    assert Range(0.1, 1.5, closed=True).holds(ends).all()
    carried = 1 / (1 / ends).astype(np.float32).astype(np.float64)  # as truth in single precision comes back
    assert (carried > ends).any() or (carried < ends).any()
    assert Range(0.1, 1.5).holds(carried).tolist() == [False, True, False]
    assert Range(0.1, 1.5, closed=True).holds(carried).all()
    dioptres = replace(PROTOCOLS["stacks"], inverse=1.0)
    np.testing.assert_array_equal(dioptres.carried(np.array([0.5, 4, np.inf])), [2, 0.25, 0])
    np.testing.assert_allclose(dioptres.carried_std(np.array([0.5, 4]), np.array([0.01, 0.1])), [0.04, 0.1 / 16])


def test_an_image_without_truth_counts_as_zeros_for_dfv_alone():
    stack = FocalStack(np.zeros((3, 8, 9), np.uint8), [2, 1, 0.5], "dioptre")
    nothing = np.zeros((8, 9), np.float32)
    sample = Sample("a", stack, nothing, nothing > 0)
    result = SimpleNamespace(depth=nothing + 1, valid=nothing == 0, confidence=nothing, std=nothing, unit="m")
    figures = Yardstick(sample, PROTOCOLS["ddff12/dfv-n5"]).measure(result).figures
    assert figures["mse"] == figures["delta1"] == figures["bump"] == 0
    figures = Yardstick(sample, PROTOCOLS["ddff12/hybriddepth-n5"]).measure(result).figures
    assert math.isnan(figures["mse"])  # and so leaves the mean


def test_leaking_protocols_follow_each_image_and_fixed_ones_do_not(benchmark_data):
    root = benchmark_data("nyu-bts")
    leaking, fixed = (open_dataset(PROTOCOLS[f"nyu/{name}"], root) for name in ("hybriddepth-n10", "fixed-n5"))
    assert [len(leaking[0].stack), len(fixed[0].stack)] == [10, 5]
    for index in range(2):
        sample = leaking[index]
        known = sample.truth[sample.mask]
        np.testing.assert_allclose(sample.stack.focus_distances[[0, -1]], [known.min(), known.max()], rtol=1e-6)
        np.testing.assert_array_equal(fixed[index].stack.focus_distances, FIXED_DISTANCES_M)
    for name, protocol in PROTOCOLS.items():
        leaking = name.startswith(("nyu/hybriddepth", "arkitscenes", "ibims-1", "diode", "hammer"))
        assert ("leaks" in protocol.focus_range) == leaking
