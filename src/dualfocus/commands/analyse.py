"""`dualfocus analyse` from its words to its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dualfocus
from dualfocus.analysis.analyse import analyse
from dualfocus.analysis.experiments import find_experiments
from dualfocus.analysis.inputs import DATA, Inputs
from dualfocus.analysis.runner import MIDDLE
from dualfocus.benchmarks.evaluator import System
from dualfocus.commands.console import progress_bar

DEFAULT_MODELS = ("dualfocus-s", "classical")


def run(
    models: Sequence[str] | None,
    data: Sequence[str],
    limit: int,
    size: int,
    only: Sequence[str] | None,
    device: str,
    out: Path,
) -> None:
    """Measure and write; everything that can be refused is, before anything is measured."""
    experiments, inputs = find_experiments(only), Inputs(limit, (size, size), assign_data(data))
    loaded = load_models(models or DEFAULT_MODELS, device)
    words = ["dualfocus", "analyse", *(models or DEFAULT_MODELS), "-o", str(out), "--limit", str(limit)]
    words += ["--size", str(size), *(w for given in data for w in ("--data", given))]
    words += [w for name in only or () for w in ("--only", name)]
    with progress_bar("analysing") as report:
        analyse(experiments, loaded, inputs, out, words, report)


def load_models(names: Sequence[str], device: str) -> dict[str, System]:
    """Models by the names that figures give them.

    Args:
        names: each a model that `dualfocus.load_model` knows, a weights file, which is called as the file is, or
            LABEL=MODEL.
        device: auto, cpu, cuda or mps.

    Raises:
        ValueError: two of one name, or as `load_model` says.
    """
    found: dict[str, System] = {}
    for name in names:
        label, _, model = name.rpartition("=")
        label = label or (Path(model).stem if model.endswith(".safetensors") else model)
        if label in found or label == MIDDLE:
            raise ValueError(f"two models are called {label!r}: name one as LABEL={model}")
        found[label] = dualfocus.load_model(model, device=device)
    return found


def assign_data(given: Sequence[str]) -> dict[str, Path]:
    """`NAME=PATH` words as a mapping; ValueError for another name or a path that does not exist."""
    found = {}
    for word in given:
        name, _, path = word.partition("=")
        if name not in DATA:
            raise ValueError(f"--data {word}: give NAME=PATH, with NAME one of {', '.join(DATA)}")
        if not Path(path).exists():
            raise ValueError(f"--data {word}: {path} does not exist")
        found[name] = Path(path)
    return found
