"""The summary of an evaluation as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dualfocus.benchmarks.evaluation.measure import COLUMNS
from dualfocus.benchmarks.evaluation.slices import SLICES
from dualfocus.benchmarks.protocols import BenchmarkProtocol
from dualfocus.benchmarks.protocols.published import PublishedRow
from dualfocus.benchmarks.tables.error_table import (
    ErrorTable,
    error_table,
    heading,
    number,
    numbers,
    presented,
    published_rows,
)
from dualfocus.markdown import markdown_table

PICTURE = "[picture]("  # how a link to a picture begins
_ALREADY_SAID = ("name", "summary")
_SHOWN_COVERAGES = (0.1, 0.25, 0.5, 0.75, 1.0)


def to_markdown(protocol: BenchmarkProtocol, summary: Mapping[str, Any]) -> str:
    """Tables of errors, of confidence, of where the errors are, of published figures; then the conventions.

    Args:
        protocol: what was measured.
        summary: what `evaluate` writes to `summary.json`.
    """
    models: Mapping[str, Any] = summary["models"]
    data = summary["data"]
    table = error_table(protocol, summary)
    parts = [
        f"# {protocol.name}",
        f"{protocol.summary} {data['images']} of {data['available']} samples.",
        f"`{summary['command']}`",
        "## Errors",
        markdown_table(
            ["model", *(heading(protocol, column) for column in table.columns), "seconds"],
            ([name, *numbers(row), number(models[name]["mean"]["seconds"])] for name, row in table.ours.items()),
        ),
        *_parts_of_the_data(protocol, table.columns, models),
        *_published_parts(protocol, table),
        *_confidence_parts(models),
        *_slice_parts(models),
        *_worst_parts(models),
        "## Conventions",
        "\n".join(f"* {key}: {value}" for key, value in protocol.conventions().items() if key not in _ALREADY_SAID),
        "\n".join(f"* `{column}`: {COLUMNS[column]}" for column in protocol.headline if column in COLUMNS),
    ]
    return "\n\n".join(parts) + "\n"


def _parts_of_the_data(protocol: BenchmarkProtocol, columns: Sequence[str], models: Mapping[str, Any]) -> list[str]:
    """The errors of each part of the data, models below one another."""
    rows = [
        [part, name, str(m["parts"][part]["images"])]
        + numbers([presented(protocol, column, m["parts"][part]["mean"][column]) for column in columns])
        for part in protocol.parts
        for name, m in models.items()
        if part in m["parts"]
    ]
    header = ["part", "model", "images", *(heading(protocol, column) for column in columns)]
    return ["By part:", markdown_table(header, rows)] if rows else []


def _published_parts(protocol: BenchmarkProtocol, table: ErrorTable) -> list[str]:
    """Published rows of the same protocol with ours above them; rows of other protocols in a table of their own."""
    _, other = published_rows(protocol)
    if not table.published and not other:
        return []
    parts = [
        "## Published by others",
        "Rows marked published were not measured here. Rows of different protocols cannot be compared.",
    ]
    if table.published:
        columns = [k for k, _ in enumerate(table.columns) if any(row[k] is not None for _, row in table.published)]
        rows = [
            [name, "measured here", *(number(row[k]) for k in columns), "", ""] for name, row in table.ours.items()
        ] + [
            [row.method, "published", *(number(figures[k]) for k in columns), row.protocol, row.source]
            for row, figures in table.published
        ]
        header = ["model", "", *(heading(protocol, table.columns[k]) for k in columns), "protocol", "source"]
        parts.append(markdown_table(header, rows))
    if other:
        parts += ["Measured otherwise, **not comparable with the figures above**:", _other_table(protocol, other)]
    return parts


def _other_table(protocol: BenchmarkProtocol, rows: Sequence[PublishedRow]) -> str:
    columns = [column for column in COLUMNS if any(row.figure(column) is not None for row in rows)]
    return markdown_table(
        ["method", "input", *(heading(protocol, column) for column in columns), "protocol", "source"],
        (
            [row.method, row.kind]
            + numbers([presented(protocol, column, row.figure(column)) for column in columns])
            + [row.protocol, row.source]
            for row in rows
        ),
    )


def _confidence_parts(models: Mapping[str, Any]) -> list[str]:
    known = {name: m for name, m in models.items() if m["error_by_confidence"]}
    if not known:
        return []
    columns = ("confidence", "confidence_textured", "confidence_flat", "within_half_plane", "ause")
    return [
        "## Confidence",
        "Probability of an error below half a plane spacing. `ECE` is the expected calibration error over 15 bins, "
        "`AUSE` the area under the sparsification error as a share of the mean error (0: perfect order).",
        markdown_table(
            ["model", "ECE", "mean", "textured", "flat", "within half a plane", "AUSE"],
            (
                [name, number(m["calibration_error"]), *(number(m["mean"][c]) for c in columns)]
                for name, m in known.items()
            ),
        ),
        "Mean error in focus ranges, in ten bins of equal count from the least to the most confident pixels:",
        markdown_table(
            ["model", *map(str, range(1, 11)), "falls"],
            (
                [name, *map(number, m["error_by_confidence"]), "yes" if m["error_falls"] else "no"]
                for name, m in known.items()
            ),
        ),
        "Mean error in focus ranges of the most confident part of the pixels (risk and coverage):",
        markdown_table(
            ["model", *(f"{100 * part:g} %" for part in _SHOWN_COVERAGES)],
            ([name, *numbers(_risks(m["risk_coverage"]))] for name, m in known.items()),
        ),
    ]


def _risks(curve: Sequence[float]) -> list[float]:
    return [curve[round(part * len(curve)) - 1] for part in _SHOWN_COVERAGES]


def _slice_parts(models: Mapping[str, Any]) -> list[str]:
    """One table for each slice that has pixels: mean error in plane spacings, models as rows."""
    parts = []
    for name, rule in SLICES.items():
        rows = {model: m["slices"][name] for model, m in models.items() if name in m["slices"]}
        if rows:
            first = next(iter(rows.values()))
            total = sum(group["pixels"] for group in first)
            shares = [f"{100 * group['pixels'] / total:.3g} %" for group in first]
            parts += [
                f"By {rule.what}:",
                markdown_table(
                    ["model", *rule.groups],
                    [
                        ["*share of pixels*", *shares],
                        *([model, *(number(group["plane_mae"]) for group in groups)] for model, groups in rows.items()),
                    ],
                ),
            ]
    if not parts:
        return []
    return ["## Where the errors are", "Mean error in mean plane spacings, pixels of all images pooled.", *parts]


def _worst_parts(models: Mapping[str, Any]) -> list[str]:
    rows = [
        [name, row["name"], number(row["value"]), f"{PICTURE}{m['folder']}/{row['file']})"]
        for name, m in models.items()
        for row in m.get("worst", ())
    ]
    if not rows:
        return []
    column = next(m["worst_by"] for m in models.values() if m.get("worst"))
    return ["## Worst images", markdown_table(["model", "image", column, ""], rows)]
