"""The single-image network with the variational layer: losses against plain computations, training, loading."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from dualfocus import FocalStack, load_model
from dualfocus.baselines.train import train
from dualfocus.baselines.va_depth import working_size
from dualfocus.baselines.va_network import CELL, LEAST_WEIGHT, VaConfig, VaNetwork, silog_loss, variational_loss
from dualfocus.inference.fingerprint import fingerprint
from dualfocus.models.projection import forward_differences
from dualfocus.models.weights import save_weights


def tiny(seed: int = 0) -> VaNetwork:
    torch.manual_seed(seed)
    return VaNetwork(VaConfig(width=0.125, surfaces=4, side=64))


def pictures(folder: Path, count: int = 3) -> Path:
    """Pictures whose brightness is their depth: rgb and depth folders."""
    rng = np.random.default_rng(0)
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        y, x = np.mgrid[:64, :96] / 64
        depth = 1 + rng.uniform(0.5, 2) * x + rng.uniform(0.5, 2) * y
        depth[20:40, 30:50] -= 0.7
        noise = rng.normal(0, 4, (64, 96, 3))
        Image.fromarray(np.clip(depth[..., None] * 40 + noise, 0, 255).astype(np.uint8)).save(
            folder / "rgb" / f"{index}.png"
        )
        np.save(folder / "depth" / f"{index}.npy", depth.astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path, list[str]]:
    """A short training through its configuration file: data, weights and what was reported."""
    folder = tmp_path_factory.mktemp("va")
    data = pictures(folder / "data")
    config = {
        "system": "va-depth", "kind": "rgbd", "data": str(data), "output": str(folder / "out"),
        "batch": 2, "steps": 150, "learning_rate": 3e-3, "network": {"width": 0.125, "surfaces": 4, "side": 64},
    }  # fmt: skip
    (folder / "va.yaml").write_text(yaml.safe_dump(config))
    lines: list[str] = []
    return data, train(folder / "va.yaml", report=lines.append), lines


def test_shapes_and_surfaces_of_zero_mean():
    network = tiny().eval()
    output = network(torch.rand(2, 3, 64, 96))
    assert output.log_depth.shape == (2, 64, 96) and output.surfaces.shape == (2, 4, 4, 6)
    assert output.surfaces.mean(dim=(2, 3)).abs().max() < 1e-5 and output.surfaces.abs().max() > 1e-4


def test_the_layer_solves_its_weighted_least_squares():
    network = tiny().eval()
    features = torch.randn(1, network.encoder.level_widths[2], 5, 7)
    gradient = network.layer.gradient(features).unflatten(1, (-1, 2)).double()
    weight = LEAST_WEIGHT + (1 - LEAST_WEIGHT) * torch.sigmoid(network.layer.weight(features).unflatten(1, (-1, 2)))
    surfaces = network.layer(features).double()

    def cost(surface: torch.Tensor) -> torch.Tensor:
        inside = torch.ones(2, 5, 7)
        inside[0, :, -1] = inside[1, -1] = 0
        return (inside * (weight * (forward_differences(surface) - gradient)) ** 2).sum(dim=(2, 3, 4))

    best = cost(surfaces)
    for seed in range(5):
        other = torch.randn(surfaces.shape, generator=torch.Generator().manual_seed(seed)).double()
        assert (cost(surfaces + 0.01 * other) > best).all()


def test_silog_against_its_formula():
    rng = np.random.default_rng(0)
    prediction, truth = rng.uniform(0.5, 9, (2, 5, 6)), rng.uniform(0.5, 9, (2, 5, 6))
    valid = rng.random((2, 5, 6)) < 0.7
    g = np.log(prediction[valid]) - np.log(truth[valid])
    for focus in (0.85, 0.5):
        expected = 10 * np.sqrt(np.mean(g**2) - focus * np.mean(g) ** 2)
        found = silog_loss(
            torch.tensor(prediction).log(), torch.tensor(np.where(valid, truth, np.nan)), torch.tensor(valid), focus
        )
        assert float(found) == pytest.approx(expected, rel=1e-6)
    assert silog_loss(torch.zeros(1, 2, 2), torch.ones(1, 2, 2), torch.zeros(1, 2, 2) > 0) == 0  # nothing is known
    scaled = silog_loss(torch.tensor(3 * truth).log(), torch.tensor(truth), torch.tensor(valid), 1.0)
    assert float(scaled) < 1e-3  # a focus of 1 forgives any scale


def test_the_variational_loss_compares_one_pixel_of_each_cell():
    """Cells with a single valid pixel leave nothing to chance: a plain loop over cells must agree."""
    network = tiny().eval()
    output = network(torch.rand(1, 3, 64, 96))
    rng = np.random.default_rng(1)
    truth, valid = np.full((1, 64, 96), np.nan, np.float32), np.zeros((1, 64, 96), bool)
    place, log_truth = np.full((4, 6), -1), np.zeros((4, 6))
    for row in range(4):
        for column in range(6):
            if (row, column) == (1, 2):
                continue  # a cell of which nothing is known
            y, x = (int(k) for k in rng.integers(0, CELL, 2))
            depth = rng.uniform(0.5, 8)
            truth[0, row * CELL + y, column * CELL + x] = depth
            valid[0, row * CELL + y, column * CELL + x] = True
            place[row, column], log_truth[row, column] = y * CELL + x, np.log(depth)
    detail = output.detail[0].detach()
    gate = torch.zeros(4, 4, 6)
    for row in range(4):
        for column in range(6):
            y, x = divmod(max(int(place[row, column]), 0), CELL)
            feature = detail[:, row * 4 + y // 4, column * 4 + x // 4]
            gate[:, row, column] = torch.sigmoid(
                network.sampled_gate.weight[:, :, 0, 0] @ feature + network.sampled_gate.bias
            )
    found = network.sampled_gradient(gate[None] * output.surfaces)[0].detach().numpy()
    errors = []
    for row in range(4):
        for column in range(6):
            for component, (y, x) in enumerate(((row, column + 1), (row + 1, column))):
                if y < 4 and x < 6 and place[row, column] >= 0 and place[y, x] >= 0:
                    e = abs(found[component, row, column] - (log_truth[y, x] - log_truth[row, column]))
                    errors.append(e - 0.005 if e > 0.01 else e**2 / 0.02)
    value = variational_loss(
        network, output, torch.tensor(truth), torch.tensor(valid), torch.Generator().manual_seed(0), repeats=3
    )
    assert float(value.detach()) == pytest.approx(np.mean(errors), rel=1e-4)


def test_a_short_training_learns_what_a_constant_cannot(trained):
    data, weights, _ = trained
    model = load_model(str(weights), device="cpu")
    assert model.name == "va-depth:va-depth.safetensors"
    relative = []
    for index in range(3):
        picture = np.array(Image.open(data / "rgb" / f"{index}.png"))
        truth = np.load(data / "depth" / f"{index}.npy")
        stack = FocalStack(np.stack([picture, picture]), [1.0, 4.0])
        result = model.predict(stack)
        assert result.unit == "m" and result.valid.all() and np.isnan(result.confidence).all()
        relative.append((np.std(np.log(result.depth / truth)), np.std(np.log(truth))))
        np.testing.assert_array_equal(model.predict(stack).depth, result.depth)
    assert np.mean([error for error, _ in relative]) < 0.7 * np.mean([spread for _, spread in relative])


def test_a_weights_file_says_what_it_was_made_from(trained):
    _, weights, lines = trained
    record = json.loads(weights.with_suffix(".json").read_text())
    assert record["model"] == "va-depth" and record["options"] == {"width": 0.125, "surfaces": 4, "side": 64}
    assert record["steps"] == 150 and record["data"][0]["name"] == "data" and record["loss"] < 10
    assert lines[0] == "3 pictures at 96 x 64" and lines[-1].startswith("step 150")


def test_units_and_names(trained, tmp_path):
    model = load_model(trained[1], device="cpu")  # a Path will do
    images = np.random.default_rng(0).integers(0, 255, (2, 64, 96, 3), np.uint8)
    metres = model.predict(FocalStack(images, [1.0, 2.0])).depth
    np.testing.assert_allclose(model.predict(FocalStack(images, [900, 2000], "mm")).depth, 1000 * metres, rtol=1e-6)
    with pytest.raises(ValueError, match="a stack in 'index' has no place"):
        model.predict(FocalStack(images))
    with pytest.raises(ValueError, match="no weights ship for va-depth; train it with"):
        load_model("va-depth")
    save_weights(tmp_path / "odd.safetensors", "va-depth", tiny(), {})
    assert fingerprint(load_model(str(tmp_path / "odd.safetensors"))) != fingerprint(model)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((384, 512), 192, (192, 256)), ((480, 640), 192, (192, 256)), ((30, 70), 64, (64, 160))],
)
def test_working_size(size, side, expected):
    assert working_size(size, side) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": "nowhere"}, "nowhere: RGB-D data needs the folders rgb and depth"),
        ({"kind": "nyu"}, "no NYU Depth v2 there"),
        ({"steps": 0}, "steps"),
        ({"colour": 1}, "colour"),
        ({"system": "dfv"}, "dfv"),
        ({"network": {"wide": 2}}, "wide"),
    ],
)
def test_a_bad_configuration_is_one_line(change, words, tmp_path):
    config = {"system": "va-depth", "kind": "rgbd", "data": str(tmp_path), "output": str(tmp_path / "out"), "steps": 5}
    (tmp_path / "va.yaml").write_text(yaml.safe_dump({**config, **change}))
    command = [sys.executable, "-m", "dualfocus.baselines.train", str(tmp_path / "va.yaml")]
    if "data" not in change:  # the others are told apart without a process each
        with pytest.raises(ValueError, match=words) as caught:
            train(tmp_path / "va.yaml")
        assert "\n" not in str(caught.value)
        return
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2 and words in run.stderr and len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_trained_file_is_never_written_over(trained, tmp_path):
    config = trained[1].parent.parent / "va.yaml"
    with pytest.raises(ValueError, match="is there already; give another output folder"):
        train(config)
    with pytest.raises(ValueError, match="above 0 minutes"):
        train(config, tmp_path, minutes=0)
