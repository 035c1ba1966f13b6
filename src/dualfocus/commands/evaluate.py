"""`dualfocus evaluate`: which data belong to which protocol, and in which process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualfocus.commands.console import progress_bar
from dualfocus.commands.options import DEFAULT_MODEL, DeviceOption, given_path, output_option

if TYPE_CHECKING:
    from dualfocus.benchmarks.evaluation.options import EvaluationOptions


def evaluate(
    out: Annotated[Path, output_option(help="Folder for the figures; a stopped run goes on there.")],
    protocol: Annotated[
        list[str],
        typer.Option(help="stacks, procedural, nyu/hybriddepth-n5, ... (docs/benchmarks.md); may be repeated."),
    ],
    models: Annotated[
        list[str] | None, typer.Argument(help=f"Models, or files:FOLDER of predictions; {DEFAULT_MODEL} if none.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]PATH", help="Data of the protocol, of protocol NAME, or of all NAME/...; repeat."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only this many samples, evenly spread.")] = None,
    device: DeviceOption = "auto",
    resume: Annotated[bool, typer.Option(help="Keep the rows that are there already.")] = True,
    worst: Annotated[int, typer.Option(min=0, help="Draw this many of the worst images of each model.")] = 3,
    worst_by: Annotated[str | None, typer.Option(help="Metric that tells which are worst; the table's first.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Share the images between so many processes or GPUs.")] = 1,
) -> int:
    """Measure models on stacks with ground truth, under one protocol or several."""
    from dualfocus.benchmarks.evaluation.options import EvaluationOptions

    options = EvaluationOptions(limit, device, resume, worst, worst_by)
    paths = assign_data(protocol, data or [])
    if processes > 1:
        return run_in_processes(processes, models or [DEFAULT_MODEL], paths, out, options)
    run(models or [DEFAULT_MODEL], paths, out, options)
    return 0


def assign_data(protocols: Sequence[str], given: Sequence[str]) -> dict[str, Path | None]:
    """The data of each protocol, from what `--data` was given.

    Args:
        protocols: names, in order.
        given: `NAME=PATH`, for the protocol NAME or all protocols NAME/..., or one `PATH` for all that need data and
            have no name of their own.

    Returns:
        protocol to path, None where nothing was given.

    Raises:
        ValueError: an unknown protocol or one named twice, data for a protocol that is not asked for, or for the same
            protocol twice.
    """
    from dualfocus.benchmarks.protocols import find_protocol

    for protocol in protocols:
        find_protocol(protocol)
    if len(set(protocols)) != len(protocols):
        raise ValueError(f"a protocol is named twice: {', '.join(protocols)}")
    named: dict[str, Path] = {}
    plain: list[Path] = []
    for text in given:
        name, path = _split(text)
        if not name:
            plain.append(path)
        elif name in named:
            raise ValueError(f"--data {text}: {name} has its data already")
        elif not any(_serves(name, protocol) for protocol in protocols):
            raise ValueError(f"--data {text}: no protocol of this run is called {name}; it has {', '.join(protocols)}")
        else:
            named[name] = path
    if len(plain) > 1:
        raise ValueError(f"--data {plain[1]}: say which protocol it is for, as NAME={plain[1]}")
    found: dict[str, Path | None] = {}
    for protocol in protocols:
        fits = [known for known in named if _serves(known, protocol)]
        takes_plain = plain and (len(protocols) == 1 or find_protocol(protocol).needs_data)
        found[protocol] = named[max(fits, key=len)] if fits else plain[0] if takes_plain else None
    if plain and plain[0] not in found.values():
        raise ValueError(f"--data {plain[0]}: no protocol of this run is without data")
    return found


def _serves(name: str, protocol: str) -> bool:
    return protocol == name or protocol.startswith(f"{name}/")


def _split(text: str) -> tuple[str, Path]:
    """Name and path of `NAME=PATH`; no name for a path alone, which may hold a = too."""
    from dualfocus.benchmarks.protocols import PROTOCOLS

    name, sign, path = text.partition("=")
    if sign and any(_serves(name, protocol) for protocol in PROTOCOLS):
        return name, given_path(path, f"the path of --data {text}")
    if sign and not Path(text).exists():
        raise ValueError(f"--data {text}: {name!r} is no protocol; use one of {', '.join(PROTOCOLS)}")
    return "", given_path(text, "--data")


def run(models: Sequence[str], data: Mapping[str, Path | None], out: Path, options: EvaluationOptions) -> None:
    """Measure, and print the summary from the main process."""
    from dualfocus.benchmarks.evaluation.evaluate import evaluate_all
    from dualfocus.benchmarks.evaluation.processes import join

    processes = join(options.device)
    with progress_bar("evaluating", shown=processes.is_main) as report:
        evaluate_all(models, data, out, options, report, processes=processes)
    if processes.is_main:
        typer.echo((out / "summary.md").read_text(encoding="utf-8"))
        typer.echo(f"written to {out}")
    processes.leave()


def run_in_processes(
    count: int, models: Sequence[str], data: Mapping[str, Path | None], out: Path, options: EvaluationOptions
) -> int:
    """`run` in several processes; returns the exit code."""
    from dualfocus.benchmarks.evaluation.command_line import command_words
    from dualfocus.benchmarks.evaluation.processes import launch

    words = command_words(models, data, out, options)
    words += [] if options.resume else ["--no-resume"]
    return launch(count, options.device, words)
