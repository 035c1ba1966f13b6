"""Fit the confidence map of existing weights anew.

`python -m dualfocus.training.refit_confidence WEIGHTS CONFIG -o OUT` is for weights made by hand (a mean of several),
and for people whose photographs are unlike the stacks that the shipped map was fitted on: the validation sources of the
configuration say what "right" means. `--range N` keeps the map that is there and adds a range to it, of stacks with N
planes and more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from dualfocus.messages import ending_in_one_line
from dualfocus.models.record import ConfidenceMap, axis_of
from dualfocus.models.weights import load_weights, save_weights
from dualfocus.training.config import read_config
from dualfocus.training.fit_confidence import fit_confidence_map, with_range
from dualfocus.training.validate import Validation


def refit_confidence(weights: Path, config_path: Path, out: Path, start: int | None = None) -> Path:
    """Write `weights` to `out` with a confidence map fitted on the validation sources of a training configuration.

    The record keeps everything else, the `coordinate` that the weights answer in among it; its `validation` figures
    are those of these sources. With `start` these are kept as well, and so is the map, which gets one more range of
    N: `with_range`.

    Raises:
        ValueError: bad weights or configuration, no validation sources in it, or no stacks of `start` planes.
    """
    config = read_config(config_path)
    if not config.validation.sources:
        raise ValueError(f"{config_path}: validation.sources is empty; name the stacks to fit the confidence on")
    network, record = load_weights(weights)
    validation = Validation(config.validation, config.seed, axis_of(record))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    held_out = validation.draw_for_confidence()
    if start is None:
        record["validation"] = {key: round(value, 5) for key, value in validation(network, device).items()}
        record["confidence_map"] = fit_confidence_map(network, held_out, device)
    else:
        fitted: ConfidenceMap = record.get("confidence_map", ConfidenceMap(said=[], measured=[]))
        record["confidence_map"] = with_range(fitted, start, network, held_out, device)
    save_weights(out, record["model"], network, record)
    return out


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dualfocus.training.refit_confidence", description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("config", type=Path, help="a training configuration; its validation sources are used")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where to write the new .safetensors")
    parser.add_argument("--range", type=int, help="add a range of stacks with this many planes and more")
    arguments = parser.parse_args()
    with ending_in_one_line():
        written = refit_confidence(arguments.weights, arguments.config, arguments.out, arguments.range)
    print(f"weights written to {written}")


if __name__ == "__main__":
    main()
