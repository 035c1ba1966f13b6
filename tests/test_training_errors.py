"""What `dualfocus train` says when it stops, and that what it says to do can be done."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from training_runs import settings, write, write_stack

from dualfocus.cli import main
from dualfocus.models.weights import load_weights
from dualfocus.training.checkpoint import NAME, load_checkpoint
from dualfocus.training.loop import train


def configuration(folder: Path, **changes) -> Path:
    content = settings(folder, {"kind": "procedural"}, validation={})
    return write(folder / "config.yaml", content | changes)


@pytest.mark.parametrize("whole_settings", [False, True])
def test_a_run_goes_on_with_another_learning_rate(tmp_path, whole_settings):
    train(configuration(tmp_path, budget={"steps": 1}))
    if whole_settings:  # as checkpoints were before the rate could change, and the confidence's weight
        state = load_checkpoint(tmp_path / "run")
        del state["settings"]["loss"]["confidence"]
        state["settings"]["optimiser"] |= {"learning_rate": 1e-3, "clip": 1.0}
        torch.save(state, tmp_path / "run" / NAME)
    lower = {"warmup_steps": 2, "learning_rate": 1e-4, "clip": 0.5}
    weights = train(configuration(tmp_path, budget={"steps": 2}, optimiser=lower), resume=True)
    record = load_weights(weights)[1]
    assert record["steps"] == 2 and record["training"]["optimiser"]["learning_rate"] == 1e-4
    with pytest.raises(ValueError, match="other settings of 'optimiser'"):
        train(configuration(tmp_path, budget={"steps": 3}, optimiser=lower | {"weight_decay": 0.5}), resume=True)


def refusal(config: Path, capsys) -> str:
    """The one line that `dualfocus train` ends with."""
    assert main(["train", str(config)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and "Traceback" not in said
    return said


def test_a_worker_names_data_that_cannot_be_used(tmp_path):
    write_stack(tmp_path / "data" / "scene7", 7, "m")
    source = {"kind": "stacks", "path": str(tmp_path / "data")}
    path = configuration(tmp_path, data={"sources": [source], "planes_per_batch": 24, "workers": 1, "crop": 64})
    command = [sys.executable, "-m", "dualfocus", "train", str(path)]  # forked from here, a worker may wait for ever
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and "scene7" in done.stderr and "lower data.crop" in done.stderr
    assert "DataLoader" not in done.stderr and "Traceback" not in done.stderr


WORKERS_BESIDE_OPENCV = """
import cv2, numpy as np
from dualfocus.training.batches import batch_loader
from dualfocus.training.config import DataConfig

cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.float32), (0, 0), 3)  # has begun threads
config = DataConfig(sources=[{"kind": "procedural"}], crop=32, planes=[2, 2], planes_per_batch=2, workers=1)
print(len(list(batch_loader(config, 0, 0, 2))), cv2.getNumThreads())
"""


def test_workers_begin_beside_the_threads_of_opencv():
    """As of the second row of a comparison, when the first one was measured in the same process."""
    command = [sys.executable, "-c", WORKERS_BESIDE_OPENCV]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["2", "4"], done.stderr


def test_data_that_cannot_be_used_is_named(tmp_path, capsys):
    write_stack(tmp_path / "data" / "scene7", 7, "m")
    data = {"sources": [{"kind": "stacks", "path": str(tmp_path / "data")}], "planes_per_batch": 24, "workers": 0}
    said = refusal(configuration(tmp_path, data=data | {"crop": 64}), capsys)
    assert "scene7" in said and "40x40 pixels are smaller than the crop of 64; lower data.crop" in said
    picture = tmp_path / "data" / "scene7" / "img1.png"
    picture.write_bytes(picture.read_bytes()[:100])
    said = refusal(configuration(tmp_path, data=data | {"crop": 32}), capsys)
    assert "scene7" in said and "img1.png" in said and "DataLoader" not in said
    np.save(tmp_path / "data" / "scene7" / "depth.npy", np.zeros((3, 3), np.float32))
    assert "scene7" in refusal(configuration(tmp_path, data=data | {"crop": 32}), capsys)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_no_generator_takes(tmp_path, capsys, seed):
    assert "config.yaml: seed: " in refusal(configuration(tmp_path, seed=seed), capsys)


@pytest.mark.parametrize("options", [{"surfaces": "many"}, {"encoder": 5}, {"decoder": [1, 2]}])
def test_a_network_option_of_the_wrong_kind(tmp_path, capsys, options):
    assert f"option {next(iter(options))}: " in refusal(configuration(tmp_path, model={"options": options}), capsys)


@pytest.mark.parametrize("change", [{"planes_per_batch": 5}, {"most_stacks": 1}])
def test_batches_too_small_for_their_statistics(tmp_path, capsys, change):
    data = {"sources": [{"kind": "procedural"}], "crop": 32, "planes": [4, 4], "planes_per_batch": 8, "workers": 0}
    said = refusal(configuration(tmp_path, data=data | change), capsys)
    assert "data.crop of 32" in said and "data.planes_per_batch to 8" in said and "data.most_stacks" in said
    train(configuration(tmp_path, data=data, budget={"steps": 1}))
    alone = data | change | {"crop": 64}
    train(configuration(tmp_path, data=alone, budget={"steps": 1}), output=tmp_path / "alone")
