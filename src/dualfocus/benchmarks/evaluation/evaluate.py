"""`dualfocus evaluate`: models by name, protocols, their data, and a folder of figures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualfocus.baselines import KINDS
from dualfocus.benchmarks.evaluation.evaluator import ALL_COLUMNS, Progress, System, run
from dualfocus.benchmarks.evaluation.processes import ALONE, Processes
from dualfocus.benchmarks.evaluation.records import (
    ModelRecord,
    identify,
    own_name,
    safe_name,
    write_json,
    write_table,
    write_text,
)
from dualfocus.benchmarks.evaluation.run_folder import open_collection, open_run
from dualfocus.benchmarks.evaluation.slices import COLUMNS as SLICE_COLUMNS
from dualfocus.benchmarks.protocols import Protocol, find_protocol, open_dataset
from dualfocus.benchmarks.protocols.files import PREFIX, Files
from dualfocus.benchmarks.tables.latex import to_latex
from dualfocus.benchmarks.tables.report import PICTURE, to_markdown
from dualfocus.benchmarks.tables.worst import draw_worst, worst_images
from dualfocus.datasets import Dataset
from dualfocus.datasets.stride import even_stride
from dualfocus.inference.fingerprint import fingerprint

Data = str | Path | None
DEFAULT_WORST = 3  # pictures of each model on the command line


@dataclass(frozen=True)
class Options:
    """What does not depend on the protocol.

    Attributes:
        limit: measure this many samples, spread evenly over the split; None for all.
        device: auto, cpu, cuda or mps.
        resume: False drops the rows that are there for these models.
        worst: draw this many of the worst images of each model.
        worst_by: the column that tells which are worst; None for the first of the protocol's table.

    Raises:
        ValueError: a column that does not exist, or a negative number of pictures.
    """

    limit: int | None = None
    device: str = "auto"
    resume: bool = True
    worst: int = 0
    worst_by: str | None = None

    def __post_init__(self) -> None:
        """Check what is known before anything is read."""
        if self.worst_by is not None and self.worst_by not in ALL_COLUMNS:
            raise ValueError(f"unknown metric {self.worst_by!r}: use one of {', '.join(ALL_COLUMNS)}")
        if self.worst < 0:
            raise ValueError(f"the number of worst images must not be negative, not {self.worst}")


def evaluate(
    model_names: Sequence[str],
    protocol: str,
    data: Data,
    out: str | Path,
    limit: int | None = None,
    device: str = "auto",
    resume: bool = True,
    progress: Progress | None = None,
    models: Mapping[str, System] | None = None,
) -> dict[str, Any]:
    """Measure models under one protocol; `evaluate_all` says what the arguments mean.

    Returns:
        What `summary.json` holds.
    """
    options = Options(limit, device, resume)
    return evaluate_all(model_names, {protocol: data}, out, options, progress, models)[protocol]


def evaluate_all(
    model_names: Sequence[str],
    data: Mapping[str, Data],
    out: str | Path,
    options: Options | None = None,
    progress: Progress | None = None,
    models: Mapping[str, System] | None = None,
    processes: Processes = ALONE,
) -> dict[str, dict[str, Any]]:
    """Measure models under protocols; write rows as they come, then the summaries.

    The figures of one protocol go to `out`, those of several to a folder each inside, and their summaries are joined.
    A run that was stopped continues: rows of the same protocol, data and weights that are there are kept.

    Args:
        model_names: names or weight files that `load_model` knows, or `files:FOLDER` of predictions made elsewhere.
        data: protocol, a name of `PROTOCOLS`, to the folder or file of its data, None where it needs none.
        out: folder for the figures.
        options: of all protocols.
        progress: called with (done, total, sample name), counted over all protocols.
        models: models to use in place of loading `model_names`, by name.
        processes: that share the work.

    Returns:
        protocol to what its `summary.json` holds; nothing but in the main process.

    Raises:
        ValueError: unknown protocol, unusable data, or figures of something else in `out`.
    """
    options, out = options or Options(), Path(out)
    several = len(data) > 1
    jobs = [_plan(name, path, out / safe_name(name) if several else out, options) for name, path in data.items()]
    systems = _systems(model_names, options.device, models, jobs)
    command = shlex.join(["dualfocus", *command_words(model_names or list(models or ()), data, out, options)])
    if several and processes.is_main:
        open_collection(out, list(data))
    total, before, found = sum(len(job.indices) for job in jobs), 0, {}
    for job, under_test in zip(jobs, systems, strict=True):
        shown = None if progress is None else _shifted(progress, before, total)
        found[job.rules.name] = _run(job, under_test, options, processes, shown, command)
        before += len(job.indices)
    if several and processes.is_main:
        _join(out, jobs, found)
    return found if processes.is_main else {}


@dataclass(frozen=True)
class _Job:
    """One protocol with its data, opened."""

    rules: Protocol
    data: Data
    dataset: Dataset
    indices: list[int]
    folder: Path

    @property
    def names(self) -> list[str]:
        return [self.dataset.names[index] for index in self.indices]


def _plan(protocol: str, data: Data, folder: Path, options: Options) -> _Job:
    rules = find_protocol(protocol)
    dataset = open_dataset(rules, data)
    return _Job(rules, data, dataset, even_stride(len(dataset), options.limit), folder)


def _systems(
    names: Sequence[str], device: str, given: Mapping[str, System] | None, jobs: Sequence[_Job]
) -> list[dict[str, System]]:
    """The systems of each job by label; models are loaded once, predictions from files depend on the protocol."""
    if given is not None:
        return [dict(given) for _ in jobs]
    if not names:
        raise ValueError("name at least one model to evaluate")
    loaded: dict[str, System] = {}
    return [load_models(names, device, job.rules, job.names, loaded, job.dataset.names) for job in jobs]


def load_models(
    names: Sequence[str],
    device: str,
    rules: Protocol,
    samples: Sequence[str],
    loaded: dict[str, System] | None = None,
    everything: Sequence[str] | None = None,
) -> dict[str, System]:
    """Load models by the names that `evaluate` takes; each keeps its own name in the tables.

    Args:
        names: of the models.
        device: auto, cpu, cuda or mps.
        rules: the protocol, which says what predictions from files mean.
        samples: names of the samples that will be measured, of which every file must be there.
        loaded: models by name that need not be loaded again; those that are loaded join it.
        everything: names of all samples of the data set; default ``samples``.
    """
    loaded = {} if loaded is None else loaded
    found: dict[str, System] = {}
    for name in names:
        if name == PREFIX:  # else it would be the current folder
            raise ValueError(f"{name} is empty: give the folder of predictions, as {PREFIX}FOLDER")
        path = Path(name.removeprefix(PREFIX))
        label = f"{PREFIX}{path.name}" if name.startswith(PREFIX) else name
        is_file = path.suffix == ".safetensors" and name.partition(":")[0] not in KINDS
        label = path.stem if is_file else label
        if label in found:
            raise ValueError(f"two models are called {label!r}: their rows would mix")
        if name.startswith(PREFIX):
            found[label] = Files(path, rules, samples, everything)
        else:
            from dualfocus.loading import load_model

            found[label] = loaded[name] = loaded[name] if name in loaded else load_model(name, device=device)
    return found


def _run(
    job: _Job,
    models: Mapping[str, System],
    options: Options,
    processes: Processes,
    progress: Progress | None,
    command: str,
) -> dict[str, Any]:
    """Measure under one protocol and write its summary."""
    import dualfocus

    fingerprints = {name: fingerprint(model) for name, model in models.items()}
    if processes.is_main:
        record = {"protocol": job.rules.conventions(), "data": identify(job.dataset), "version": dualfocus.__version__}
        open_run(job.folder, record, fingerprints, options.resume)
    figures = run(models, job.dataset, job.folder, job.indices, progress, job.rules, processes)
    if not processes.is_main:
        return {}
    available = {"images": len(job.indices), "available": len(job.dataset)}
    summary: dict[str, Any] = {
        "protocol": job.rules.conventions(),
        "data": {"path": None if job.data is None else str(job.data), **available},
        "version": dualfocus.__version__,
        "command": command,
        "models": {name: {"weights": fingerprints[name], **figures[name]} for name in models},
    }
    for name, model in models.items():
        summary["models"][name] |= _extras(job, options, name, model, summary["models"][name])
    write_json(job.folder / "summary.json", summary)
    write_text(job.folder / "summary.md", to_markdown(job.rules, summary))
    write_text(job.folder / "summary.tex", to_latex(job.rules, summary))
    return summary


def _extras(job: _Job, options: Options, name: str, system: System, figures: Mapping[str, Any]) -> dict[str, Any]:
    """The slices of one model as a table, and pictures of its worst images."""
    folder = job.folder / own_name(name)
    rows = [[key, *group.values()] for key, groups in figures["slices"].items() for group in groups]
    write_table(folder / "slices.csv", [["slice", "group", *SLICE_COLUMNS], *rows])
    if not options.worst:
        return {}
    column = options.worst_by or job.rules.headline[0]
    known = ModelRecord(folder, ALL_COLUMNS).rows
    worst = {image: known[image][column] for image in worst_images(known, job.names, column, options.worst)}
    pictures = draw_worst(name, system, job.dataset, job.rules, folder, worst, column)
    return {"folder": folder.name, "worst_by": column, "worst": pictures}


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _, what: progress(before + done, total, what)


def _join(out: Path, jobs: Sequence[_Job], found: Mapping[str, Any]) -> None:
    """The summaries of all protocols in the folder above theirs, from where links to pictures must hold too."""
    write_json(out / "summary.json", {"protocols": found})
    write_text(out / "summary.tex", "\n".join((job.folder / "summary.tex").read_text(encoding="utf-8") for job in jobs))
    texts = [(job.folder.name, (job.folder / "summary.md").read_text(encoding="utf-8")) for job in jobs]
    write_text(out / "summary.md", "\n".join(text.replace(PICTURE, f"{PICTURE}{name}/") for name, text in texts))


def command_words(names: Sequence[str], data: Mapping[str, Data], out: str | Path, options: Options) -> list[str]:
    """The command line that makes these figures, after `dualfocus`."""
    words = ["evaluate", *names]
    for protocol in data:
        words += ["--protocol", protocol]
    for protocol, path in data.items():
        words += [] if path is None else ["--data", str(path) if len(data) == 1 else f"{protocol}={path}"]
    words += ["-o", str(out)]
    words += [] if options.limit is None else ["--limit", str(options.limit)]
    words += [] if options.device == "auto" else ["--device", options.device]
    words += [] if options.worst == DEFAULT_WORST else ["--worst", str(options.worst)]
    words += [] if options.worst_by is None else ["--worst-by", options.worst_by]
    return words
