"""Training configurations of the paper's data sets, run on tiny ones with narrow networks; what sources draw."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from dualfocus import cli
from dualfocus.datasets import Ddff12, Fod500, open_nyu
from dualfocus.datasets.ddff12 import DISPARITY_M
from dualfocus.models.weights import load_weights
from dualfocus.training.batches import BatchDataset
from dualfocus.training.config import DataConfig, SourceConfig, TrainConfig
from dualfocus.training.loop import Trainer
from dualfocus.training.sources import open_source

CONFIGS = Path(__file__).parents[1] / "configs"
DATA = {"nyu": "nyu-bts", "fod500": "fod500", "ddff12": "ddff12"}
NARROW = {
    "dfv": {"width": 0.125},
    "dualfocus-paper": {"width": 0.125},
    "dualfocus-s": {"encoder": [8, 8, 8, 12], "decoder": [8, 8, 12], "surfaces": 3},
}
FILES = sorted(path.relative_to(CONFIGS).as_posix() for data in DATA for path in (CONFIGS / data).glob("*.yaml"))


def reduced(path, data, output, steps):
    """The configuration as it is but for the path of its data, the width of the network, and the size of the run."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for source in [*content["data"]["sources"], *content["validation"]["sources"]]:
        source["path"] = str(data)
        source.pop("exclude", None), source.pop("include", None)  # the tiny data set has none of these names
    content["output"] = str(output)
    content["precision"] = "no"
    content["model"]["options"] = NARROW[content["model"]["name"]]
    content["data"] |= {"crop": 64, "planes_per_batch": 5, "workers": 0}
    content["validation"] |= {"crop": 64, "stacks": 1, "calibration_stacks": 1, "pictures": 0}
    content["budget"] = {"steps": steps}
    return content


def test_every_data_set_has_its_configurations():
    assert len(FILES) == 9


@pytest.mark.parametrize("file", FILES)
def test_a_configuration_runs_for_20_steps(benchmark_data, tmp_path, file):
    data = benchmark_data(DATA[file.split("/")[0]])
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(reduced(CONFIGS / file, data, tmp_path / "run", 20)), encoding="utf-8")
    assert cli.main(["train", str(path)]) == 0
    losses = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in losses if line["kind"] == "loss"]
    assert steps[-1]["step"] == 19 and all(np.isfinite(line["total"]) for line in steps)
    (weights,) = (tmp_path / "run").glob("*.safetensors")
    _, record = load_weights(weights)
    depth = file.startswith(("nyu", "fod500")) and not file.endswith("dualfocus-s.yaml")
    assert record["coordinate"] == ("depth" if depth else "focus")
    # an unseen data set with these weights: the zero-shot protocol is one command
    if file == "nyu/dualfocus-s.yaml":
        command = ["evaluate", str(weights), "--protocol", "arkitscenes/hybriddepth-n5", "--limit", "1"]
        assert cli.main([*command, "--data", str(benchmark_data("arkitscenes")), "-o", str(tmp_path / "figures")]) == 0
        found = json.loads((tmp_path / "figures" / "summary.json").read_text())["models"]["dualfocus-s"]["mean"]
        assert 0 < found["rmse"] < 5 and 0 <= found["delta1"] <= 1


def test_configurations_are_valid_as_they_are(benchmark_data):
    for file in FILES:
        content = yaml.safe_load((CONFIGS / file).read_text(encoding="utf-8"))
        for source in [*content["data"]["sources"], *content["validation"]["sources"]]:
            source["path"] = str(benchmark_data(DATA[file.split("/")[0]]))
        config = TrainConfig.model_validate(content)
        (train,), (held_out,) = config.data.sources, config.validation.sources
        assert train.exclude == held_out.include and config.data.planes == (5, 5)
        per_batch = config.data.planes_per_batch / 5
        assert per_batch <= config.data.most_stacks


