"""`dualfocus analyse`: what accuracy and confidence depend on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualfocus.commands.console import progress_bar
from dualfocus.commands.options import DEFAULT_MODEL, DeviceOption, given_path, output_option

if TYPE_CHECKING:
    from dualfocus.benchmarks.evaluation.systems import System


def analyse(
    out: Annotated[Path, output_option(help="Folder for the answers; a stopped run goes on there.")],
    models: Annotated[
        list[str] | None,
        typer.Argument(help=f"Models or weights files, or LABEL=FILE; {DEFAULT_MODEL} and classical if none."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="textures, pathtraced or nyu: pictures for more answers; repeat."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Stacks at each level.")] = 24,
    size: Annotated[int, typer.Option(min=32, help="Side of the rendered pictures.")] = 160,
    only: Annotated[list[str] | None, typer.Option(help="This experiment (docs/analysis.md); may be repeated.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure what accuracy and confidence depend on: a figure and numbers for each question."""
    from dualfocus.analysis.analyse import analyse as answer
    from dualfocus.analysis.experiments import find_experiments
    from dualfocus.analysis.inputs import Inputs

    models, data = models or [DEFAULT_MODEL, "classical"], data or []
    experiments, inputs = find_experiments(only), Inputs(limit, (size, size), assign_data(data))
    loaded = load_models(models, device)
    words = ["dualfocus", "analyse", *models, "-o", str(out), "--limit", str(limit), "--size", str(size)]
    words += [w for given in data for w in ("--data", given)]
    words += [w for name in only or () for w in ("--only", name)]
    with progress_bar("analysing") as report:
        answer(experiments, loaded, inputs, out, words, report)
    typer.echo(f"written to {out}")


def load_models(names: Sequence[str], device: str) -> dict[str, System]:
    """Models by the names that figures give them.

    Args:
        names: each a model that `dualfocus.load_model` knows, a weights file, which is called as the file is, or
            LABEL=MODEL.
        device: auto, cpu, cuda or mps.

    Raises:
        ValueError: two of one name, or as `load_model` says.
    """
    import dualfocus
    from dualfocus.analysis.runner import MIDDLE

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
    from dualfocus.analysis.inputs import DATA

    found = {}
    for word in given:
        name, _, path = word.partition("=")
        if name not in DATA:
            raise ValueError(f"--data {word}: give NAME=PATH, with NAME one of {', '.join(DATA)}")
        found[name] = given_path(path, f"the path of --data {word}")
        if not found[name].exists():
            raise ValueError(f"--data {word}: {path} does not exist")
    return found
