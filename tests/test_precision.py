"""bfloat16: near to float32 where it is asked for, never where it is not, and said in the result."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from dualfocus import FocalStack, load_model, load_stack
from dualfocus.inference import arithmetic
from dualfocus.inference.arithmetic import choose_precision
from dualfocus.inference.shipped import DEMO_STACK


@pytest.fixture(scope="module")
def stack():
    return load_stack(DEMO_STACK)


@pytest.fixture(scope="module")
def whole(stack):
    return load_model(device="cpu").predict(stack)


@pytest.mark.parametrize("name", ["dualfocus-s", "dualfocus-xs"])
def test_bf16_is_near_to_fp32_and_not_the_same(name, stack):
    full, half = (load_model(name, device="cpu", precision=p).predict(stack) for p in ("fp32", "bf16"))
    inverse = 1 / np.asarray(stack.focus_distances)
    error = np.abs(1 / half.depth - 1 / full.depth) / np.ptp(inverse)
    assert 0 < error.mean() < 1e-3 and np.percentile(error, 99.9) < 1e-2
    assert np.abs(half.confidence - full.confidence).mean() < 5e-3
    assert (full.precision, half.precision) == ("fp32", "bf16")
    assert half.depth.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_bf16_takes_photographs_of_more_than_eight_bits(stack, dtype):
    planes = [stack[n][:64, :96] for n in range(len(stack))]
    wide = [plane.astype(dtype) * 257 if dtype is np.uint16 else plane.astype(dtype) / 255 for plane in planes]
    model = load_model(device="cpu", precision="bf16")
    plain, result = (model.predict(FocalStack(images, stack.focus_distances, "m")) for images in (planes, wide))
    spacing = np.ptp(1 / np.asarray(stack.focus_distances)) / (len(stack) - 1)
    assert result.precision == "bf16"
    assert np.abs(1 / result.depth - 1 / plain.depth).mean() < 0.05 * spacing


def test_float32_is_what_python_gets_and_classical_knows_nothing_else(stack, whole):
    assert whole.precision == "fp32"
    model = load_model("classical", device="cpu", precision="bf16")
    np.testing.assert_array_equal(
        model.predict(stack).depth, load_model("classical", device="cpu").predict(stack).depth
    )
    assert model.precision == "fp32"


@pytest.mark.parametrize("name", ["dualfocus-s", "classical"])
def test_a_callers_autocast_changes_nothing(name, stack):
    model = load_model(name, device="cpu")
    plain = model.predict(stack)
    with torch.autocast("cpu", torch.bfloat16):
        result = model.predict(stack)
    np.testing.assert_array_equal(result.depth, plain.depth)
    assert result.precision == plain.precision == "fp32"


def test_a_stream_computes_as_its_model(stack):
    planes = [stack[n] for n in range(len(stack))]
    model = load_model(device="cpu", precision="bf16")
    stream = model.stream(window=len(planes), unit="m")
    for plane, distance in zip(planes, stack.focus_distances, strict=True):
        result = stream.push(plane, float(distance))
    expected = model.predict(FocalStack(planes, list(stack.focus_distances), "m"))
    assert result.precision == "bf16"
    inverse = 1 / np.asarray(stack.focus_distances)
    assert np.percentile(np.abs(1 / result.depth - 1 / expected.depth), 99.9) < 1e-2 * np.ptp(inverse)


@pytest.mark.parametrize(("has_it", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_bf16_where_the_device_has_it(monkeypatch, has_it, chosen):
    cpu = torch.device("cpu")
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda device: has_it and device == cpu)
    assert choose_precision("auto", cpu) == chosen
    assert choose_precision("auto", torch.device("mps")) == "fp32"
    assert choose_precision("fp32", cpu) == "fp32"
    with pytest.raises(ValueError, match="precision bf16: not available on mps"):
        choose_precision("bf16", torch.device("mps"))
    with pytest.raises(ValueError, match="'half' is unknown; choose auto, fp32 or bf16"):
        load_model(device="cpu", precision="half")


def predict(*words):
    command = [sys.executable, "-m", "dualfocus", "predict", str(DEMO_STACK), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_line_takes_a_precision_and_writes_which_it_was(tmp_path, whole):
    for precision in ("fp32", "bf16"):
        done = predict("-o", tmp_path / precision, "--precision", precision, "--device", "cpu")
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / precision / "result.json").read_text())["precision"] == precision
    np.testing.assert_array_equal(np.load(tmp_path / "fp32" / "depth.npy"), whole.depth)
    assert not np.array_equal(np.load(tmp_path / "bf16" / "depth.npy"), whole.depth)
    done = predict("-o", tmp_path / "bad", "--precision", "fp8")
    assert done.returncode == 2 and "'fp8'" in done.stderr and done.stderr.strip().count("\n") == 0
    assert not (tmp_path / "bad").exists()
