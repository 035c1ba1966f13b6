"""The trainer: strict configuration, exact resumption, checkpoints that survive a kill, readable weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from dualfocus.models import NETWORKS, build_network
from dualfocus.models.output import FocusOutput
from dualfocus.models.weights import load_weights, save_weights
from dualfocus.rendering.capture import render_stack
from dualfocus.training.augment import jitter, registered
from dualfocus.training.average import average
from dualfocus.training.batches import BatchDataset, collate, random_crop, take_planes
from dualfocus.training.checkpoint import load_checkpoint
from dualfocus.training.config import DataConfig, LossConfig, SourceConfig, read_config
from dualfocus.training.loop import Trainer, train
from dualfocus.training.objective import network_input, objective, validation_errors
from dualfocus.training.sources import TrainingStack, from_rendered, open_source

SMALL = {"encoder": [8, 8, 8, 12], "decoder": [8, 8, 12], "surfaces": 3}
TERMS = ("total", "depth", "spatial", "focal", "confidence")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    """Three noise-textured scenes in the packed form of `dualfocus render`."""
    from dualfocus.rendering import dataset

    folder = tmp_path_factory.mktemp("rendered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "SHARD_SIZE", 3)
        patch.setattr(dataset, "_pool", dataset.TexturePool(None))
        dataset._write_shard(folder, 0, 0, 48, (5, 5))
        yield folder


def settings(folder: Path, source: dict, **changes) -> dict:
    content = {
        "output": str(folder / "run"),
        "checkpoint_minutes": 1e-6,
        "model": {"options": SMALL},
        "data": {"sources": [source], "crop": 32, "planes": [2, 4], "planes_per_batch": 6, "workers": 0},
        "optimiser": {"warmup_steps": 2},
        "budget": {"steps": 5},
        "validation": {"sources": [source], "stacks": 2, "every_steps": 2, "crop": 32, "pictures": 1},
    }
    return content | changes


def write(path: Path, content: dict) -> Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def logged(folder: Path, kind: str = "loss") -> list[dict]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


class TestConfiguration:
    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"sead": 1}, "sead"),
            ({"optimiser": {"learning_rat": 1e-3}}, r"optimiser\.learning_rat"),
            ({"optimiser": {"learning_rate": -1}}, r"optimiser\.learning_rate"),
            ({"model": {"name": "dualfocus-xl"}}, r"model\.name"),
            ({"budget": {}}, r"budget\.steps"),
            ({"data": {"sources": []}}, r"data\.sources"),
            ({"data": {"sources": [{"kind": "films"}]}}, r"data\.sources\.0\.kind"),
            ({"data": {"sources": [{"kind": "stacks", "path": "no/such/folder"}]}}, "no/such/folder"),
            ({"data": {"sources": [{"kind": "procedural"}], "planes": [1, 4]}}, r"data\.planes"),
            ({"data": {"sources": [{"kind": "procedural"}], "planes": [5, 4]}}, r"data\.planes"),
            ({"precision": "fp8"}, "precision"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, change, named):
        path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}) | change)
        with pytest.raises(ValueError, match=f"config.yaml: .*{named}") as caught:
            read_config(path)
        assert "\n" not in str(caught.value)

    def test_off_needs_no_quotes(self, tmp_path):
        path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}))
        text = path.read_text().replace("options:", "options:\n    spatial: off")
        path.write_text(text)
        assert read_config(path).model.options["spatial"] == "off"

    @pytest.mark.parametrize("content", ["", "just text", "a: [1", "- 1"])
    def test_not_a_mapping(self, tmp_path, content):
        path = tmp_path / "config.yaml"
        path.write_text(content)
        with pytest.raises(ValueError, match="config.yaml"):
            read_config(path)
        with pytest.raises(ValueError, match="absent.yaml"):
            read_config(tmp_path / "absent.yaml")

    @pytest.mark.parametrize("name", NETWORKS)
    def test_the_shipped_configurations_are_valid(self, name, monkeypatch):
        monkeypatch.setattr(Path, "exists", lambda _: True)  # their data is made by the user
        config = read_config(Path(__file__).parents[1] / "configs" / f"{name}.yaml")
        assert config.model.name == name and config.budget.minutes and config.validation.sources
        with torch.device("meta"):
            build_network(name, config.model.options)

    @pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
    def test_a_time_limit_that_is_none(self, tmp_path, minutes):
        path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}))
        with pytest.raises(ValueError, match="time limit"):
            train(path, time_limit=minutes)
        assert not (tmp_path / "run").exists()

    def test_a_wrong_network_option_is_named(self, tmp_path):
        content = settings(tmp_path, {"kind": "procedural"}, model={"options": {"spatail": "off"}})
        with pytest.raises(ValueError, match="spatail"):
            train(write(tmp_path / "config.yaml", content))
        assert not (tmp_path / "run").exists()


class TestBatches:
    def test_are_a_function_of_seed_and_step(self, rendered):
        config = DataConfig(sources=[SourceConfig(kind="rendered", path=rendered)], crop=32, planes_per_batch=6)
        one, two, other = BatchDataset(config, 1), BatchDataset(config, 1), BatchDataset(config, 2)
        one[0]
        for key, value in one[3].items():
            assert torch.equal(value, two[3][key])
        pairs = zip(one[3].values(), other[3].values(), strict=True)
        assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in pairs)

    def test_planes_taken_from_a_stack_span_the_coordinate(self, rendered):
        stack = open_source(SourceConfig(kind="rendered", path=rendered)).draw(np.random.default_rng(0), 5, 32)
        part = take_planes(stack, np.array([1, 2, 4]))
        u = stack.coordinates
        assert part.coordinates[0] == 0 and part.coordinates[-1] == 1 and len(part.images) == 3
        back = u[1] + part.truth * (u[4] - u[1])
        np.testing.assert_allclose(back, stack.truth, atol=1e-5)

    def test_crops_and_turns_keep_images_and_truth_together(self):
        rng = np.random.default_rng(0)
        marks = rng.integers(0, 256, (40, 50)).astype(np.uint8)
        images = np.repeat(np.repeat(marks[None, ..., None], 2, 0), 3, -1)
        stack = TrainingStack(images, np.array([0.0, 1.0]), marks.astype(np.float32), marks > 9)
        for _ in range(8):
            part = random_crop(stack, rng, 32)
            assert part.images.shape == (2, 32, 32, 3)
            np.testing.assert_array_equal(part.images[1, ..., 0], part.truth)
            np.testing.assert_array_equal(part.known, part.truth > 9)
        with pytest.raises(ValueError, match="50x40.*64"):
            random_crop(stack, rng, 64)

    def test_jitter_reverses_images_and_coordinate_together(self):
        images = np.full((3, 4, 4, 3), 100, np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None] * 30
        truth = np.full((4, 4), 0.2, np.float32)
        seen = set()
        for seed in range(12):
            out = jitter(TrainingStack(images, np.array([0, 0.2, 1]), truth, truth > 0), np.random.default_rng(seed))
            rising = bool(out.images[2].mean() > out.images[0].mean())
            seen.add(rising)
            np.testing.assert_allclose(out.truth, 0.2 if rising else 0.8, rtol=1e-6)
            np.testing.assert_allclose(out.coordinates, [0, 0.2, 1] if rising else [0, 0.8, 1])
        assert seen == {True, False}

    def test_registered_keeps_places_and_softens_the_finest_detail(self):
        rng = np.random.default_rng(1)
        y, x = np.mgrid[:96, :96]
        waves = 128 + 60 * np.sin(x / 4.0) * np.cos(y / 5.0)  # periods of 25 px and more: interpolation keeps them
        grain = rng.integers(0, 256, (96, 96)).astype(np.float64)
        truth = (x / 95.0).astype(np.float32)
        outs = []
        for picture in (waves, grain):
            images = np.repeat(np.repeat(np.rint(picture).astype(np.uint8)[None, ..., None], 4, 0), 3, -1)
            stack = TrainingStack(images, np.linspace(0, 1, 4), truth, np.ones((96, 96), bool))
            out = registered(stack, np.random.default_rng(5))
            assert 0.6 < out.known.mean() < 1.0
            np.testing.assert_array_equal(out.truth, truth)
            outs.append((out.images[..., 0].astype(float), picture, out.known))
        images, picture, known = outs[0]
        assert np.abs(images - picture)[:, known].mean() < 4  # a fraction of a pixel of residual motion, no more
        images, picture, known = outs[1]
        deviation = images[:, known].std(axis=1) / picture[known].std()
        assert (deviation < 0.95).all() and (deviation > 0.5).all()
        assert deviation.max() - deviation.min() > 0.005  # and not alike in all planes


class TestObjective:
    @staticmethod
    def batch():
        stack = from_rendered(render_stack(3, size=32, planes=3))
        return collate([stack, stack])

    def test_unknown_pixels_change_nothing_in_value_and_gradient(self):
        results = []
        for spoil in (0.5, float("nan"), float("inf")):
            torch.manual_seed(0)
            model, batch = build_network("dualfocus-s", SMALL).train(), self.batch()
            batch["known"][:, :10] = False
            batch["truth"][:, :10] = spoil
            losses = objective(model(network_input(batch), batch["coordinates"]), batch, LossConfig())
            losses.total.backward()
            results.append([*losses, *(p.grad for p in model.parameters())])
        assert all(torch.isfinite(value).all() for value in results[0])
        for other in results[1:]:
            for one, two in zip(results[0], other, strict=True):
                torch.testing.assert_close(one, two, rtol=0, atol=0)

    def test_a_perfect_answer_costs_nothing(self):
        batch = self.batch()
        p = torch.tensor([0.2, 0.5, 0.3])[None, :, None, None].expand(2, 3, 8, 8)
        truth = batch["truth"]
        output = FocusOutput(
            p, truth, torch.zeros_like(truth), torch.ones_like(truth), {"side_coordinates": truth[:, None]}
        )
        losses = objective(output, batch, LossConfig())
        assert losses.total == losses.depth == losses.focal == losses.spatial == 0

    @pytest.mark.parametrize("planes", [2, 5])
    def test_errors_are_measured_in_plane_spacings(self, planes):
        truth = torch.linspace(-0.2, 1.2, 64).view(1, 8, 8)
        batch = {
            "images": torch.zeros(1, planes, 8, 8, 3, dtype=torch.uint8),
            "coordinates": torch.linspace(0, 1, planes)[None],
            "truth": truth,
            "known": torch.ones(1, 8, 8, dtype=torch.bool),
        }
        off = truth + 3 / (planes - 1)  # three planes too far
        inside = (truth >= 0) & (truth <= 1)
        off = torch.where(inside, off, torch.full_like(off, 99.0))  # outside the focus range nothing counts
        p = torch.full((1, planes, 8, 8), 1 / planes)
        output = FocusOutput(p, off, torch.zeros_like(off), p[:, 0], {"side_coordinates": off[:, None]})
        losses = objective(output, batch, LossConfig(side=(0.5,)))
        assert float(losses.depth) == pytest.approx(1.5 * (3 - 0.5), rel=1e-5)  # smooth-L1 of 3 with beta 1
        errors = validation_errors(output, batch)
        assert float(errors["mae_spacings"]) == pytest.approx(3, rel=1e-5)
        assert float(errors["mae"]) == float(errors["rmse"]) == pytest.approx(3 / (planes - 1), rel=1e-5)

    def test_the_gradient_of_a_ramp_is_a_slope_per_cell(self):
        truth = torch.linspace(0, 1, 32).expand(1, 32, 32)
        batch = {
            "images": torch.zeros(1, 5, 32, 32, 3, dtype=torch.uint8),
            "coordinates": torch.linspace(0, 1, 5)[None],
            "truth": truth,
            "known": torch.ones(1, 32, 32, dtype=torch.bool),
        }
        gradient = torch.zeros(1, 5, 2, 8, 8)
        gradient[:, :, 0] = 4 * 4 / 31  # four planes over 31 pixels, four pixels a cell
        p = torch.full((1, 5, 8, 8), 0.2)
        output = FocusOutput(p, truth, truth, truth, {"surface_gradient/4": gradient})
        assert float(objective(output, batch, LossConfig()).spatial) == pytest.approx(0, abs=1e-5)
        output.aux["surface_gradient/4"] = 0 * gradient
        expected = 4 * 4 / 31 * 7 / 8  # the last column has no neighbour
        assert float(objective(output, batch, LossConfig()).spatial) == pytest.approx(expected, rel=1e-4)

    def test_a_source_without_path_is_refused(self):
        with pytest.raises(ValueError, match="stacks.*path"):
            open_source(SourceConfig(kind="stacks"))

    def test_a_bad_source_is_refused_before_anything_is_written(self, tmp_path):
        (tmp_path / "nothing").mkdir()
        source = {"kind": "rendered", "path": str(tmp_path / "nothing")}
        with pytest.raises(ValueError, match="nothing.*dualfocus render"):
            train(write(tmp_path / "c.yaml", settings(tmp_path / "run", source)))
        assert not (tmp_path / "run").exists()

    def test_a_loss_that_is_not_finite_stops_the_run(self, tmp_path, rendered):
        options = settings(tmp_path / "run", {"kind": "rendered", "path": str(rendered)})
        trainer = Trainer(read_config(write(tmp_path / "c.yaml", options)))
        with torch.no_grad():
            next(trainer.network.parameters()).fill_(float("nan"))
        with pytest.raises(ValueError, match="not finite"):
            trainer.run()


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, rendered, monkeypatch):
    source = {"kind": "rendered", "path": str(rendered)}
    whole, broken = (write(tmp_path / f"{n}.yaml", settings(tmp_path / n, source)) for n in ("whole", "broken"))
    train(whole)

    class Stop(Exception):
        pass

    original = Trainer.train_step

    def stop(self, batch):
        if self.step == 3:
            raise Stop
        return original(self, batch)

    monkeypatch.setattr(Trainer, "train_step", stop)
    with pytest.raises(Stop):
        train(broken)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "broken" / "run")["step"] == 3
    torch.randn(100)  # the state of the generator comes from the checkpoint
    resumed = train(broken, resume=True)
    one, two = (logged(tmp_path / n / "run") for n in ("whole", "broken"))
    assert [row["step"] for row in two] == list(range(5))
    for term in TERMS:
        assert [row[term] for row in one] == [row[term] for row in two]
    assert one[0]["total"] != one[1]["total"] and all(np.isfinite(row["total"]) for row in one)
    assert (
        logged(tmp_path / "whole" / "run", "validation")[-1]["rmse"]
        == (logged(tmp_path / "broken" / "run", "validation")[-1]["rmse"])
    )
    first, second = load_weights(tmp_path / "whole" / "run" / resumed.name)[0], load_weights(resumed)[0]
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, rendered) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    source = {"kind": "rendered", "path": str(rendered), "licence": "CC0"}
    return train(write(folder / "config.yaml", settings(folder, source, seed=7)))


def test_the_record_says_how_the_weights_were_made(trained):
    network, record = load_weights(trained)
    assert network.config.surfaces == 3
    assert record["steps"] == 5 and record["seed"] == 7 and record["precision"] == "no"
    assert record["data"][0]["licence"] == "CC0" and record["data"][0]["kind"] == "rendered"
    assert {"rmse", "mae", "mae_spacings"} <= record["validation"].keys()
    assert (np.diff(record["confidence_map"]["measured"]) > 0).all()
    assert record["hardware"] and record["minutes"] >= 0 and record["preprocessing"]
    assert str(trained.parent.parent) not in json.dumps(record)  # no paths of the machine
    assert json.loads(trained.with_suffix(".json").read_text()) == record


def test_a_mean_of_weights_is_weighted_and_has_no_figures_of_its_own(trained, tmp_path):
    network, record = load_weights(trained)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    moved, out = tmp_path / "moved.safetensors", tmp_path / "mean.safetensors"
    save_weights(moved, record["model"], network, record | {"steps": 9, "seed": 1})
    command = [sys.executable, "-m", "dualfocus.training.average", str(trained), str(moved), "-o", str(out), "--shares"]
    subprocess.run([*command, "0.25", "0.75"], check=True, capture_output=True)
    mean, said = load_weights(out)
    for (key, before), after in zip(load_weights(trained)[0].named_parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(after, before + 0.75, atol=4e-3, rtol=0, msg=key)  # kept in 16 bits
    assert said["averaged"] == {"shares": [0.25, 0.75], "steps": [5, 9], "seeds": [7, 1]} and said["steps"] == 9
    assert not {"validation", "confidence_map"} & said.keys()
    out.unlink()
    failed = subprocess.run([*command, "0.5", "0.6"], capture_output=True, text=True)
    assert failed.returncode and "add up to 1" in failed.stderr and not out.exists()
    other = tmp_path / "other.safetensors"
    save_weights(other, "dualfocus-xs", build_network("dualfocus-xs"), {"steps": 1, "seed": 1})
    with pytest.raises(ValueError, match="another network"):
        average([other, trained], [0.5, 0.5], out)


def test_confidence_is_fitted_anew_for_the_stacks_of_a_configuration(trained, tmp_path):
    config, out = trained.parent.parent / "config.yaml", tmp_path / "again.safetensors"
    command = [sys.executable, "-m", "dualfocus.training.recalibrate", str(trained), str(config), "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    before, after = load_weights(trained), load_weights(out)
    for key, value in before[1]["validation"].items():  # the same sources and seed; training had the weights in fp32
        assert after[1]["validation"][key] == pytest.approx(value, rel=0.02)
    shifts = [record["confidence_map"].pop("shift") for _, record in (before, after)]
    np.testing.assert_allclose(*shifts, atol=0.2)
    changing = {"validation": None, "confidence_map": None}
    assert after[1] | changing == before[1] | changing
    assert all(torch.equal(v, after[0].state_dict()[k]) for k, v in before[0].state_dict().items())
    more = tmp_path / "more.safetensors"
    refused = [*command[:5], "-o", str(more), "--range", "9"]
    failed = subprocess.run(refused, capture_output=True, text=True)
    assert failed.returncode and "fewer planes" in failed.stderr and not more.exists()
    bare = tmp_path / "bare.yaml"
    bare.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"validation": {}}))
    failed = subprocess.run([*command[:4], str(bare), *command[5:]], capture_output=True, text=True)
    assert failed.returncode and "validation.sources is empty" in failed.stderr and "Traceback" not in failed.stderr


def test_validation_writes_pictures(trained):
    pictures = sorted((trained.parent / "pictures").rglob("*.png"))
    assert [p.parent.name for p in pictures] == ["000002", "000004", "000005"]
    with Image.open(pictures[0]) as image:
        assert image.size == (6 * 32, 32)


def test_a_second_run_into_the_same_folder_is_refused(trained):
    before = (trained.parent / "log.jsonl").read_bytes()
    with pytest.raises(ValueError, match="run.*--resume"):
        train(trained.parent.parent / "config.yaml")
    assert (trained.parent / "log.jsonl").read_bytes() == before


def test_nothing_to_resume(tmp_path):
    path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}))
    with pytest.raises(ValueError, match="nothing to resume"):
        train(path, resume=True)
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(ValueError, match="checkpoint.pt"):
        train(path, resume=True)


def test_starting_from_weights(tmp_path, trained):
    content = settings(tmp_path, {"kind": "procedural"}, initial_weights=str(trained))
    trainer = Trainer(read_config(write(tmp_path / "config.yaml", content | {"validation": {}})))
    expected = load_weights(trained)[0].state_dict()
    for key, value in trainer.network.state_dict().items():
        assert torch.equal(value, expected[key])
    content["model"] = {"options": SMALL | {"surfaces": 4}}
    with pytest.raises(ValueError, match="safetensors"):
        Trainer(read_config(write(tmp_path / "config.yaml", content | {"validation": {}})))


@pytest.mark.parametrize(
    ("spatial", "loss_counts"), [("full", True), ("no_loss", False), ("no_projection", True), ("off", False)]
)
def test_ablations_train(tmp_path, rendered, spatial, loss_counts):
    content = settings(tmp_path, {"kind": "rendered", "path": str(rendered)}, validation={})
    content |= {"model": {"options": SMALL | {"spatial": spatial}}, "budget": {"steps": 1}}
    train(write(tmp_path / "config.yaml", content))
    assert (logged(tmp_path / "run")[0]["spatial"] > 0) == loss_counts


def test_the_time_limit_ends_the_run(tmp_path):
    content = settings(tmp_path, {"kind": "procedural"}, budget={"steps": 10**6}, validation={})
    path = train(write(tmp_path / "config.yaml", content), time_limit=0.02, output=tmp_path / "elsewhere")
    assert path.parent == tmp_path / "elsewhere" and 0 < load_weights(path)[1]["steps"] < 10**5


def write_stack(folder: Path, seed: int, unit: str) -> None:
    """A rendered stack as users have them: PNG planes far to near, stack.json, truth in the unit."""
    folder.mkdir(parents=True)
    stack = render_stack(seed, size=40, planes=4, clean=True)
    inverse = 1 / stack.focus_distances
    truth = 1 / (inverse[0] + stack.truth * (inverse[-1] - inverse[0]))
    names = [f"img{n}.png" for n in range(4)]
    for name, image in zip(names, stack.images[::-1], strict=True):
        Image.fromarray(image).save(folder / name)
    distances = stack.focus_distances[::-1]
    if unit == "dioptre":
        distances, truth = 1 / distances, 1 / truth
    truth[:4] = np.nan
    np.save(folder / "depth.npy", truth.astype(np.float32))
    sidecar = {"images": names, "focus_distances": list(distances), "unit": unit, "ground_truth": "depth.npy"}
    (folder / "stack.json").write_text(json.dumps(sidecar))


class TestStacksSource:
    @pytest.mark.parametrize("unit", ["m", "dioptre"])
    def test_reads_what_was_rendered(self, tmp_path, unit):
        write_stack(tmp_path / "scene1", 5, unit)
        stack = open_source(SourceConfig(kind="stacks", path=tmp_path)).draw(np.random.default_rng(0), 4, 32)
        expected = render_stack(5, size=40, planes=4, clean=True)
        np.testing.assert_array_equal(stack.images, expected.images)
        np.testing.assert_allclose(stack.coordinates, expected.coordinates, atol=1e-9)
        assert not stack.known[:4].any() and stack.known[4:].all()
        np.testing.assert_allclose(stack.truth[4:], expected.truth[4:], atol=1e-4)

    def test_truth_beyond_the_planes_is_clipped_on_request(self, tmp_path):
        drawn = []
        for scene in range(40, 60):
            write_stack(tmp_path / str(scene) / "stack", scene, "m")
            source = SourceConfig(kind="stacks", path=tmp_path / str(scene))
            plain = open_source(source).draw(np.random.default_rng(0), 4, 32)
            clipped = open_source(source.model_copy(update={"clip_truth": True})).draw(np.random.default_rng(0), 4, 32)
            np.testing.assert_array_equal(clipped.truth, plain.truth.clip(0, 1))
            drawn.append(plain.truth[plain.known])
        beyond = np.concatenate(drawn)
        assert beyond.min() < 0 and beyond.max() > 1, "else this tests nothing"

    def test_trains(self, tmp_path):
        for index in range(2):
            write_stack(tmp_path / "data" / f"scene{index}", index, "m")
        source = {"kind": "stacks", "path": str(tmp_path / "data")}
        path = train(write(tmp_path / "config.yaml", settings(tmp_path, source)))
        assert all(np.isfinite(row["total"]) for row in logged(tmp_path / "run"))
        assert load_weights(path)[1]["data"] == [{"kind": "stacks", "name": "data", "licence": ""}]

    def test_include_and_exclude(self, tmp_path):
        write_stack(tmp_path / "scene1", 1, "m")
        write_stack(tmp_path / "scene2", 2, "m")
        source = open_source(SourceConfig(kind="stacks", path=tmp_path, exclude=("*2",)))
        assert source.indices == [0]
        with pytest.raises(ValueError, match="nothing\\*"):
            open_source(SourceConfig(kind="stacks", path=tmp_path, include="nothing*"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_kill_leaves_a_checkpoint_to_resume_from(tmp_path, rendered):
    source = {"kind": "rendered", "path": str(rendered)}
    content = settings(tmp_path, source, budget={"steps": 10**6}, validation={})
    config = write(tmp_path / "config.yaml", content)
    code = "import sys, pathlib; from dualfocus.training.loop import train; train(pathlib.Path(sys.argv[1]))"
    source_folder = str(Path(__file__).parents[1] / "src")
    environment = os.environ | {"PYTHONPATH": source_folder, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code, str(config)], env=environment, stdout=subprocess.DEVNULL)
    try:
        checkpoint, deadline = tmp_path / "run" / "checkpoint.pt", time.monotonic() + 60
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)  # somewhere inside a step or a save: every step saves
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    reached = load_checkpoint(tmp_path / "run")["step"]
    assert reached >= 1
    content["budget"] = {"steps": reached + 2}
    weights = train(write(config, content), resume=True)
    assert load_weights(weights)[1]["steps"] == reached + 2


def test_resuming_with_another_network_is_refused(tmp_path, trained):
    content = settings(trained.parent.parent, {"kind": "procedural"}, model={"options": SMALL | {"surfaces": 4}})
    with pytest.raises(ValueError, match=r"checkpoint\.pt.*model"):
        train(write(tmp_path / "config.yaml", content), resume=True)


def test_resuming_with_other_settings_is_refused(tmp_path, rendered):
    content = settings(tmp_path, {"kind": "rendered", "path": str(rendered)})
    config = write(tmp_path / "config.yaml", content)
    train(config)
    for change in ({"seed": 8}, {"optimiser": {"warmup_steps": 3}}):
        with pytest.raises(ValueError, match=rf"checkpoint\.pt.*{next(iter(change))}"):
            train(write(config, content | change), resume=True)
    longer = content | {"budget": {"steps": 6}, "checkpoint_minutes": 5}
    assert load_weights(train(write(config, longer), resume=True))[1]["steps"] == 6


def test_throughput_counts_stacks(tmp_path, rendered):
    from dualfocus.benchmarks.throughput import measure, to_text

    source = {"kind": "rendered", "path": str(rendered)}
    path = write(tmp_path / "config.yaml", settings(tmp_path, source))
    found = measure(path, steps=2)
    assert all(found[key] > 0 for key in ("prepared", "trained", "together")) and 0 <= found["waiting"] < 1
    assert not (tmp_path / "run").exists()  # nothing is kept
    assert f"{found['trained']:.1f} trained" in to_text(found)
    with pytest.raises(ValueError, match="steps"):
        measure(path, steps=0)
