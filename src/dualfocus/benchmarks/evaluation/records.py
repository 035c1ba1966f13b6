"""What is kept of every image of a model: rows written as they come, kept when it is started again."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from zipfile import BadZipFile

from dualfocus.atomic import replacing
from dualfocus.benchmarks.evaluation.names import own_name
from dualfocus.benchmarks.evaluation.reliability import ConfidenceHistogram
from dualfocus.benchmarks.evaluation.slices import SliceSums
from dualfocus.benchmarks.writing import as_csv, csv_cell, write_table

_REMEDY = "remove it, and its images are measured again"
Sums = TypeVar("Sums", ConfidenceHistogram, SliceSums)


class ModelRecord:
    """Rows of one model in `per_image.csv`, and for each image sums to pool in `confidence/` and `slices/`.

    A row is there only when its sums are. A row cut short by a crash is dropped when the record is opened. Of several
    processes each writes to a file of its own, and the main one gathers them: when it opens the record, so that nothing
    of a stopped run is lost, and with `gather`.

    Args:
        folder: the folder of the record; made when it does not exist.
        columns: names of the figures of a row.
        rank: number of this process, 0 for the main one.

    Raises:
        ValueError: a file that cannot be read, named.
    """

    def __init__(self, folder: Path, columns: Sequence[str], rank: int = 0) -> None:
        self.folder = folder
        self.columns = list(columns)
        for part in ("confidence", "slices"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self._table = folder / "per_image.csv"
        self._own = self._table if rank == 0 else folder / f"per_image.{rank}.csv"
        self.rows = self._read(self._table)
        if rank == 0:
            self.gather()
        else:
            write_table(self._own, [self._header])

    def add(
        self,
        name: str,
        figures: Mapping[str, float],
        histogram: ConfidenceHistogram,
        slices: SliceSums | None = None,
    ) -> None:
        """Append one image, its sums first."""
        for sums, path in ((histogram, self._histogram_path(name)), (slices or SliceSums(), self._slices_path(name))):
            with replacing(path) as temporary:
                sums.save(temporary)
        row = {column: figures[column] for column in self.columns}
        with self._own.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow([name, *(csv_cell(row[column]) for column in self.columns)])
        self.rows[name] = row

    def gather(self, order: Sequence[str] = ()) -> None:
        """Put the rows of all processes into `per_image.csv`, those named in `order` first and in that order."""
        parts = sorted(self.folder.glob("per_image.*.csv"))
        for part in parts:
            self.rows |= self._read(part)
        named = [name for name in order if name in self.rows]
        self.rows = {name: self.rows[name] for name in dict.fromkeys([*named, *self.rows])}
        lines = [self._header, *([name, *map(csv_cell, row.values())] for name, row in self.rows.items())]
        if not self._table.exists() or self._table.read_text(encoding="utf-8") != as_csv(lines):
            write_table(self._table, lines)
        for part in parts:
            part.unlink()

    def histogram(self, names: Sequence[str]) -> ConfidenceHistogram:
        """The pooled histogram of these images (ValueError naming a file that cannot be read)."""
        pooled = ConfidenceHistogram()
        for name in names:
            pooled.merge(_loaded(ConfidenceHistogram, self._histogram_path(name)))
        return pooled

    def slices(self, names: Sequence[str]) -> SliceSums:
        """The pooled slices of these images (ValueError likewise)."""
        pooled = SliceSums()
        for name in names:
            pooled.merge(_loaded(SliceSums, self._slices_path(name)))
        return pooled

    @property
    def _header(self) -> list[str]:
        return ["name", *self.columns]

    def _histogram_path(self, name: str) -> Path:
        return self.folder / "confidence" / f"{own_name(name)}.npz"

    def _slices_path(self, name: str) -> Path:
        return self.folder / "slices" / f"{own_name(name)}.npy"

    def _read(self, path: Path) -> dict[str, dict[str, float]]:
        """Rows of earlier runs that can be used; none of a table with other columns."""
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except UnicodeDecodeError:
            raise ValueError(f"{path}: is not text; {_REMEDY}") from None
        complete = text[: text.rfind("\n") + 1]
        lines = list(csv.reader(io.StringIO(complete)))
        rows: dict[str, dict[str, float]] = {}
        for line in lines[1:] if lines[:1] == [self._header] else []:
            sums = (self._histogram_path(line[0]), self._slices_path(line[0])) if line else ()
            if len(line) == len(self._header) and all(path.exists() for path in sums):
                try:
                    values = [float(cell) if cell else float("nan") for cell in line[1:]]
                except ValueError:
                    raise ValueError(f"{path}: the row of {line[0]!r} holds what is no number; {_REMEDY}") from None
                rows[line[0]] = dict(zip(self.columns, values, strict=True))
        return rows


def _loaded(kind: type[Sums], path: Path) -> Sums:
    try:
        return kind.load(path)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        raise ValueError(f"{path}: cannot be read; {_REMEDY}") from None
