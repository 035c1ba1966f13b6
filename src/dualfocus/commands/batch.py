"""`dualfocus predict` of several stacks: one that fails does not stop the rest."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dualfocus.batch.folder import open_batch
from dualfocus.batch.jobs import Outcome, Run, check_any, load_cached, run_here
from dualfocus.commands.console import progress_bar, warn
from dualfocus.pipeline import Settings, check_settings

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Engine:
    """What runs the stacks of a batch.

    Attributes:
        name: "local", one after another, or "ray".
        cluster: address of a Ray cluster; one is started on this machine without.
        workers: most stacks at the same time, with Ray.

    Raises:
        ValueError: an unknown name, or a choice that only Ray has without Ray.
    """

    name: str = "local"
    cluster: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        """Check what was asked for before any stack is read."""
        if self.name not in ENGINES:
            raise ValueError(f"unknown engine {self.name!r}: choose from {', '.join(ENGINES)}")
        if self.name == "local" and (self.cluster, self.workers) != (None, None):
            raise ValueError("--cluster and --workers are for --engine ray")


def predict_batch(
    stacks: Sequence[Path],
    out: Path,
    settings: Settings,
    engine: Engine,
    overwrite: bool = False,
    resume: bool = False,
) -> int:
    """Predict every stack to a folder of its own in `out`, and print a table of what came out.

    Args:
        stacks: the sources.
        out: the output folder.
        settings: the same for all.
        engine: what runs them.
        overwrite: write among files that are not ours.
        resume: keep the results of an earlier run with the same settings.

    Returns:
        The number of stacks that failed, of this run.
    """
    # an earlier batch is removed when this one begins, so what is wrong for every stack is refused before
    check_settings(settings)
    here = "cpu" if engine.name == "ray" else settings.device  # Ray's machines have the device
    load_cached(settings.model, here, settings.precision)
    if not resume:
        check_any(stacks, settings)
    with contextlib.ExitStack() as held:
        run: Run = run_here
        if engine.name == "ray":
            from dualfocus.batch.ray_engine import connected

            run = held.enter_context(connected(settings.device, engine.cluster, engine.workers))
        batch = held.enter_context(open_batch(out, stacks, _plain(settings), resume, overwrite))
        jobs = batch.unfinished()
        kept = len(batch.stacks) - len(jobs)
        with progress_bar("predicting") as report:
            report(0, len(jobs), "")
            for done, (name, outcome) in enumerate(run(jobs, out, settings, overwrite), 1):
                batch.note(name, outcome)
                report(done, len(jobs), name)
        entries = {name: batch.entries[name] for name in batch.stacks}
    for name in jobs:
        warn(f"{name}: {text}" for text in entries[name].get("warnings", ()))
    _show(entries, set(entries) - set(jobs))
    failed = sum(entry["status"] != "done" for entry in entries.values())
    typer.echo(f"{len(jobs) - failed} done, {failed} failed, {kept} kept from an earlier run; written to {out}")
    return failed


def _plain(settings: Settings) -> dict[str, Any]:
    """What decides the outcome, as JSON gives it back."""
    return {key: value for key, value in json.loads(json.dumps(asdict(settings))).items() if key != "device"}


def _show(entries: Mapping[str, Outcome], kept: set[str]) -> None:
    # folded, not cut: in a pipe there are 80 columns, and two long names may differ at their ends alone
    table = Table(Column("stack", overflow="fold"), "", Column("result", overflow="fold"), box=None, pad_edge=False)
    for name, entry in entries.items():
        good = entry["status"] == "done"
        state = "kept" if name in kept else "done" if good else "failed"
        table.add_row(Text(name), Text(state, "" if good else "bold red"), Text(entry["summary" if good else "error"]))
    Console().print(table)
