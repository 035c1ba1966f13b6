"""Run models over a dataset: each sample is made once and given to every model that still lacks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dualfocus import metrics
from dualfocus.benchmarks.evaluation.measure import COLUMNS, Yardstick
from dualfocus.benchmarks.evaluation.names import own_name
from dualfocus.benchmarks.evaluation.processes import ALONE, Processes
from dualfocus.benchmarks.evaluation.records import ModelRecord
from dualfocus.benchmarks.evaluation.systems import System, answer
from dualfocus.benchmarks.protocols import BenchmarkProtocol
from dualfocus.datasets import Dataset, Sample

ALL_COLUMNS = (*COLUMNS, "seconds")
_TIE = 1e-9  # rounding between bins whose pixels all have one confidence

Progress = Callable[[int, int, str], None]  # done, total, name of the sample


def run(
    models: Mapping[str, System],
    dataset: Dataset,
    out: Path,
    indices: Sequence[int],
    progress: Progress | None = None,
    protocol: BenchmarkProtocol | None = None,
    processes: Processes = ALONE,
) -> dict[str, dict[str, Any]]:
    """Measure models on samples and summarise; rows already in `out` are kept and not computed again.

    Args:
        models: name to model.
        dataset: where the samples come from.
        out: folder of the records; one folder per model inside.
        indices: which samples, in the order of the summary.
        progress: called with (done, total, sample name) after each sample.
        protocol: the protocol; None measures depth as it is.
        processes: those that share the work.

    Returns:
        `summarise` of each model in the main process, nothing in the others.
    """
    names = [dataset.names[index] for index in indices]
    records = _open_records(models, out, processes)
    lacking = [index for index in indices if any(dataset.names[index] not in r.rows for r in records.values())]
    mine = processes.share(lacking)
    for count, index in enumerate(mine, start=1):
        _measure_sample(models, records, dataset[index], protocol)
        if progress is not None:  # the others are about as far
            done = len(indices) - len(lacking) + min(count * processes.count, len(lacking))
            progress(done, len(indices), dataset.names[index])
    processes.wait()
    if not processes.is_main:
        return {}
    for record in records.values():
        record.gather(names)
    parts = () if protocol is None else protocol.parts
    return {model: summarise(record, names, parts) for model, record in records.items()}


def _open_records(models: Mapping[str, System], out: Path, processes: Processes) -> dict[str, ModelRecord]:
    """The main process first: it takes up what a stopped run has left."""
    if not processes.is_main:
        processes.wait()
    records = {name: ModelRecord(out / own_name(name), ALL_COLUMNS, processes.rank) for name in models}
    if processes.is_main:
        processes.wait()
    return records


def _measure_sample(
    models: Mapping[str, System], records: Mapping[str, ModelRecord], sample: Sample, protocol: BenchmarkProtocol | None
) -> None:
    """Add the row of a sample to every record that lacks it."""
    yardstick = Yardstick(sample, protocol)
    for name, record in records.items():
        if sample.name not in record.rows:
            start = time.perf_counter()
            result = answer(models[name], sample, protocol)
            seconds = time.perf_counter() - start
            measured = yardstick.measure(result)
            figures = {**measured.figures, "seconds": seconds}
            record.add(sample.name, figures, measured.histogram, measured.slices)


def summarise(record: ModelRecord, names: Sequence[str], parts: Sequence[str] = ()) -> dict[str, Any]:
    """Plain means over images, and the figures that pool the pixels of all of them.

    Args:
        record: holds a row for each of the images.
        names: the images to summarise.
        parts: first folders of the names that get means of their own.

    Returns:
        `images`; `mean`: each column's mean over the images where it has a meaning (NaN where it has none);
        `parts`: part to its `images` and `mean`, those that have images;
        `calibration_error` (15 equal-width bins); `error_by_confidence` (ten bins of equal count, least confident
        first, in focus ranges); `error_falls`: whether that falls from bin to bin; `risk_coverage`: mean error in focus
        ranges of the most confident 1/20, 2/20, ... of the pixels; `slices`: see `SliceSums.table`.
    """
    of_parts = {part: [name for name in names if name.partition("/")[0] == part] for part in parts}
    pooled = record.histogram(names)
    some = pooled.count.any()
    bins = pooled.error_by_confidence().tolist() if some else []
    return {
        **_means(record, names),
        "parts": {part: _means(record, images) for part, images in of_parts.items() if images},
        "calibration_error": pooled.expected_calibration_error(),
        "error_by_confidence": bins,
        "error_falls": bool(np.all(np.diff(bins) <= _TIE)) if bins else None,
        "risk_coverage": metrics.risk_coverage(pooled.count, pooled.error).tolist() if some else [],
        "slices": record.slices(names).table(),
    }


def _means(record: ModelRecord, names: Sequence[str]) -> dict[str, Any]:
    table = np.array([[record.rows[name][column] for column in record.columns] for name in names])
    counted = np.isfinite(table)
    sums = np.where(counted, table, 0).sum(axis=0)
    mean = np.divide(sums, counted.sum(axis=0), out=np.full_like(sums, np.nan), where=counted.any(axis=0))
    return {"images": len(names), "mean": dict(zip(record.columns, mean.tolist(), strict=True))}
