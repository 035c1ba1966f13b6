"""The summary of an analysis as Markdown: a figure and a table for each question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dualfocus.analysis.runner import MIDDLE
from dualfocus.benchmarks.tables.error_table import number
from dualfocus.markdown import markdown_table

_MODEL_HEADER = ("model", "network", "steps", "minutes", "spatial", "focal", "weights")
_HEADER = ("share right", "confidence", "valid", "calibration error")


def to_markdown(results: Mapping[str, Any]) -> str:
    """All answers.

    Args:
        results: what `analyse.analyse` returned.
    """
    parts = [
        "# Analysis",
        f"`{results['command']}`",
        f"{results['stacks']} Mean ± standard error over n stacks. *Share right*: error below half a plane spacing,"
        " which is what the confidence speaks of. *Change*: RMSE of a stack less that of the same in the first row."
        " `middle` always answers the middle of the focus range.",
        markdown_table(_MODEL_HEADER, _model_rows(results["models"])),
    ]
    for answer in results["experiments"]:
        parts.append(f"## {answer['question']}")
        parts += [f"*{level}: not measured, {why}.*" for level, why in answer["missing"].items()]
        if answer["rows"]:
            header = (answer["axis"], "model", "n", f"RMSE, {answer['error_unit']}", "change", *_HEADER)
            parts += [
                f"![{answer['question']}]({answer['name']}.svg)",
                markdown_table(header, map(_row, answer["rows"])),
            ]
    if results["constraints"]:
        parts += ["## What do the two constraints change?", "![Constraints](constraints.svg)", _changes(results)]
    return "\n\n".join(parts) + "\n"


def _model_rows(models: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for name, model in models.items():
        switches = model["switches"] or {"spatial": "", "focal": ""}
        trained = [model["model"] or "", *(number(model[key]) for key in ("steps", "minutes"))]
        yield [name, *trained, switches["spatial"], switches["focal"], model["weights"]]


def _row(row: Mapping[str, Any]) -> Sequence[str]:
    cells = [str(row["level"]), row["model"], str(row["n"]), _spread(row, "rmse"), _spread(row, "change", "+")]
    if row["model"] == MIDDLE:
        return [*cells, _spread(row, "within"), "", "", ""]
    honesty = [f"{row[key]:.3f}" for key in ("valid", "calibration_error")]
    return [*cells, _spread(row, "within"), _spread(row, "confidence"), *honesty]


def _spread(row: Mapping[str, Any], key: str, sign: str = "") -> str:
    mean, error = row[key], row[f"{key}_error"]
    return "" if np.isnan(mean) else f"{mean:{sign}.3f}" + ("" if np.isnan(error) else f" ± {error:.3f}")


def _changes(results: Mapping[str, Any]) -> str:
    rows = [
        [change["experiment"], change["model"], *(f"{change[key]:.3f}" for key in ("ratio", "least", "most"))]
        for change in results["constraints"]
    ]
    return markdown_table(("experiment", "model", "RMSE / without both", "least level", "most"), rows)
