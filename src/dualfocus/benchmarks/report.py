"""The summary of an evaluation as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dualfocus.benchmarks.measure import COLUMNS
from dualfocus.benchmarks.protocol import Protocol
from dualfocus.benchmarks.published import PUBLISHED, PublishedRow


def to_markdown(protocol: Protocol, summary: Mapping[str, Any]) -> str:
    """Tables of errors, of confidence and, apart from them, of published figures; then the conventions.

    Args:
        protocol: what was measured.
        summary: as written to `summary.json` by `evaluate`.
    """
    models: Mapping[str, Any] = summary["models"]
    data = summary["data"]
    parts = [
        f"# {protocol.name}",
        f"{protocol.summary} {data['images']} of {data['available']} samples.",
        f"`{summary['command']}`",
        "## Errors",
        _table(
            ["model", *protocol.headline, "seconds"],
            ([name, *(_number(m["mean"][c]) for c in (*protocol.headline, "seconds"))] for name, m in models.items()),
        ),
        "## Confidence",
        "Probability of an error below half a plane spacing. `ECE` is the expected calibration error over 15 bins.",
        _table(
            ["model", "ECE", "mean", "textured", "flat", "within half a plane"],
            (
                [name, _number(m["calibration_error"])]
                + [
                    _number(m["mean"][c])
                    for c in ("confidence", "confidence_textured", "confidence_flat", "within_half_plane")
                ]
                for name, m in models.items()
            ),
        ),
        "Mean error in focus ranges, in ten bins of equal count from the least to the most confident pixels:",
        _table(
            ["model", *map(str, range(1, 11)), "falls"],
            (
                [name, *map(_number, m["error_by_confidence"]), "yes" if m["error_falls"] else "no"]
                for name, m in models.items()
                if m["error_by_confidence"]
            ),
        ),
    ]
    if protocol.published in PUBLISHED:
        parts += [
            "## Published by others",
            "Not measured here. Protocols as far as they are known; rows of different protocols cannot be compared.",
            _table(
                ["method", "input", "rmse", "abs_rel", "delta1", "protocol", "source"],
                map(_published, PUBLISHED[protocol.published]),
            ),
        ]
    conventions = protocol.conventions()
    shown = [c for c in protocol.headline if c in COLUMNS]
    parts += [
        "## Conventions",
        "\n".join(f"* {key}: {value}" for key, value in conventions.items() if key not in ("name", "summary")),
        "\n".join(f"* `{column}`: {COLUMNS[column]}" for column in shown),
    ]
    return "\n\n".join(parts) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float | None) -> str:
    """Four significant digits; empty when there is none."""
    return "" if value is None or value != value else f"{value:.4g}"


def _published(row: PublishedRow) -> list[str]:
    figures = [_number(value) for value in (row.rmse, row.abs_rel, row.delta1)]
    return [row.method, row.kind, *figures, row.protocol, row.source]
