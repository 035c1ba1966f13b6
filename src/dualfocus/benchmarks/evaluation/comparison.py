"""Controlled comparisons: the same data, order, steps and evaluation for every row, several seeds, one table.

A comparison is a YAML file: what all rows share (`train`, a training configuration without `output` and `seed`), what
each row changes (`rows`), the `seeds`, and how the result is measured (`evaluate`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dualfocus.benchmarks.evaluation.evaluate import evaluate
from dualfocus.benchmarks.evaluation.measure import COLUMNS
from dualfocus.benchmarks.evaluation.options import EvaluationOptions
from dualfocus.benchmarks.protocols import find_protocol
from dualfocus.benchmarks.writing import write_json, write_text
from dualfocus.markdown import markdown_table
from dualfocus.models import build_network
from dualfocus.training.config import TrainConfig
from dualfocus.training.loop import Trainer
from dualfocus.training.yaml_config import read_yaml

NOT_RUN = "not run"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Measurement(_Strict):
    """How every trained network is measured, see `dualfocus evaluate`."""

    protocol: str
    data: Path | None = None
    limit: int | None = Field(default=None, ge=1)
    columns: tuple[str, ...] = Field(min_length=1)


class Comparison(_Strict):
    """What is compared with what, and how."""

    title: str
    reference: str  # the row that ratios are taken to
    seeds: tuple[int, ...] = Field(min_length=1)
    evaluate: Measurement
    train: dict[str, Any]
    rows: dict[str, dict[str, Any]] = Field(min_length=2)

    def training(self, row: str, seed: int, out: Path) -> TrainConfig:
        """The training configuration of one run."""
        settings = {"output": str(run_folder(out, row, seed)), "seed": seed}
        return TrainConfig.model_validate(merge(merge(self.train, self.rows[row]), settings))


def read_comparison(path: Path) -> Comparison:
    """Read and check a comparison, every row of it.

    Raises:
        ValueError: naming the file, the key and what is wrong with it.
    """
    found: Comparison = read_yaml(path, Comparison)
    find_protocol(found.evaluate.protocol)
    try:
        for row, changes in found.rows.items():
            _check_row(path, found, row, changes)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{path}: {where}: {first['msg']}") from None
    unknown = sorted(set(found.evaluate.columns) - set(COLUMNS))
    if unknown:
        raise ValueError(f"{path}: evaluate.columns: {unknown[0]!r} is not one of {', '.join(COLUMNS)}")
    if found.reference not in found.rows:
        raise ValueError(f"{path}: reference: {found.reference!r} is not one of the rows")
    return found


def _check_row(path: Path, comparison: Comparison, row: str, changes: Mapping[str, Any]) -> None:
    """A row changes network and loss alone, its network can be built, and its name can be a folder's and a cell's."""
    if row != row.strip(" .") or set(row) & set('/\\|:*?"<>\n\r') or not row:
        raise ValueError(
            f"{path}: rows: {row!r} cannot be the name of a folder; use letters, digits, blanks and commas"
        )
    extra = sorted(set(changes) - {"model", "loss"})
    if extra:
        raise ValueError(f"{path}: rows.{row}: {extra[0]!r} must be the same for all rows; put it under train")
    try:
        _parameters(comparison, row)
    except ValidationError:
        raise
    except ValueError as error:
        raise ValueError(f"{path}: rows.{row}: {error}") from None


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, mappings inside merged likewise."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        result[key] = merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result


def run_folder(out: Path, row: str, seed: int) -> Path:
    """Where one run keeps its checkpoint, log, weights and figures."""
    return out / row / f"seed-{seed}"


def compare(path: Path, out: Path, only: Sequence[str] = (), report: Callable[[str], None] | None = None) -> str:
    """Train and measure what is not there yet, seed by seed, and write `out/comparison.md`.

    A stopped comparison goes on where it was; rows that were not run are in the table and say so.

    Args:
        path: the comparison.
        out: folder of the runs.
        only: names of rows; all by default.
        report: called with a line before every training.

    Returns:
        the table as Markdown.

    Raises:
        ValueError: a bad comparison, or a row that it does not have.
    """
    comparison = read_comparison(path)
    unknown = sorted(set(only) - set(comparison.rows))
    if unknown:
        raise ValueError(f"{path}: no row {unknown[0]!r}; it has {', '.join(comparison.rows)}")
    for seed in comparison.seeds:
        for row in only or comparison.rows:
            if report:
                report(f"{row}, seed {seed}")
            _run(comparison, row, seed, out)
            write_text(out / "comparison.md", table(comparison, out))
    return table(comparison, out)


def _run(comparison: Comparison, row: str, seed: int, out: Path) -> None:
    """Train one network unless its weights are there, and measure it unless its figures are there."""
    config, measurement = comparison.training(row, seed, out), comparison.evaluate
    _remember(config.output / "settings.json", config, measurement)
    weights = config.output / f"{config.model.name}.safetensors"
    if not weights.exists():
        Trainer(config, resume=(config.output / "checkpoint.pt").exists()).run()
    if not (config.output / "figures" / "summary.json").exists():
        options = EvaluationOptions(measurement.limit)
        evaluate([str(weights)], measurement.protocol, measurement.data, config.output / "figures", options)


def _remember(path: Path, config: TrainConfig, measurement: Measurement) -> None:
    """Keep what a run was made with; a run made with anything else must not get into the table."""
    settings = {"train": _dump(config), "evaluate": measurement.model_dump(mode="json")}
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, settings)
        return
    earlier = json.loads(path.read_text(encoding="utf-8"))
    if _completed(earlier["train"], config.output) != settings["train"] or earlier["evaluate"] != settings["evaluate"]:
        raise ValueError(f"{path.parent}: was made with other settings; give another folder, or remove this one")


def _dump(config: TrainConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude={"output"})


def _completed(train: dict[str, Any], output: Path) -> dict[str, Any] | None:
    """Kept settings with the defaults of those that came later; None where they can no longer be read."""
    try:
        return _dump(TrainConfig.model_validate(train | {"output": output}))
    except ValidationError:
        return None


def table(comparison: Comparison, out: Path) -> str:
    """Mean over seeds, the range between seeds, and the ratio to the reference, as Markdown."""
    columns = comparison.evaluate.columns
    figures = {row: _figures(comparison, row, out) for row in comparison.rows}
    reference = figures[comparison.reference]
    header = ["row", "parameters", "seeds", *(heading for column in columns for heading in (column, "ratio"))]
    rows = []
    for row, runs in figures.items():
        cells = [row, _parameters(comparison, row), str(len(runs)) if runs else NOT_RUN]
        for column in columns:
            values, base = ([run[column] for run in some if run[column] is not None] for some in (runs, reference))
            cells += [_spread(values), f"{mean(values) / mean(base):.2f}" if values and base and mean(base) else ""]
        rows.append(cells)
    note = f"Mean over seeds [smallest, largest]; ratio to {comparison.reference}. {_budget(comparison)}"
    return "\n\n".join([comparison.title, markdown_table(header, rows), note]) + "\n"


def _figures(comparison: Comparison, row: str, out: Path) -> list[dict[str, float]]:
    """Means over the images, of every seed that was run."""
    found = []
    for seed in comparison.seeds:
        path = run_folder(out, row, seed) / "figures" / "summary.json"
        if path.exists():
            summary = json.loads(path.read_text(encoding="utf-8"))
            (model,) = summary["models"].values()
            found.append(model["mean"])
    return found


def _parameters(comparison: Comparison, row: str) -> str:
    config = comparison.training(row, 0, Path("runs")).model
    with torch.device("meta"):
        network = build_network(config.name, config.options)
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.4f}" + (f" [{min(values):.4f}, {max(values):.4f}]" if len(values) > 1 else "")


def _budget(comparison: Comparison) -> str:
    config = comparison.training(comparison.reference, 0, Path("runs"))
    images = "all images" if comparison.evaluate.limit is None else f"{comparison.evaluate.limit} images"
    return (
        f"Every row: {config.budget.steps} steps, crop {config.data.crop}, the same batches for the same seed;"
        f" measured on {images} of {comparison.evaluate.protocol}."
    )
