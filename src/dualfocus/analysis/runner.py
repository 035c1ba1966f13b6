"""Measure models in every experiment; rows are kept as they come, so a stopped run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dualfocus
from dualfocus.analysis.experiments import Experiment, Level
from dualfocus.analysis.inputs import Inputs, MissingError
from dualfocus.benchmarks.evaluation.evaluator import ALL_COLUMNS, run
from dualfocus.benchmarks.evaluation.names import own_name, safe_name
from dualfocus.benchmarks.evaluation.records import ModelRecord
from dualfocus.benchmarks.evaluation.reliability import ConfidenceHistogram
from dualfocus.benchmarks.evaluation.run_folder import open_run
from dualfocus.benchmarks.evaluation.systems import System
from dualfocus.datasets.stride import even_stride
from dualfocus.inference.fingerprint import fingerprint
from dualfocus.outputs import DepthResult
from dualfocus.stack import FocalStack

MIDDLE = "middle"
FIGURES = {"rmse": "range_rmse", "within": "within_half_plane", "confidence": "confidence", "valid": "valid"}
BINS = 10  # points of a reliability curve
Progress = Callable[[int, int, str], None]
_Errors = dict[str, dict[str, float]]  # model to stack to RMSE


class Middle:
    """Always the middle of the focus range, without confidence: what an answer is worth must show against it."""

    def predict(self, stack: FocalStack) -> DepthResult:
        """The middle, everywhere."""
        middle = float(stack.depth_from_coordinate(stack.coordinates[[0, -1]].mean()))
        depth, valid = np.full(stack.size, middle, np.float32), np.ones(stack.size, bool)
        return DepthResult.of_stack(stack, depth=depth, valid=valid, all_in_focus=stack[0], model=MIDDLE)


def measure(
    experiments: Sequence[Experiment],
    models: Mapping[str, System],
    inputs: Inputs,
    out: Path,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Run experiments.

    Args:
        experiments: which.
        models: name to model; `MIDDLE` joins them.
        inputs: what the stacks are made from.
        out: folder of the records, one folder for each experiment and level inside.
        progress: called with (levels done, levels in all, what is measured).

    Returns:
        for each experiment `name`, `title`, `question`, `axis`, `error_unit`, `steps`, the name of its `reference` or
        None, `missing` (level to what it needs) and `rows`: `level`, `model`, `n`, mean and standard error over stacks
        of the `FIGURES` and of `change` (the stack's RMSE less that at the first level), `reference` or None,
        `calibration_error`, and `reliability`, triples of mean confidence, share right and share of the pixels.

    Raises:
        ValueError: `out` holds figures of something else.
    """
    total, done, found = sum(len(experiment.levels) for experiment in experiments), 0, []
    for experiment in experiments:
        said = ("name", "title", "question", "axis", "error_unit", "steps")
        answer: dict[str, Any] = {key: getattr(experiment, key) for key in said} | {"missing": {}, "rows": []}
        answer["reference"] = None if experiment.reference is None else experiment.reference[0]
        first: _Errors = {}
        for level in experiment.levels:
            if progress is not None:
                progress(done, total, f"{experiment.name}: {level}")
            try:
                answer["rows"] += _measure_level(experiment, level, {**models, MIDDLE: Middle()}, inputs, out, first)
            except MissingError as error:
                answer["missing"][str(level)] = str(error)
            done += 1
        found.append(answer)
    return found


def _measure_level(
    experiment: Experiment, level: Level, models: Mapping[str, System], inputs: Inputs, out: Path, first: _Errors
) -> list[dict[str, Any]]:
    """The rows of a level; the errors of the first level of an experiment are put into `first`."""
    dataset = experiment.levels[level](inputs)
    indices = even_stride(len(dataset), inputs.scenes)
    names = [dataset.names[index] for index in indices]
    folder = out / experiment.name / safe_name(str(level))
    folder.parent.mkdir(parents=True, exist_ok=True)
    open_run(folder, _record(experiment, level, inputs), {n: fingerprint(m) for n, m in models.items()}, resume=True)
    run(models, dataset, folder, indices)
    reference = None if experiment.reference is None else experiment.reference[1](level)
    rows = []
    for model in models:
        record = ModelRecord(folder / own_name(model), ALL_COLUMNS)
        stacks = {name: dict(record.rows[name]) for name in names}
        for figures in stacks.values():
            figures["range_rmse"] /= experiment.per_unit(level)
        errors = {name: figures["range_rmse"] for name, figures in stacks.items()}
        before = first.setdefault(model, errors)
        change = [error - before.get(name, np.nan) for name, error in errors.items()]
        row: dict[str, Any] = {"level": level, "model": model, "n": int(np.isfinite(list(errors.values())).sum())}
        for key, column in FIGURES.items():
            row |= _mean(key, [figures[column] for figures in stacks.values()])
        row |= _mean("change", change) | {"reference": reference}
        rows.append(row | _honesty(record.histogram(names)))
    return rows


def _record(experiment: Experiment, level: Level, inputs: Inputs) -> dict[str, Any]:
    """What rows depend on; more scenes may join them."""
    data = {name: str(path) for name, path in inputs.data.items()}
    stated = {"experiment": experiment.name, "level": level, "size": list(inputs.size), "data": data}
    return {**stated, "version": dualfocus.__version__}


def _mean(key: str, values: Sequence[float]) -> dict[str, float]:
    """Mean and standard error over the stacks that have a figure."""
    known = np.array(values)[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else float("nan")
    error = float(known.std(ddof=1) / len(known) ** 0.5) if len(known) > 1 else float("nan")
    return {key: mean, f"{key}_error": error}


def _honesty(pooled: ConfidenceHistogram) -> dict[str, Any]:
    """How the confidence of all pixels together compares with what happened."""
    sums = (pooled.count, pooled.confidence, pooled.correct)
    count, said, right = (part.reshape(BINS, -1).sum(axis=1) for part in sums)
    used = count > 0
    curve = np.stack([said[used] / count[used], right[used] / count[used], count[used] / max(count.sum(), 1)], axis=1)
    return {"calibration_error": pooled.expected_calibration_error(), "reliability": curve.tolist()}
