"""`dualfocus train` and `compare`: networks from their configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualfocus.commands.options import output_option, path_argument


def train(
    config: Annotated[Path, path_argument(help="YAML configuration, e.g. configs/dualfocus-s.yaml.")],
    out: Annotated[Path | None, output_option(help="Output folder, in place of the configured.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    time_limit: Annotated[float | None, typer.Option(min=0, help="Minutes, in place of the configured.")] = None,
) -> None:
    """Train a network and export its weights."""
    from dualfocus.training.loop import train as run_training

    weights = run_training(config, resume=resume, time_limit=time_limit, output=out)
    typer.echo(f"weights written to {weights}")


def compare(
    config: Annotated[Path, path_argument(help="YAML comparison, e.g. configs/comparison/nyu-small.yaml.")],
    out: Annotated[Path, output_option(help="Folder for the runs; a stopped comparison goes on there.")],
    row: Annotated[list[str] | None, typer.Option(help="Only this row; may be repeated.")] = None,
) -> None:
    """Train and measure networks that differ in one thing, and write the table."""
    from dualfocus.benchmarks.evaluation.comparison import compare as run_comparison

    typer.echo(run_comparison(config, out, row or (), report=lambda line: typer.echo(line, err=True)))
