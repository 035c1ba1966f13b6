"""Figures others have published, from `published.json`. They stand beside ours only where the protocol is the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class PublishedRow:
    """One row of somebody else's table; a figure that was not given is None. Accuracies are fractions.

    Attributes:
        method: its name.
        kind: what goes in: a focal stack, a single image or a light field.
        protocol: how it was measured, as far as is known.
        source: where the figures were read.
        beside: names of our protocols that measure the same, beside whose figures the row may stand.
        mse: and those that follow: the columns of `dualfocus evaluate` of these names.
        parameters: how many, and what `dualfocus bench` counts: `gflop` and `seconds` of one stack.
    """

    method: str
    kind: str
    protocol: str
    source: str
    beside: tuple[str, ...] = ()
    mse: float | None = None
    rmse: float | None = None
    mae: float | None = None
    log_rms: float | None = None
    abs_rel: float | None = None
    sq_rel: float | None = None
    bump: float | None = None
    delta1: float | None = None
    delta2: float | None = None
    delta3: float | None = None
    d1_05: float | None = None
    d1_15: float | None = None
    parameters: int | None = None
    gflop: float | None = None
    seconds: float | None = None

    def figure(self, column: str) -> float | None:
        """The figure of that column; None when it was not given."""
        return getattr(self, column, None)


def beside(rows: Sequence[PublishedRow], protocol: str) -> tuple[list[PublishedRow], list[PublishedRow]]:
    """Rows of the same protocol, and those of others, which say nothing about ours."""
    same = [row for row in rows if protocol in row.beside]
    return same, [row for row in rows if protocol not in row.beside]


def _read() -> dict[str, tuple[PublishedRow, ...]]:
    text = resources.files("dualfocus.benchmarks.protocols").joinpath("published.json").read_text(encoding="utf-8")
    return {name: tuple(map(_row, rows)) for name, rows in json.loads(text).items()}


def _row(content: dict[str, Any]) -> PublishedRow:
    words = {key: content[key] for key in ("method", "kind", "protocol", "source")}
    return PublishedRow(**words, beside=tuple(content["beside"]), **content["figures"])


PUBLISHED = _read()
