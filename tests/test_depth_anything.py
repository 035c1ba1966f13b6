"""Depth Anything through the real loading code, with a small network of random weights saved to a folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dualfocus import FocalStack, load_model
from dualfocus.baselines.scale_shift import fit_scale_shift
from dualfocus.cli import main
from dualfocus.datasets import Sample
from dualfocus.inference.shipped import DEMO_STACK

transformers = pytest.importorskip("transformers")


def save_tiny(folder: Path, kind: str) -> Path:
    """A Depth Anything of a few thousand weights, as `save_pretrained` leaves it."""
    torch.manual_seed(0)
    backbone = transformers.Dinov2Config(
        image_size=56, patch_size=14, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2,
        out_indices=[1, 2, 3, 4], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8, depth_estimation_type=kind, max_depth=20 if kind == "metric" else 1,
    )  # fmt: skip
    network = transformers.DepthAnythingForDepthEstimation(config)
    with torch.no_grad():
        network.head.conv3.weight *= 50  # otherwise nearly constant
        network.head.conv3.bias += 0.0 if kind == "metric" else 5.0
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def relative(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("weights") / "relative", "relative")


@pytest.fixture(scope="module")
def metric(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("weights") / "metric", "metric")


def sample(seed: int = 0, unit: str = "m") -> Sample:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 255, (3, 48, 64, 3), np.uint8)
    distances = None if unit == "index" else [1.0, 2.0, 4.0]
    truth = rng.uniform(1, 4, (48, 64)).astype(np.float32)
    return Sample(
        "one", FocalStack(images, distances, unit), truth, truth > 1.2, rng.integers(0, 255, (48, 64, 3), np.uint8)
    )


def test_a_metric_model_gives_the_metres_that_transformers_computes(metric):
    given = sample()
    result = load_model(f"depth-anything:{metric}", device="cpu").predict_sample(given)
    network = transformers.DepthAnythingForDepthEstimation.from_pretrained(metric).eval()
    model = load_model(f"depth-anything:{metric}", device="cpu")
    assert model.input_size((48, 64)) == (56, 70) and model.input_size((384, 512)) == (56, 70)  # 74.7 is nearer 70
    small = cv2.resize(given.all_in_focus, (70, 56), interpolation=cv2.INTER_CUBIC) / 255
    pixels = (small - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        expected = network(torch.tensor(pixels.transpose(2, 0, 1)[None], dtype=torch.float32)).predicted_depth
    corners = expected[0, [0, 0, -1, -1], [0, -1, 0, -1]].numpy()  # corners stay where they are
    np.testing.assert_allclose(result.depth[[0, 0, -1, -1], [0, -1, 0, -1]], corners, rtol=1e-4)
    assert result.unit == "m" and result.valid.all() and 0 < result.depth.min() < result.depth.max() < 20
    assert np.isnan(result.confidence).all() and np.isnan(result.std).all()
    assert any("all-in-focus image of the data set" in warning for warning in result.warnings)
    assert not any("not aligned" in warning for warning in result.warnings)


def test_units_of_a_metric_model(metric):
    model = load_model(f"depth-anything:{metric}", device="cpu")
    metres, millimetres, dioptres = (model.predict_sample(sample(unit=unit)) for unit in ("m", "mm", "dioptre"))
    np.testing.assert_allclose(millimetres.depth, 1000 * metres.depth, rtol=1e-6)
    np.testing.assert_array_equal(dioptres.depth, metres.depth)
    with pytest.raises(ValueError, match="a stack in 'index' has no place"):
        model.predict_sample(sample(unit="index"))


def test_a_relative_model_says_that_it_was_not_aligned(relative):
    model = load_model(f"depth-anything:{relative}", device="cpu")
    given = sample()
    result = model.predict_sample(given)
    inverse = model.inverse_depth(given.all_in_focus)
    assert (inverse > 0).any()
    np.testing.assert_allclose(result.depth[inverse > 0], 1 / inverse[inverse > 0], rtol=1e-6)
    np.testing.assert_array_equal(result.valid, inverse > 0)
    assert any("relative depth that was not aligned" in warning for warning in result.warnings)


def test_a_stack_alone_is_composed_first(relative, tiny_stack_folder):
    from dualfocus import load_stack

    stack = load_stack(tiny_stack_folder)
    model = load_model(f"depth-anything:{relative}", device="cpu")
    result = model.predict(stack)
    np.testing.assert_array_equal(result.all_in_focus, load_model("classical").predict(stack).all_in_focus)
    again = model.predict(stack)
    np.testing.assert_array_equal(result.depth, again.depth)
    assert result.images == stack.names
    assert any("`classical` composes" in warning for warning in result.warnings)


def test_what_a_stack_knows_of_itself_is_kept(relative, tiny_stack_folder):
    from dualfocus import FocalStack, align, load_stack

    stack = load_stack(tiny_stack_folder)
    shifted = [np.roll(image.astype(np.uint16) * 257, 3 * n, axis=1) for n, image in enumerate(stack)]
    aligned = align(FocalStack(shifted, range(1, len(shifted) + 1), "m"), motion="translation")
    result = load_model(f"depth-anything:{relative}", device="cpu").predict(aligned)
    assert aligned.common_region is not None and not aligned.common_region.all()
    assert not (result.valid & ~aligned.common_region).any()
    assert result.alignment == aligned.alignment and result.alignment
    assert result.all_in_focus.dtype == np.uint16


def test_alignment_to_the_truth_finds_a_line_in_inverse_depth(relative):
    model = load_model(f"depth-anything-aligned:{relative}", device="cpu")
    given = sample()
    inverse = model.inverse_depth(given.all_in_focus)
    truth = (1 / (0.25 + 0.01 * inverse)).astype(np.float32)
    aligned = model.predict_sample(Sample("one", given.stack, truth, given.mask, given.all_in_focus))
    np.testing.assert_allclose(aligned.depth[given.mask], truth[given.mask], rtol=1e-4)
    assert any("aligned to the truth" in warning for warning in aligned.warnings)
    with pytest.raises(ValueError, match="which only `evaluate` has"):
        model.predict(given.stack)


def test_the_evaluator_measures_it_and_its_alignment_helps(relative, tmp_path, capsys):
    names = [f"depth-anything:{relative}", f"depth-anything-aligned:{relative}"]
    data = ["--protocol", "stacks", "--data", str(DEMO_STACK)]
    assert main(["evaluate", *names, *data, "--device", "cpu", "-o", str(tmp_path / "out")]) == 0
    models = json.loads((tmp_path / "out" / "summary.json").read_text())["models"]
    plain, aligned = (models[name]["mean"] for name in names)
    truth = np.load(DEMO_STACK / "ground_truth.npy").astype(float)
    assert aligned["rmse"] < 1.2 * truth.std() and aligned["rmse"] < plain["rmse"]
    assert {models[name]["weights"] for name in names} != {"none"}
    assert models[names[0]]["calibration_error"] is None and plain["confidence"] is None  # none is made up


def test_weights_that_cannot_be_had_are_one_line(relative, metric, tmp_path):
    def refused(name: str, words: str) -> None:
        with pytest.raises(ValueError, match=words) as caught:
            load_model(name, device="cpu")
        assert "\n" not in str(caught.value)

    refused("depth-anything", "needs a model")
    refused(f"depth-anything:{tmp_path / 'nothing'}", "no such folder of weights")
    (tmp_path / "empty").mkdir()
    refused(f"depth-anything:{tmp_path / 'empty'}", "missing or damaged")
    other = shutil.copytree(relative, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "model_type": "dinov2"}))
    refused(f"depth-anything:{other}", "is a dinov2 model")
    broken = shutil.copytree(relative, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"not weights")
    refused(f"depth-anything:{broken}", "missing or damaged")
    lacking = shutil.copytree(relative, tmp_path / "lacking")
    from safetensors.torch import load_file, save_file

    tensors = load_file(lacking / "model.safetensors")
    tensors.pop("head.conv3.weight")
    save_file(tensors, lacking / "model.safetensors", metadata={"format": "pt"})
    refused(f"depth-anything:{lacking}", "1 weights are missing from its file, first head.conv3.weight")
    refused(f"depth-anything-aligned:{metric}", "is a metric model")


def test_a_hub_out_of_reach_is_one_line_on_the_command_line(tiny_stack_folder, tmp_path):
    command = ["predict", tiny_stack_folder, "-o", tmp_path / "out", "-m", "depth-anything:nobody/no-such-model"]
    run = subprocess.run(
        [sys.executable, "-m", "dualfocus", *map(str, command)],
        capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert run.returncode == 2 and not (tmp_path / "out").exists()
    assert "cannot be had: no such folder, and no hub within reach" in run.stderr
    assert "Traceback" not in run.stderr and len(run.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_the_fit_is_least_squares(weighted):
    rng = np.random.default_rng(0)
    x, y = rng.normal(5, 0.1, (20, 30)), rng.normal(-2, 3, (20, 30))
    w = rng.uniform(0, 1, (20, 30)) if weighted else None
    root = np.ones(600) if w is None else np.sqrt(w.ravel())
    columns = np.stack([x.ravel(), np.ones(600)], axis=1)
    expected = np.linalg.lstsq(root[:, None] * columns, root * y.ravel(), rcond=None)[0]
    np.testing.assert_allclose(fit_scale_shift(x, y, w), expected, rtol=1e-9)
    x[0, 0], y[1, 1] = np.nan, np.inf  # leave two pixels out
    keep = (np.isfinite(x) & np.isfinite(y)).ravel()
    expected = np.linalg.lstsq(
        (root[:, None] * columns)[keep], (root * np.where(keep, y.ravel(), 0))[keep], rcond=None
    )[0]
    np.testing.assert_allclose(fit_scale_shift(x, y, w), expected, rtol=1e-9)


def test_the_fit_of_a_constant_has_no_scale():
    assert fit_scale_shift(np.full((3, 4), 0.1), np.arange(12.0).reshape(3, 4)) == (0.0, 5.5)
    with pytest.raises(ValueError, match="no pixel"):
        fit_scale_shift(np.full((2, 2), np.nan), np.ones((2, 2)))
