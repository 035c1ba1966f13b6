"""The trainer: exact resumption, checkpoints that survive a kill, readable weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from training_runs import SMALL, TERMS, logged, settings, write

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from dualfocus.models import build_network
from dualfocus.models.record import WeightsRecord
from dualfocus.models.weights import load_weights, save_weights
from dualfocus.training.average import average
from dualfocus.training.checkpoint import load_checkpoint
from dualfocus.training.config import read_config
from dualfocus.training.loop import Trainer, train
from dualfocus.training.shares import measure_shares
from dualfocus.training.validate import Validation


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
    return train(write(folder / "config.yaml", settings(folder, source, seed=7, looks=1)))


def test_the_record_says_how_the_weights_were_made(trained):
    network, record = load_weights(trained)
    assert network.config.surfaces == 3
    assert record["steps"] == 5 and record["seed"] == 7 and record["looks"] == 1 and record["precision"] == "no"
    assert record["data"][0]["licence"] == "CC0" and record["data"][0]["kind"] == "rendered"
    assert {"rmse", "mae", "mae_spacings"} <= record["validation"].keys()
    assert (np.diff(record["confidence_map"]["measured"]) > 0).all()
    assert record["hardware"] and record["minutes"] >= 0 and record["preprocessing"]
    assert record.keys() | {"averaged"} == get_type_hints(WeightsRecord).keys()
    assert str(trained.parent.parent) not in json.dumps(record)  # no paths of the machine
    assert json.loads(trained.with_suffix(".json").read_text()) == record
    assert trained.stat().st_mode == trained.with_suffix(".json").stat().st_mode  # whoever reads one reads both


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


def test_shares_of_a_mean_are_measured_on_each_source_by_itself(trained, rendered, tmp_path):
    network, record = load_weights(trained)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    moved, config = tmp_path / "moved.safetensors", trained.parent.parent / "config.yaml"
    save_weights(moved, record["model"], network, record)
    measured = measure_shares(trained, moved, [config], [0, 0.5, 1])
    assert list(measured) == [f"config: {rendered.name}"]
    [errors] = measured.values()
    held_out = Validation(read_config(config).validation, 7)
    for path, error in ((trained, errors[0]), (moved, errors[2])):
        assert held_out(load_weights(path)[0], torch.device("cpu"))["rmse"] == error
    assert len(set(errors)) == 3

    command = [sys.executable, "-m", "dualfocus.training.shares", str(trained), str(moved), str(config), "--shares"]
    shown = subprocess.run([*command, "0", "1"], check=True, capture_output=True, text=True).stdout.splitlines()
    assert shown[0] == f"| share of AFTER | config: {rendered.name} |"
    assert shown[2:] == [f"| 0 | {errors[0]:.4f} |", f"| 1 | {errors[2]:.4f} |"]
    with pytest.raises(ValueError, match="a second source would be called"):
        measure_shares(trained, moved, [config, config])
    failed = subprocess.run([*command, "1.5"], capture_output=True, text=True)
    assert failed.returncode and "from 0 to 1" in failed.stderr and "Traceback" not in failed.stderr


def test_confidence_is_fitted_anew_for_the_stacks_of_a_configuration(trained, tmp_path):
    config, out = trained.parent.parent / "config.yaml", tmp_path / "again.safetensors"
    command = [sys.executable, "-m", "dualfocus.training.refit_confidence", str(trained), str(config), "-o", str(out)]
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


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "photo.jpg").write_text("mine")
    (tmp_path / "run" / "log.jsonl").write_text("mine, too")
    with pytest.raises(ValueError, match=r"not of a training run \(photo.jpg\)"):
        train(path)
    assert [p.read_text() for p in sorted((tmp_path / "run").iterdir())] == ["mine, too", "mine"]
    (tmp_path / "run" / "photo.jpg").unlink()  # what is left looks like a run that was killed before a checkpoint
    (tmp_path / "run" / "log.jsonl").write_text("")
    train(path)
    with pytest.raises(ValueError, match="holds a training run; use --resume"):
        train(path)


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
    from dualfocus.benchmarks.timing.throughput import measure, to_text

    source = {"kind": "rendered", "path": str(rendered)}
    path = write(tmp_path / "config.yaml", settings(tmp_path, source))
    found = measure(path, steps=2)
    assert all(found[key] > 0 for key in ("prepared", "trained", "together")) and 0 <= found["waiting"] < 1
    assert not (tmp_path / "run").exists()  # nothing is kept
    assert f"{found['trained']:.1f} trained" in to_text(found)
    with pytest.raises(ValueError, match="steps"):
        measure(path, steps=0)
