"""Run models over a dataset: each sample is made once and given to every model that still lacks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dualfocus.benchmarks.measure import COLUMNS, measure
from dualfocus.benchmarks.protocol import Protocol as Rules
from dualfocus.benchmarks.records import ModelRecord, safe_name
from dualfocus.datasets import Dataset, Sample
from dualfocus.stack import FocalStack

ALL_COLUMNS = (*COLUMNS, "seconds")
_TIE = 1e-9  # rounding between bins whose pixels all have one confidence
Progress = Callable[[int, int, str], None]


class Predictor(Protocol):
    """Anything that turns a focal stack into a `DepthResult`."""

    def predict(self, stack: FocalStack) -> Any:
        """Depth, validity, confidence of the stack."""
        ...


class SamplePredictor(Protocol):
    """A system that needs more than the stack: its name, say, or the all-in-focus image. It never sees padding."""

    def predict_sample(self, sample: Sample) -> Any:
        """The `DepthResult` of a sample, at its size."""
        ...


System = Predictor | SamplePredictor


def run(
    models: Mapping[str, System],
    dataset: Dataset,
    out: Path,
    indices: Sequence[int],
    progress: Progress | None = None,
    rules: Rules | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure models on samples and summarise; rows already in `out` are kept and not computed again.

    Args:
        models: name to model.
        dataset: where the samples come from.
        out: folder of the records; one folder per model inside.
        indices: which samples, in the order of the summary.
        progress: called with (done, total, sample name) after each sample.
        rules: the protocol; None measures depth as it is.

    Returns:
        `summarise` of each model.
    """
    records = {name: ModelRecord(out / safe_name(name), ALL_COLUMNS) for name in models}
    for done, index in enumerate(indices, start=1):
        name = dataset.names[index]
        lacking = [model for model, record in records.items() if name not in record.rows]
        if lacking:
            sample = dataset[index]
            for model in lacking:
                start = time.perf_counter()
                result = _answer(models[model], sample, rules)
                seconds = time.perf_counter() - start
                figures, histogram = measure(sample, result, rules)
                records[model].add(name, {**figures, "seconds": seconds}, histogram)
        if progress is not None:
            progress(done, len(indices), name)
    names = [dataset.names[index] for index in indices]
    return {model: summarise(record, names) for model, record in records.items()}


def _answer(model: Any, sample: Sample, rules: Rules | None) -> Any:
    if hasattr(model, "predict_sample"):
        return model.predict_sample(sample)
    return model.predict(sample.stack if rules is None else rules.padded(sample.stack))


def summarise(record: ModelRecord, names: Sequence[str]) -> dict[str, Any]:
    """Plain means over images, and the figures that pool the pixels of all of them.

    Returns:
        `images`; `mean`: each column's mean over the images where it has a meaning (NaN where it has none);
        `calibration_error` (15 equal-width bins); `error_by_confidence` (ten bins of equal count, least confident
        first, in focus ranges); `error_falls`: whether that falls from bin to bin.
    """
    table = np.array([[record.rows[name][column] for column in record.columns] for name in names])
    counted = np.isfinite(table)
    sums = np.where(counted, table, 0).sum(axis=0)
    mean = np.divide(sums, counted.sum(axis=0), out=np.full_like(sums, np.nan), where=counted.any(axis=0))
    pooled = record.histogram(names)
    bins = pooled.error_by_confidence().tolist() if pooled.count.any() else []
    return {
        "images": len(names),
        "mean": dict(zip(record.columns, mean.tolist(), strict=True)),
        "calibration_error": pooled.expected_calibration_error(),
        "error_by_confidence": bins,
        "error_falls": bool(np.all(np.diff(bins) <= _TIE)) if bins else None,
    }


def even_stride(count: int, limit: int | None) -> list[int]:
    """At most `limit` indices spread evenly over `count`, first and last included; all of them when None."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    if limit is None or limit >= count:
        return list(range(count))
    return np.unique(np.linspace(0, count - 1, limit).round().astype(int)).tolist()
