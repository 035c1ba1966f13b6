"""`dualfocus evaluate`: models by name, protocols, their data, and a folder of figures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualfocus.benchmarks.evaluation.command_line import command_words
from dualfocus.benchmarks.evaluation.evaluator import ALL_COLUMNS, Progress, run
from dualfocus.benchmarks.evaluation.names import own_name, safe_name
from dualfocus.benchmarks.evaluation.options import EvaluationOptions
from dualfocus.benchmarks.evaluation.processes import ALONE, Processes
from dualfocus.benchmarks.evaluation.records import ModelRecord
from dualfocus.benchmarks.evaluation.run_folder import identify, open_collection, open_run
from dualfocus.benchmarks.evaluation.slices import COLUMNS as SLICE_COLUMNS
from dualfocus.benchmarks.evaluation.systems import System, load_models
from dualfocus.benchmarks.protocols import BenchmarkProtocol, find_protocol, open_dataset
from dualfocus.benchmarks.tables.latex import to_latex
from dualfocus.benchmarks.tables.report import PICTURE, to_markdown
from dualfocus.benchmarks.tables.worst import draw_worst, worst_images
from dualfocus.benchmarks.writing import write_json, write_table, write_text
from dualfocus.datasets import Dataset
from dualfocus.datasets.stride import even_stride
from dualfocus.inference.fingerprint import fingerprint

Data = str | Path | None


def evaluate(
    model_names: Sequence[str],
    protocol_name: str,
    data: Data,
    out: str | Path,
    options: EvaluationOptions | None = None,
    progress: Progress | None = None,
    models: Mapping[str, System] | None = None,
) -> dict[str, Any]:
    """Measure models under one protocol; `evaluate_all` says what the arguments mean.

    Returns:
        What `summary.json` holds.
    """
    return evaluate_all(model_names, {protocol_name: data}, out, options, progress, models)[protocol_name]


def evaluate_all(
    model_names: Sequence[str],
    data: Mapping[str, Data],
    out: str | Path,
    options: EvaluationOptions | None = None,
    progress: Progress | None = None,
    models: Mapping[str, System] | None = None,
    processes: Processes = ALONE,
) -> dict[str, dict[str, Any]]:
    """Measure models under protocols; write rows as they come, then the summaries.

    The figures of one protocol go to `out`, those of several to a folder each inside, and their summaries are joined.
    A run that was stopped continues: rows of the same protocol, data and weights that are there are kept.

    Args:
        model_names: names or weight files that `load_model` knows, or `files:FOLDER` of predictions made elsewhere.
        data: name of the protocol, of `PROTOCOLS`, to the folder or file of its data, None where it needs none.
        out: folder for the figures.
        options: the same for all protocols.
        progress: called with (done, total, sample name), counted over all protocols.
        models: models to use in place of loading `model_names`, by name.
        processes: those that share the work.

    Returns:
        name of the protocol to what its `summary.json` holds; nothing but in the main process.

    Raises:
        ValueError: unknown protocol, unusable data, or figures of something else in `out`.
    """
    options, out = options or EvaluationOptions(), Path(out)
    several = len(data) > 1
    jobs = [_plan(name, path, out / safe_name(name) if several else out, options) for name, path in data.items()]
    systems = _load_systems(model_names, options.device, models, jobs)
    command = shlex.join(["dualfocus", *command_words(model_names or list(models or ()), data, out, options)])
    if several and processes.is_main:
        open_collection(out, list(data))
    total, before = sum(len(job.indices) for job in jobs), 0
    summaries: dict[str, dict[str, Any]] = {}
    for job, under_test in zip(jobs, systems, strict=True):
        shown = None if progress is None else _offset_progress(progress, before, total)
        summaries[job.protocol.name] = _evaluate_job(job, under_test, options, processes, shown, command)
        before += len(job.indices)
    if several and processes.is_main:
        _join_summaries(out, jobs, summaries)
    return summaries if processes.is_main else {}


@dataclass(frozen=True)
class _Job:
    """One protocol with its data, opened."""

    protocol: BenchmarkProtocol
    data: Data
    dataset: Dataset
    indices: list[int]
    folder: Path

    @property
    def names(self) -> list[str]:
        return [self.dataset.names[index] for index in self.indices]


def _plan(protocol_name: str, data: Data, folder: Path, options: EvaluationOptions) -> _Job:
    protocol = find_protocol(protocol_name)
    dataset = open_dataset(protocol, data)
    return _Job(protocol, data, dataset, even_stride(len(dataset), options.limit), folder)


def _load_systems(
    names: Sequence[str], device: str, given: Mapping[str, System] | None, jobs: Sequence[_Job]
) -> list[dict[str, System]]:
    """The systems of each job by label; models are loaded once, predictions from files depend on the protocol."""
    if given is not None:
        return [dict(given) for _ in jobs]
    if not names:
        raise ValueError("name at least one model to evaluate")
    loaded: dict[str, System] = {}
    return [load_models(names, device, job.protocol, job.names, loaded, job.dataset.names) for job in jobs]


def _evaluate_job(
    job: _Job,
    models: Mapping[str, System],
    options: EvaluationOptions,
    processes: Processes,
    progress: Progress | None,
    command: str,
) -> dict[str, Any]:
    """Measure under one protocol and write its summary."""
    import dualfocus

    fingerprints = {name: fingerprint(model) for name, model in models.items()}
    if processes.is_main:
        record = {
            "protocol": job.protocol.conventions(),
            "data": identify(job.dataset),
            "version": dualfocus.__version__,
        }
        open_run(job.folder, record, fingerprints, options.resume)
    figures = run(models, job.dataset, job.folder, job.indices, progress, job.protocol, processes)
    if not processes.is_main:
        return {}
    available = {"images": len(job.indices), "available": len(job.dataset)}
    summary: dict[str, Any] = {
        "protocol": job.protocol.conventions(),
        "data": {"path": None if job.data is None else str(job.data), **available},
        "version": dualfocus.__version__,
        "command": command,
        "models": {name: {"weights": fingerprints[name], **figures[name]} for name in models},
    }
    for name, model in models.items():
        summary["models"][name] |= _write_details(job, options, name, model, summary["models"][name])
    write_json(job.folder / "summary.json", summary)
    write_text(job.folder / "summary.md", to_markdown(job.protocol, summary))
    write_text(job.folder / "summary.tex", to_latex(job.protocol, summary))
    return summary


def _write_details(
    job: _Job, options: EvaluationOptions, name: str, system: System, figures: Mapping[str, Any]
) -> dict[str, Any]:
    """The slices of one model as a table, and pictures of its worst images."""
    folder = job.folder / own_name(name)
    rows = [[key, *group.values()] for key, groups in figures["slices"].items() for group in groups]
    write_table(folder / "slices.csv", [["slice", "group", *SLICE_COLUMNS], *rows])
    if not options.worst:
        return {}
    column = options.worst_by or job.protocol.headline[0]
    known = ModelRecord(folder, ALL_COLUMNS).rows
    worst = {image: known[image][column] for image in worst_images(known, job.names, column, options.worst)}
    pictures = draw_worst(name, system, job.dataset, job.protocol, folder, worst, column)
    return {"folder": folder.name, "worst_by": column, "worst": pictures}


def _offset_progress(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _, what: progress(before + done, total, what)


def _join_summaries(out: Path, jobs: Sequence[_Job], summaries: Mapping[str, Any]) -> None:
    """The summaries of all protocols in the folder above theirs, from where links to pictures must hold too."""
    write_json(out / "summary.json", {"protocols": summaries})
    write_text(out / "summary.tex", "\n".join((job.folder / "summary.tex").read_text(encoding="utf-8") for job in jobs))
    texts = [(job.folder.name, (job.folder / "summary.md").read_text(encoding="utf-8")) for job in jobs]
    write_text(out / "summary.md", "\n".join(text.replace(PICTURE, f"{PICTURE}{name}/") for name, text in texts))