def test_ddff12_draws_any_five_planes_of_ten(benchmark_data):
    path = benchmark_data("ddff12")
    source = open_source(SourceConfig(kind="ddff12", path=path, include="train-0001"))
    whole = Ddff12(path, "train")[1]
    planes = np.stack(list(whole.stack))
    disparities = whole.stack.focus_distances * DISPARITY_M  # falling, near to far
    everything = (disparities[0] - disparities) / (disparities[0] - disparities[-1])
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(8):
        stack = source.draw(rng, 5, 224)
        assert stack.images.shape == (5, 224, 224, 3)
        assert (stack.coordinates[0], stack.coordinates[-1]) == (0, 1) and (np.diff(stack.coordinates) > 0).all()
        assert stack.known.mean() >= 0.8
        # where the crop came from, by its first plane; then planes, and truth in disparity
        windows = np.lib.stride_tricks.sliding_window_view(planes[..., 1], 20, axis=2)
        n, top, left = np.argwhere((windows == stack.images[0, 0, :20, 1]).all(axis=3))[0]
        square = (slice(top, top + 224), slice(left, left + 224))
        chosen = [next(k for k in range(10) if np.array_equal(planes[k][square], image)) for image in stack.images]
        assert chosen[0] == n and chosen == sorted(set(chosen))
        np.testing.assert_allclose(
            stack.coordinates, (everything[chosen] - everything[n]) / np.ptp(everything[chosen]), atol=1e-9
        )
        truth = DISPARITY_M / whole.truth[square].astype(np.float64, copy=True).clip(1e-3)
        expected = (disparities[chosen[0]] - truth) / (disparities[chosen[0]] - disparities[chosen[-1]])
        np.testing.assert_allclose(stack.truth[stack.known], expected[stack.known], atol=1e-4)
        seen.add(tuple(chosen))
    assert len(seen) > 4


def test_a_crop_with_little_truth_is_taken_when_there_is_no_better(benchmark_data, monkeypatch):
    from dualfocus.training import benchmark_sources

    source = open_source(SourceConfig(kind="ddff12", path=benchmark_data("ddff12")))
    monkeypatch.setattr(benchmark_sources, "_KNOWN_SHARE", 1.1)
    assert source.draw(np.random.default_rng(0), 5, 64).images.shape == (5, 64, 64, 3)
    with pytest.raises(ValueError, match="ddff12.*552x383 pixels are smaller than the crop of 384"):
        source.draw(np.random.default_rng(0), 5, 384)


def test_fod500_stacks_are_affine_in_depth_or_dioptres(benchmark_data):
    path = benchmark_data("fod500")
    sample = Fod500(path, "train")[0]
    for coordinate, carried in (("depth", lambda d: d), ("focus", lambda d: 1 / d)):
        source = open_source(SourceConfig(kind="fod500", path=path, include="000000"), coordinate)
        stack = source.draw(np.random.default_rng(0), 5, 224)
        near, far = carried(0.1), carried(1.5)
        truth = sample.truth.astype(np.float64)
        np.testing.assert_allclose(stack.truth, (carried(truth) - near) / (far - near), atol=1e-5)


def test_flips_turn_both_ways(benchmark_data):
    source = SourceConfig(kind="fod500", path=benchmark_data("fod500"), include="000000")
    config = DataConfig(
        sources=[source], crop=256, planes=(5, 5), planes_per_batch=100, most_stacks=20, augmentation="flips"
    )
    batch = BatchDataset(config, 0)[0]
    assert batch["images"].shape == (20, 5, 256, 256, 3)
    first = Fod500(benchmark_data("fod500"), "train")[0].stack[2]
    kinds = [first[::a, ::b] for a in (1, -1) for b in (1, -1)]
    found = {
        next(k for k, kind in enumerate(kinds) if np.array_equal(kind, image[2])) for image in batch["images"].numpy()
    }
    assert found == {0, 1, 2, 3}


def test_a_constant_learning_rate(benchmark_data, tmp_path):
    path = CONFIGS / "fod500" / "dfv.yaml"
    content = reduced(path, benchmark_data("fod500"), tmp_path / "run", 10)
    trainer = Trainer(TrainConfig.model_validate(content))
    for step in (0, 5, 9):
        trainer.step = step
        assert trainer.learning_rate() == pytest.approx(1e-4)


def test_nyu_trains_from_every_form(benchmark_data):
    for form in ("nyu-bts", "nyu-mat", "nyu-labelled"):
        path = benchmark_data(form)
        assert len(open_nyu(path, "train", planes=2)) == 2
        stack = open_source(SourceConfig(kind="nyu", path=path), "depth").draw(np.random.default_rng(1), 5, 64)
        assert stack.images.shape == (5, 64, 64, 3) and stack.truth[stack.known].min() > -0.01


def test_images_beyond_the_memory_are_read_again(benchmark_data, monkeypatch):
    from dualfocus.training import nyu_source

    monkeypatch.setattr(nyu_source, "_MOST_KEPT", 1)
    source = open_source(SourceConfig(kind="nyu", path=benchmark_data("nyu-bts")), "depth")
    for seed in range(6):
        source.draw(np.random.default_rng(seed), 2, 64)
    assert len(source._kept) == 1
