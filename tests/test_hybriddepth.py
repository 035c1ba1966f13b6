"""The system in the manner of HybridDepth: global fit, refinement, replaceable relative model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dualfocus import FocalStack, load_model, load_stack
from dualfocus.baselines.baseline import Scene
from dualfocus.baselines.hybriddepth import HybridDepthStyle, align
from dualfocus.baselines.refinement import Refinement, RefinementConfig, gradient_loss, refinement_loss
from dualfocus.baselines.relative import open_relative
from dualfocus.baselines.train import train
from dualfocus.baselines.va_network import VaConfig, VaNetwork
from dualfocus.benchmarks.evaluation.systems import load_models
from dualfocus.benchmarks.protocols import find_protocol
from dualfocus.datasets import Sample, StackFolders
from dualfocus.inference.shipped import DEMO_STACK
from dualfocus.models.weights import save_weights
from dualfocus.outputs import DepthResult

CPU = torch.device("cpu")


def focused(depth: np.ndarray, confidence: np.ndarray | None = None, unit: str = "m") -> DepthResult:
    ones = np.ones(depth.shape, np.float32)
    return DepthResult(
        depth=depth.astype(np.float32), valid=ones > 0, confidence=ones if confidence is None else confidence,
        std=0.1 * ones, all_in_focus=np.zeros((*depth.shape, 3), np.uint8), unit=unit,
    )  # fmt: skip


def scene_of(stack: FocalStack, truth: np.ndarray | None = None, name: str = "one") -> Scene:
    picture = np.zeros((*stack.size, 3), np.uint8)
    sample = None if truth is None else Sample(name, stack, truth, truth > 0)
    return Scene(stack, picture, "a test", sample)


def stack_of(height: int = 24, width: int = 32, unit: str = "m") -> FocalStack:
    images = np.random.default_rng(0).integers(0, 255, (3, height, width, 3), np.uint8)
    factor = 1000 if unit == "mm" else 1
    return FocalStack(images, [0.5 * factor, 1.0 * factor, 3.0 * factor], unit)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_global_fit_is_least_squares_in_depth(weighted):
    rng = np.random.default_rng(0)
    inverse, focus = rng.uniform(0.2, 2, (24, 32)), rng.uniform(0.5, 3, (24, 32))
    weight = rng.uniform(0, 1, (24, 32)) if weighted else None
    inverse[3, 4], focus[5, 6] = 0, np.inf  # neither counts
    keep = ((inverse > 0) & np.isfinite(focus)).ravel()
    root = np.sqrt(np.ones(768) if weight is None else weight.ravel())[keep]
    source = np.divide(1, inverse, out=np.zeros_like(inverse), where=inverse > 0).ravel()
    columns = np.stack([source, np.ones(768)], axis=1)[keep]
    scale, shift = np.linalg.lstsq(root[:, None] * columns, root * focus.ravel()[keep], rcond=None)[0]
    aligned = align(inverse, focus, weight, "depth").ravel()
    np.testing.assert_allclose(aligned[inverse.ravel() > 0], (scale * source + shift)[inverse.ravel() > 0], rtol=1e-9)
    assert aligned[3 * 32 + 4] == pytest.approx(scale * source.max() + shift)  # no depth: the farthest


def test_the_global_fit_in_inverse_depth_recovers_a_line():
    inverse = np.random.default_rng(0).uniform(0.2, 2, (10, 12))
    focus = 1 / (0.4 * inverse + 0.3)
    np.testing.assert_allclose(align(inverse, focus, None, "inverse"), focus, rtol=1e-9)
    spoilt = focus.copy()
    spoilt[0] = np.inf
    np.testing.assert_allclose(align(inverse, spoilt, None, "inverse")[1:], focus[1:], rtol=1e-9)


def test_what_the_refinement_sees_is_in_metres(tmp_path):
    truth = np.random.default_rng(1).uniform(0.5, 3, (24, 32)).astype(np.float32)
    np.save(tmp_path / "one.npy", 1 / (2 * truth))  # relative depth is truth times 2: the fit must halve it
    system = HybridDepthStyle("x", RefinementConfig(relative=f"files:{tmp_path}", focus="classical"), None, CPU)
    for unit, factor in (("m", 1), ("mm", 1000)):
        depth = factor * truth
        depth[2, 3] = np.nan
        combined = system.combine(scene_of(stack_of(unit=unit), truth), focused(depth, unit=unit))
        np.testing.assert_allclose(combined.aligned, truth, rtol=1e-4)
        assert combined.ratio[2, 3] == 1 and np.delete(combined.ratio, 2 * 32 + 3).std() < 1e-4
        np.testing.assert_allclose(combined.std, 0.1 / factor, rtol=1e-5)


def test_confidence_can_weight_the_fit(tmp_path):
    truth = np.random.default_rng(1).uniform(0.5, 3, (24, 32)).astype(np.float32)
    np.save(tmp_path / "one.npy", 1 / truth)
    wrong = np.zeros((24, 32), bool)
    wrong[:, :16] = True
    depth = np.where(wrong, 3, truth)
    confidence = np.where(wrong, 0, 1).astype(np.float32)
    errors = {}
    for fit in ("plain", "confidence"):
        config = RefinementConfig(relative=f"files:{tmp_path}", focus="classical", fit=fit)
        system = HybridDepthStyle("x", config, None, CPU)
        combined = system.combine(scene_of(stack_of(), truth), focused(depth, confidence))
        errors[fit] = np.abs(combined.aligned - truth).max()
    assert errors["confidence"] < 1e-4 < 0.1 < errors["plain"]


def test_an_untrained_refinement_changes_nothing_and_a_trained_one_overfits():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    truth = torch.tensor(1 + rng.uniform(0, 1, (2, 6, 8)).repeat(6, 1).repeat(6, 2), dtype=torch.float32)
    aligned = torch.full_like(truth, 1.5)
    maps = (aligned, (truth + 0.05 * torch.randn_like(truth)) / aligned, torch.full_like(truth, 0.05))
    network = Refinement(RefinementConfig(width=8))
    torch.testing.assert_close(network(*maps), aligned)
    valid = torch.ones_like(truth, dtype=torch.bool)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        loss = refinement_loss(network(*maps), truth, valid)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    refined = network.eval()(*maps)
    assert (refined - truth).abs().mean() < 0.2 * (aligned - truth).abs().mean()


def test_the_refined_depth_is_never_nearer_than_its_limit_and_any_size_will_do():
    network = Refinement(RefinementConfig(width=4)).eval()
    network.out.bias.data.fill_(-5)
    depth = network(torch.ones(1, 13, 18), torch.ones(1, 13, 18), torch.zeros(1, 13, 18))
    assert depth.shape == (1, 13, 18) and (depth == 0.02).all()


def test_the_gradient_term_against_a_plain_loop():
    rng = np.random.default_rng(0)
    depth, truth = rng.uniform(1, 2, (1, 9, 11)), rng.uniform(1, 2, (1, 9, 11))
    truth[0, :5, :5] = 1.5  # flat: does not count
    valid = np.ones((1, 9, 11), bool)
    valid[0, 7, 8] = False
    kernel = np.outer([1, 2, 1], [-1, 0, 1]) / 8
    total = 0.0
    d, t, v = depth[0], truth[0], valid[0]
    for _ in range(2):
        errors = []
        for y in range(d.shape[0] - 2):
            for x in range(d.shape[1] - 2):
                part = (slice(y, y + 3), slice(x, x + 3))
                found = [(k * d[part]).sum() for k in (kernel, kernel.T)]
                wanted = [(k * t[part]).sum() for k in (kernel, kernel.T)]
                if v[part].all() and min(abs(w) for w in wanted) > 1e-12:
                    errors.append(abs(found[0] - wanted[0]) + abs(found[1] - wanted[1]))
        total += np.mean(errors) if errors else 0
        d, t, v = d[::2, ::2], t[::2, ::2], v[::2, ::2]
    found = gradient_loss(torch.tensor(depth), torch.tensor(truth), torch.tensor(valid), scales=2)
    assert float(found) == pytest.approx(total / 2, rel=1e-9)


def test_the_fit_alone_runs_without_a_hub_and_says_so():
    result = load_model("hybriddepth-style:ramp", device="cpu").predict(load_stack(DEMO_STACK))
    focus = load_model("dualfocus-s", device="cpu").predict(load_stack(DEMO_STACK))
    np.testing.assert_array_equal(result.confidence, focus.confidence)
    rows = result.depth.std(axis=1)
    assert rows.max() < 1e-5 and np.ptp(result.depth[:, 0]) > 0.1  # a ramp down the picture, and nothing else
    source = 1 / np.repeat(np.linspace(0.5, 1.5, len(rows))[:, None], focus.depth.shape[1], axis=1)
    slope, shift = np.polyfit(source.ravel(), focus.depth.ravel().astype(float), 1)
    np.testing.assert_allclose(result.depth, slope * source + shift, rtol=1e-4)
    assert any("no trained refinement" in warning for warning in result.warnings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, list[str]]:
    """A short training of the refinement through its configuration file, on the packaged stack."""
    folder = tmp_path_factory.mktemp("hybrid")
    config = {
        "system": "hybriddepth-style", "kind": "stacks", "data": str(DEMO_STACK), "output": str(folder / "out"),
        "batch": 2, "steps": 40, "learning_rate": 3e-3, "crop": 96,
        "network": {"width": 8, "relative": "ramp", "focus": "classical"},
    }  # fmt: skip
    (folder / "hybrid.yaml").write_text(yaml.safe_dump(config))
    lines: list[str] = []
    return train(folder / "hybrid.yaml", report=lines.append), lines


def test_a_trained_refinement_is_loaded_with_its_two_models_and_helps(trained):
    weights, lines = trained
    record = json.loads(weights.with_suffix(".json").read_text())
    assert record["options"]["relative"] == "ramp" and record["options"]["focus"] == "classical"
    assert lines[0].startswith("global fit alone: RMSE")
    model = load_model(str(weights), device="cpu")
    sample = StackFolders(DEMO_STACK)[0]
    refined, fitted = (
        system.predict_sample(sample).depth for system in (model, HybridDepthStyle("x", model.config, None, CPU))
    )
    error = [np.sqrt(np.mean((depth - sample.truth)[sample.mask] ** 2)) for depth in (refined, fitted)]
    assert error[0] < 0.8 * error[1]
    assert model.fingerprint() != HybridDepthStyle("x", model.config, None, CPU).fingerprint()


def test_a_table_names_the_system_and_not_its_relative_model(tmp_path):
    torch.manual_seed(0)
    save_weights(tmp_path / "va-depth.safetensors", "va-depth", VaNetwork(VaConfig(width=0.125, side=64)), {})
    name = f"hybriddepth-style:{tmp_path / 'va-depth.safetensors'}"
    systems = load_models([name, str(tmp_path / "va-depth.safetensors")], "cpu", find_protocol("stacks"), [])
    assert {label: system.name for label, system in systems.items()} == {
        name: name, "va-depth": "va-depth:va-depth.safetensors"
    }  # fmt: skip


def test_stored_maps_that_change_are_noticed(tmp_path):
    config = RefinementConfig(relative=f"files:{tmp_path}", focus="classical")
    np.save(tmp_path / "one.npy", np.ones((4, 5)))
    before = HybridDepthStyle("x", config, None, CPU).fingerprint()
    assert HybridDepthStyle("x", config, None, CPU).fingerprint() == before
    np.save(tmp_path / "two.npy", np.ones((4, 5)))
    assert HybridDepthStyle("x", config, None, CPU).fingerprint() != before


def test_any_relative_model_will_do():
    class Everywhere:
        name = "everywhere"

        def inverse_depth(self, picture, name=None):
            return np.ones(picture.shape[:2], np.float32)

    config = RefinementConfig(focus="classical")
    stack = load_stack(DEMO_STACK)
    result = HybridDepthStyle("x", config, None, CPU, relative=Everywhere()).predict(stack)
    focus = load_model("classical", device="cpu").predict(stack)
    np.testing.assert_allclose(result.depth, focus.depth.mean(dtype=np.float64), rtol=1e-4)  # no scale, only a shift


def test_what_cannot_be_loaded_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="no weights ship for hybriddepth-style.*hybriddepth-style:ramp"):
        load_model("hybriddepth-style")
    with pytest.raises(ValueError, match="relative model 'guess' is unknown; choose ramp"):
        load_model("hybriddepth-style:guess")
    with pytest.raises(ValueError, match="model 'hybriddepth-style:ramp' is unknown"):
        HybridDepthStyle("x", RefinementConfig(focus="hybriddepth-style:ramp"), None, CPU)
    with pytest.raises(ValueError, match="no such folder of relative depth maps"):
        load_model(f"hybriddepth-style:files:{tmp_path / 'none'}")
    stored = open_relative(f"files:{tmp_path}", CPU)
    with pytest.raises(ValueError, match="which only `evaluate` knows"):
        stored.inverse_depth(np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(ValueError, match="one.npy: cannot be read"):
        stored.inverse_depth(np.zeros((4, 5, 3), np.uint8), "one")
    np.save(tmp_path / "one.npy", np.ones((5, 4)))
    with pytest.raises(ValueError, match="one.npy: is .5, 4., not of the size .4, 5. of the picture"):
        stored.inverse_depth(np.zeros((4, 5, 3), np.uint8), "one")
