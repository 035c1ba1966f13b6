"""The configurations of the other systems, cut short, on data in the real layout."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from dualfocus import load_model
from dualfocus.baselines.train import train
from dualfocus.datasets import open_nyu

CONFIGS = Path(__file__).parents[1] / "configs" / "baselines"
SMALL = {"va-depth": {"width": 0.125, "side": 64}, "hybriddepth-style": {"relative": "ramp", "focus": "classical"}}


@pytest.mark.parametrize(("system", "form"), [("va-depth", "nyu-labelled"), ("hybriddepth-style", "nyu-bts")])
def test_a_configuration_runs_and_its_weights_predict(system, form, benchmark_data, tmp_path):
    nyu = benchmark_data(form)
    config = yaml.safe_load((CONFIGS / f"{system}.yaml").read_text())
    short = {"data": str(nyu), "output": str(tmp_path / "out"), "batch": 2, "steps": 2}
    config |= {**short, "network": config["network"] | SMALL[system]}
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(config))
    weights = train(tmp_path / "short.yaml", report=lambda _: None)
    assert weights == tmp_path / "out" / f"{system}.safetensors"
    sample = open_nyu(nyu, "test", planes=5)[0]
    result = load_model(weights, device="cpu").predict_sample(sample)
    assert result.depth.shape == sample.truth.shape and np.isfinite(result.depth).all() and result.valid.any()
    assert any("all-in-focus image of the data set" in warning for warning in result.warnings)
