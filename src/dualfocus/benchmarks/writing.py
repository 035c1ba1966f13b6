"""JSON, text and CSV files of a measurement, each replaced as a whole."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dualfocus.atomic import replacing


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file as a whole; what JSON has no number for, NaN and infinity, becomes null."""
    write_text(path, json.dumps(_as_json(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a text file as a whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_table(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Replace a CSV file as a whole; NaN becomes an empty cell."""
    write_text(path, as_csv([[csv_cell(c) if isinstance(c, float) else c for c in row] for row in rows]))


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def csv_cell(value: float) -> str:
    """A number as it is read back to the bit; NaN is an empty cell."""
    return "" if value != value else repr(float(value))


def _as_json(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _as_json(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_as_json(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
