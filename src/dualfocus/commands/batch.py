"""`dualfocus predict` of several stacks: one that fails does not stop the rest."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dualfocus.commands.batch_folder import open_batch
from dualfocus.commands.console import progress_bar, warn
from dualfocus.outputs.summary import summary
from dualfocus.pipeline import Settings, check_settings, open_stack, predict_to_folder

if TYPE_CHECKING:
    from dualfocus.inference.prediction import Predictor

ENGINES = ("local", "ray")

Outcome = dict[str, Any]
_Run = Callable[[Mapping[str, Path], Path, Settings, bool], Iterator[tuple[str, Outcome]]]


def predict_batch(
    stacks: Sequence[Path],
    out: Path,
    settings: Settings,
    overwrite: bool = False,
    resume: bool = False,
    engine: str = "local",
    cluster: str | None = None,
    workers: int | None = None,
) -> int:
    """Predict every stack to a folder of its own in `out`, and print a table of what came out.

    Args:
        stacks: the sources.
        out: the output folder.
        settings: the same for all.
        overwrite: write among files that are not ours.
        resume: keep the results of an earlier run with the same settings.
        engine: "local", one after another, or "ray".
        cluster: address of a Ray cluster; one is started on this machine without.
        workers: most stacks at the same time, with Ray.

    Returns:
        The number of stacks that failed, of this run.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}: choose from {', '.join(ENGINES)}")
    if engine == "local" and (cluster, workers) != (None, None):
        raise ValueError("--cluster and --workers are for --engine ray")
    # an earlier batch is removed when this one begins, so what is wrong for every stack is refused before
    check_settings(settings)
    here = "cpu" if engine == "ray" else settings.device  # Ray's machines have the device
    load_cached(settings.model, here, settings.precision)
    if not resume:
        _check_any(stacks, settings)
    with contextlib.ExitStack() as held:
        run: _Run = _run_here
        if engine == "ray":
            from dualfocus.commands.ray_engine import connected

            run = held.enter_context(connected(settings.device, cluster, workers))
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


def run_job(source: Path, out: Path, settings: Settings, overwrite: bool) -> Outcome:
    """Predict one stack of a batch; an error becomes part of the outcome, because others may be fine."""
    started = time.perf_counter()
    try:
        model = load_cached(settings.model, settings.device, settings.precision)
        result = predict_to_folder(source, out, settings, overwrite, model)
        outcome: Outcome = {"status": "done", "summary": summary(result), "warnings": result.warnings}
    except (ValueError, OSError) as error:
        outcome = {"status": "failed", "error": " ".join(str(error).split())}
    except Exception as error:  # a fault of ours: the type says more than the text
        outcome = {"status": "failed", "error": " ".join(f"{type(error).__name__}: {error}".split())}
    return {**outcome, "seconds": round(time.perf_counter() - started, 3)}


@lru_cache(maxsize=1)
def load_cached(model: str, device: str, precision: str) -> Predictor:
    """The model, loaded once in a process."""
    from dualfocus.inference.loading import load_model

    return load_model(model, device=device, precision=precision)


def _check_any(stacks: Sequence[Path], settings: Settings) -> None:
    """Refuse a batch of which no stack can be predicted; the first that can ends the search."""
    refusals = []
    for path in stacks:
        try:
            open_stack(path, settings)
        except (ValueError, OSError) as error:
            refusals.append(f"{path.name}: {' '.join(str(error).split())}")
        else:
            return
    raise ValueError(f"none of the {len(stacks)} stacks can be predicted, so nothing was changed: {refusals[0]}")


def _run_here(
    jobs: Mapping[str, Path], out: Path, settings: Settings, overwrite: bool
) -> Iterator[tuple[str, Outcome]]:
    for name, source in jobs.items():
        yield name, run_job(source, out / name, settings, overwrite)


def _plain(settings: Settings) -> dict[str, Any]:
    """What decides the outcome, as JSON gives it back."""
    return {key: value for key, value in json.loads(json.dumps(asdict(settings))).items() if key != "device"}


def _show(entries: Mapping[str, Outcome], kept: set[str]) -> None:
    table = Table("stack", "", Column("result", overflow="fold"), box=None, pad_edge=False)
    for name, entry in entries.items():
        good = entry["status"] == "done"
        state = "kept" if name in kept else "done" if good else "failed"
        table.add_row(Text(name), Text(state, "" if good else "bold red"), Text(entry["summary" if good else "error"]))
    Console().print(table)
