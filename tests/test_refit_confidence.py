"""Fitting the confidence of existing weights anew: what the weights say of themselves is kept."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from training_runs import SMALL, settings, write, write_stack

from dualfocus.models import build_network
from dualfocus.models.weights import load_weights, save_weights
from dualfocus.training.config import read_config
from dualfocus.training.refit_confidence import refit_confidence
from dualfocus.training.validate import Validation


@pytest.fixture
def weights(tmp_path) -> Path:
    """Of a network that answers in depth."""
    path = tmp_path / "weights.safetensors"
    torch.manual_seed(0)
    record = {"coordinate": "depth"}
    save_weights(path, "dualfocus-s", build_network("dualfocus-s", SMALL), record)
    return path


def configuration(folder: Path, **changes) -> Path:
    write_stack(folder / "data" / "scene", 3, "m")
    source = {"kind": "stacks", "path": str(folder / "data")}
    validation = {"sources": [source], "stacks": 2, "calibration_stacks": 2, "crop": 32}
    return write(folder / "config.yaml", settings(folder, source, validation=validation, **changes))


def test_truth_is_in_the_coordinate_of_the_weights(weights, tmp_path):
    path = configuration(tmp_path)
    config = read_config(path)
    assert config.data.coordinate == "focus"
    network, record = load_weights(refit_confidence(weights, path, tmp_path / "out.safetensors"))
    figures = {
        coordinate: Validation(config.validation, config.seed, coordinate)(network, torch.device("cpu"))["rmse"]
        for coordinate in ("depth", "focus")
    }
    assert record["validation"]["rmse"] == pytest.approx(figures["depth"], abs=1e-4)
    assert abs(figures["depth"] - figures["focus"]) > 1e-3, "else this tests nothing"
    assert record["coordinate"] == "depth"
