"""`dualfocus analyse`: measure, then write `results.json`, a figure for each answer and `summary.md`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dualfocus
from dualfocus.analysis import constraints, figures, runner
from dualfocus.analysis.experiments import Experiment
from dualfocus.analysis.inputs import Inputs
from dualfocus.analysis.report import to_markdown
from dualfocus.benchmarks.evaluation.systems import System
from dualfocus.benchmarks.writing import write_json, write_text
from dualfocus.inference.fingerprint import fingerprint


def analyse(
    experiments: Sequence[Experiment],
    models: Mapping[str, System],
    inputs: Inputs,
    out: Path,
    command: Sequence[str],
    progress: runner.Progress | None = None,
) -> dict[str, Any]:
    """Answer questions.

    Args:
        experiments: the questions.
        models: name to model.
        inputs: what the stacks are made from.
        out: folder to make or to continue; `records/` inside holds a row for every stack.
        command: words that make the same again.
        progress: called with (levels done, levels in all, what is measured).

    Returns:
        what `results.json` holds: `version`, `command`, `stacks` in words, `models` and `experiments`, see
        `runner.measure`, and `constraints`.

    Raises:
        ModuleNotFoundError: no matplotlib.
        ValueError: `out` holds figures of other weights, sizes or data, or something else.
    """
    import matplotlib  # noqa: F401  # missing, it is named before anything is measured

    if out.is_dir() and any(out.iterdir()) and not (out / "records").is_dir():
        raise ValueError(f"{out}: holds files that are not of an analysis; choose an empty or a new folder")
    answers = runner.measure(experiments, models, inputs, out / "records", progress)
    described = {name: _describe(model) for name, model in models.items()}
    changes = constraints.changes(answers, described)
    results: dict[str, Any] = {
        "version": dualfocus.__version__,
        "command": shlex.join(command),
        "stacks": _stacks(inputs),
        "models": described,
        "experiments": answers,
        "constraints": [change._asdict() for change in changes],
    }
    write_json(out / "results.json", results)
    for answer in answers:
        if answer["rows"]:
            figures.draw(answer, results["stacks"], out / f"{answer['name']}.svg")
    if changes:
        figures.draw_constraints(changes, out / "constraints.svg")
    write_text(out / "summary.md", to_markdown(results))
    return results


def _describe(model: System) -> dict[str, Any]:
    record = getattr(model, "record", {})
    trained = {key: record.get(key) for key in ("model", "steps", "minutes", "seed")}
    return {"weights": fingerprint(model), **trained, "switches": constraints.switches(record)}


def _stacks(inputs: Inputs) -> str:
    textures = "held-out photographs" if "textures" in inputs.data else "noise"
    height, width = inputs.size
    return f"Rendered: {height} x {width} px, 5 planes, textures: {textures}, where nothing else is said."
