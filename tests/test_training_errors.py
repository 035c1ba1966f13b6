"""What `dualfocus train` says when it stops, and that what it says to do can be done."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from test_training import settings, write

from dualfocus.models.weights import load_weights
from dualfocus.training.checkpoint import NAME, load_checkpoint
from dualfocus.training.loop import train


def configuration(folder: Path, **changes) -> Path:
    content = settings(folder, {"kind": "procedural"}, validation={})
    return write(folder / "config.yaml", content | changes)


@pytest.mark.parametrize("whole_settings", [False, True])
def test_a_run_goes_on_with_another_learning_rate(tmp_path, whole_settings):
    train(configuration(tmp_path, budget={"steps": 1}))
    if whole_settings:  # as checkpoints were before the rate could change
        state = load_checkpoint(tmp_path / "run")
        state["settings"]["optimiser"] |= {"learning_rate": 1e-3, "clip": 1.0}
        torch.save(state, tmp_path / "run" / NAME)
    lower = {"warmup_steps": 2, "learning_rate": 1e-4, "clip": 0.5}
    weights = train(configuration(tmp_path, budget={"steps": 2}, optimiser=lower), resume=True)
    record = load_weights(weights)[1]
    assert record["steps"] == 2 and record["training"]["optimiser"]["learning_rate"] == 1e-4
    with pytest.raises(ValueError, match="other settings of 'optimiser'"):
        train(configuration(tmp_path, budget={"steps": 3}, optimiser=lower | {"weight_decay": 0.5}), resume=True)
