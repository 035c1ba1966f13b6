"""Fit the confidence map of existing weights anew: ``python -m dualfocus.training.recalibrate WEIGHTS CONFIG -o OUT``.

For weights made by hand (a mean of several), and for people whose photographs are unlike the stacks that the
shipped map was fitted on: the validation sources of the configuration say what "right" means.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from dualfocus.models.weights import load_weights, save_weights
from dualfocus.training.calibrate import fit_confidence_map
from dualfocus.training.config import read_config
from dualfocus.training.validate import Validation


def recalibrate(weights: Path, config_path: Path, out: Path) -> Path:
    """Write ``weights`` to ``out`` with a confidence map fitted on the validation sources of a training configuration.

    The record keeps everything else; its ``validation`` figures are those of these sources.

    Raises:
        ValueError: bad weights or configuration, or no validation sources in it.
    """
    config = read_config(config_path)
    if not config.validation.sources:
        raise ValueError(f"{config_path}: validation.sources is empty; name the stacks to fit the confidence on")
    network, record = load_weights(weights)
    validation = Validation(config.validation, config.seed, config.data.coordinate)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    record["validation"] = {key: round(value, 5) for key, value in validation(network, device).items()}
    record["confidence_map"] = fit_confidence_map(network, validation.draw_for_calibration(), device)
    save_weights(out, record["model"], network, record)
    return out


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dualfocus.training.recalibrate", description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("config", type=Path, help="a training configuration; its validation sources are used")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where to write the new .safetensors")
    arguments = parser.parse_args()
    try:
        written = recalibrate(arguments.weights, arguments.config, arguments.out)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"weights written to {written}")


if __name__ == "__main__":
    main()
