"""How figures are shown: which columns, in percent or as fractions, with how many digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dualfocus.benchmarks.protocols import BenchmarkProtocol
from dualfocus.benchmarks.protocols.published import PUBLISHED, PublishedRow, beside

ACCURACIES = ("d1_05", "d1_15", "delta1", "delta2", "delta3", "badpix")  # figures that a protocol may give in percent
HIGHER_IS_BETTER = frozenset(
    ("delta1", "delta2", "delta3", "d1_05", "d1_15", "boundary_f1", "correlation", "within_half_plane", "valid")
)


class ErrorTable(NamedTuple):
    """The errors of a protocol: our rows, then published ones of the same protocol.

    Attributes:
        columns: names of the columns of figures.
        ours: model to figures, None where one has no meaning.
        published: row to figures, None where one was not given.
    """

    columns: tuple[str, ...]
    ours: dict[str, list[float | None]]
    published: list[tuple[PublishedRow, list[float | None]]]


def error_table(protocol: BenchmarkProtocol, summary: Mapping[str, Any]) -> ErrorTable:
    """The headline columns, as the protocol presents them."""
    same, _ = published_rows(protocol)
    columns = protocol.headline
    ours = {
        name: [presented(protocol, column, model["mean"][column]) for column in columns]
        for name, model in summary["models"].items()
    }
    theirs = [(row, [presented(protocol, column, row.figure(column)) for column in columns]) for row in same]
    return ErrorTable(columns, ours, theirs)


def published_rows(protocol: BenchmarkProtocol) -> tuple[list[PublishedRow], list[PublishedRow]]:
    """Published rows of the same protocol, and rows about the same data that were measured otherwise."""
    return beside(PUBLISHED.get(protocol.published or "", ()), protocol.name)


def is_percent(protocol: BenchmarkProtocol, column: str) -> bool:
    """Whether the protocol gives this column in percent; records always hold fractions."""
    return protocol.delta == "percent" and column in ACCURACIES


def presented(protocol: BenchmarkProtocol, column: str, value: float | None) -> float | None:
    """A figure as the protocol gives it."""
    return 100 * value if is_percent(protocol, column) and value is not None else value


def heading(protocol: BenchmarkProtocol, column: str) -> str:
    """The name of a column, with its unit where it is percent."""
    return f"{column} %" if is_percent(protocol, column) else column


def number(value: float | None) -> str:
    """Four significant digits, counts in full; empty when there is none."""
    if value is None or value != value:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def numbers(values: Sequence[float | None]) -> list[str]:
    """`number` of each."""
    return [number(value) for value in values]
