"""`dualfocus bench`: what is timed, in which order, and what the report says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dualfocus.benchmarks.timing import machine, speed, speed_report, stages, stream, variants
from dualfocus.commands import bench as command
from dualfocus.inference.torch_model import describe_model


def test_speed_stack():
    stack = speed.make_stack(5, 24, 32)
    assert len(stack) == 5 and stack.size == (24, 32) and stack.dtype == np.uint8
    np.testing.assert_array_equal(stack[2], speed.make_stack(5, 24, 32)[2])
    detail = [np.abs(np.diff(stack[n].astype(float), axis=1)).mean(axis=(0, 2)) for n in range(5)]
    assert detail[0][:4].mean() > detail[4][:4].mean() and detail[4][-4:].mean() > detail[0][-4:].mean()


def test_combinations_that_exist():
    names, backends = ["dualfocus-s", "dfv", "classical"], ["eager", "compile", "onnx"]
    found = variants.variants(names, backends, ["fp32", "bf16", "int8"])
    assert [variant.label for variant in found] == [
        "dualfocus-s",
        "dualfocus-s bf16",
        "dualfocus-s compile",
        "dualfocus-s compile bf16",
        "dualfocus-s onnx",
        "dualfocus-s onnx int8",
        "dfv",
        "dfv bf16",
        "classical",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([], ["eager"], ["fp32"]), "at least one model"),
        ((["dfv", "dfv"], ["eager"], ["fp32"]), "a model is named twice"),
        ((["dfv"], ["tensorrt"], ["fp32"]), "backend: tensorrt; choose of compile, eager, onnx"),
        ((["dfv"], ["eager"], ["fp4"]), "precision: fp4"),
        ((["dfv"], ["onnx"], ["fp32"]), "no model of dfv runs on onnx"),
        ((["classical"], ["eager"], ["bf16"]), "no model of classical runs on eager in bf16"),
    ],
)
def test_bad_combinations(arguments, words):
    with pytest.raises(ValueError, match=words):
        variants.variants(*arguments)


def test_peak_memory_counts_what_was_allocated():
    if machine.peak_memory_mib() is None:
        pytest.skip("this system does not tell")
    code = (  # a new process, which has not been larger than it is
        "import numpy as np; from dualfocus.benchmarks.timing.machine import peak_memory_mib as peak; before = peak()\n"
        "block = np.ones(64 * 2**17); print(peak() - before)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(speed.__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert 55 < float(done.stdout) < 80  # of 64 MiB


def test_pace_is_relative_to_the_first_setting():
    def setting(planes, height, width, seconds):
        return {"planes": planes, "height": height, "width": width, "variants": {"dualfocus-s": {"median_s": seconds}}}

    settings = [setting(5, 480, 640, 0.384), setting(2, 1000, 2000, 1.5), setting(2, 96, 125, 0.012)]
    _, table = speed_report.pace_to_markdown(settings)
    assert table.splitlines()[2:] == [
        "| 5 | 480 x 640 | 250 (1.00) |",
        "| 2 | 1000 x 2000 | 375 (1.50) |",
        "| 2 | 96 x 125 | 500 (2.00; 12 ms) |",
    ]
    assert speed_report.pace_to_markdown(settings[:1]) == []


def test_times_interleave_and_rotate():
    order = []

    class Timed:
        def __init__(self, name):
            self.name = name

        def run(self, stack):
            order.append(self.name)

    times = speed._interleaved_times({name: Timed(name) for name in "ab"}, None, 3)
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3}
    assert order[2:] == ["a", "b", "b", "a", "a", "b"]


def test_a_bad_folder_is_refused_before_timing(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "Timed", lambda *_: pytest.fail("loaded all the same"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match="is a file, not a folder"):
        speed.bench(speed.SpeedOptions(["classical"]), tmp_path / "file")


def test_the_report_of_two_models_and_two_backends(tmp_path):
    options = speed.SpeedOptions(
        ["dualfocus-s", "classical"],
        planes=[3],
        sizes=[(48, 64)],
        backends=["eager", "onnx"],
        repeats=2,
        device="cpu",
        stages=True,
    )
    report = speed.bench(options, tmp_path)
    assert report["device"] == "cpu" and report["gpu"] is None
    (setting,) = report["settings"]
    assert (setting["planes"], setting["height"], setting["width"]) == (3, 48, 64)
    rows = setting["variants"]
    assert list(rows) == ["dualfocus-s", "dualfocus-s onnx", "classical"]
    for row in rows.values():
        assert row["min_s"] <= row["median_s"] <= row["max_s"] and len(row["times_s"]) == 2
        assert row["peak_mib"] is None or row["peak_mib"] > row["loaded_mib"] - 1 > 20
        assert list(row["stages"]) == list(stages.STAGES) and row["stages"]["reading"] > 0 < row["stages"]["writing"]
    assert rows["dualfocus-s"]["ratio"] == 1 and rows["dualfocus-s"]["parameters"] > 1e6
    assert rows["dualfocus-s"]["gflop"] == describe_model("dualfocus-s", 3, (48, 64))["gflop"] > 0
    assert rows["classical"]["gflop"] is None
    assert rows["dualfocus-s"]["stages"]["projection"] > 0 < rows["dualfocus-s"]["stages"]["encoder"]
    assert (
        rows["dualfocus-s onnx"]["stages"]["projection"] == 0 < rows["dualfocus-s onnx"]["stages"]["rest of the model"]
    )
    assert rows["dualfocus-s onnx"]["loaded_mib"] < rows["dualfocus-s"]["loaded_mib"]
    assert json.loads((tmp_path / "speed.json").read_text()) == report
    table = (tmp_path / "speed.md").read_text()
    assert "3 planes of 48 x 64:" in table and "| dualfocus-s onnx |" in table and " % |" in table
    ours, others = table.split("**not comparable with the figures above**")
    assert "HybridDepth" not in ours and "| DFV | focal stack | 15.50 | 175 | 0.007 |" in others


def test_stage_clock_counts_nested_calls_once(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 7.0])  # outer begins, inner begins, inner ends, outer ends
    monkeypatch.setattr(stages.time, "perf_counter", lambda: next(now))
    clock = stages.StageClock()
    inner = clock.timed("reading", lambda: None)
    clock.timed("fusion", inner)()
    assert clock.seconds["reading"] == 2 and clock.seconds["fusion"] == 1 + 4


def test_streaming_is_cheaper():
    found = stream.measure(window=3, height=48, width=64, repeats=1, device="cpu")
    assert found["push_gflop"] < 0.8 * found["predict_gflop"] and found["push_s"] > 0
    assert "window of 3 planes of 48 x 64 on cpu" in stream.to_text(found)
    with pytest.raises(ValueError, match="repeats"):
        stream.measure(repeats=0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: command._numbers("5,one"), "--planes 5,one"),
        (lambda: command._numbers("1"), "at least 2"),
        (lambda: command._sizes("480"), "height x width"),
        (lambda: command._sizes("480x8"), "at least 16"),
        (lambda: command.streaming_gain("5,6", "48x64", 1, "cpu"), "one number of planes"),
    ],
)
def test_bad_lists(call, words):
    with pytest.raises(ValueError, match=words):
        call()
    assert command._sizes("480x640, 96X128") == [(480, 640), (96, 128)] and command._numbers("2, 5") == [2, 5]
