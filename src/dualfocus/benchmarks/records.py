"""The files of an evaluation: rows written as they come, kept when it is started again, replaced only as a whole."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dualfocus.benchmarks.reliability import ConfidenceHistogram


class ModelRecord:
    """Rows and confidence histograms of one model: `per_image.csv` and `confidence/NAME.npz` in a folder.

    A row is there only when its histogram is. A row cut short by a crash is dropped when the record is opened.

    Args:
        folder: made when it does not exist.
        columns: names of the figures of a row.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self.folder = folder
        self.columns = list(columns)
        (folder / "confidence").mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, dict[str, float]] = self._read()

    def add(self, name: str, figures: Mapping[str, float], histogram: ConfidenceHistogram) -> None:
        """Append one image, histogram first."""
        path = self._histogram_path(name)
        temporary = path.with_suffix(".tmp")
        histogram.save(temporary)
        os.replace(temporary, path)
        row = {column: figures[column] for column in self.columns}
        with (self.folder / "per_image.csv").open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow([name, *(_cell(row[column]) for column in self.columns)])
        self.rows[name] = row

    def histogram(self, names: Sequence[str]) -> ConfidenceHistogram:
        """The pooled histogram of these images."""
        pooled = ConfidenceHistogram()
        for name in names:
            pooled.merge(ConfidenceHistogram.load(self._histogram_path(name)))
        return pooled

    def _histogram_path(self, name: str) -> Path:
        return self.folder / "confidence" / f"{safe_name(name)}.npz"

    def _read(self) -> dict[str, dict[str, float]]:
        """Rows of earlier runs; the file is written anew when anything in it cannot be used."""
        path = self.folder / "per_image.csv"
        header = ["name", *self.columns]
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        complete = text[: text.rfind("\n") + 1]
        lines = list(csv.reader(complete.splitlines()))
        rows: dict[str, dict[str, float]] = {}
        for line in lines[1:] if lines[:1] == [header] else []:
            if len(line) == len(header) and self._histogram_path(line[0]).exists():
                values = [float(cell) if cell else float("nan") for cell in line[1:]]
                rows[line[0]] = dict(zip(self.columns, values, strict=True))
        if complete != text or len(rows) + 1 != len(lines):
            kept = [[name, *map(_cell, row.values())] for name, row in rows.items()]
            _write_csv(path, [header, *kept])
        return rows


def open_run(out: Path, record: Mapping[str, Any], models: Mapping[str, str], resume: bool) -> None:
    """Begin or continue an evaluation in a folder, told apart by `run.json`.

    Args:
        out: the folder; made when it does not exist.
        record: what the rows depend on besides the model: protocol, data, version.
        models: fingerprint of each model of this run.
        resume: continue what is there; otherwise the rows of these models are dropped.

    Raises:
        ValueError: the folder holds something else, or rows of another protocol, data, version or weights.
    """
    path = out / "run.json"
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; give a folder for the figures")
    out.mkdir(parents=True, exist_ok=True)
    if not path.exists() and any(out.iterdir()):
        raise ValueError(f"{out}: holds files that are not of an evaluation; give an empty or a new folder")
    earlier = _read_run(path) if path.exists() else {"models": {}}
    if not resume:
        for name in models:
            (out / safe_name(name) / "per_image.csv").unlink(missing_ok=True)
            earlier["models"].pop(name, None)
    changed = [key for key, value in record.items() if path.exists() and earlier.get(key) != value]
    if changed and earlier["models"]:
        raise ValueError(f"{out}: holds figures of another {changed[0]}; give another folder or start afresh")
    for name, fingerprint in models.items():
        if earlier["models"].get(name, fingerprint) != fingerprint:
            raise ValueError(f"{out}: holds figures of other weights of {name}; give another folder or start afresh")
    write_json(path, {**record, "models": {**earlier["models"], **models}})


def _read_run(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("models"), dict):
        raise ValueError(f"{path}: not the record of an evaluation; give an empty or a new folder")
    return content


def fingerprint(model: Any) -> str:
    """Short hash of the weights of a model and of its confidence map, or "none".

    Its networks are found among its attributes; a model without any may have a `fingerprint` of its own.
    """
    if callable(getattr(model, "fingerprint", None)):
        return str(model.fingerprint())
    networks = [model, *vars(model).values()] if hasattr(model, "__dict__") else [model]
    digest = hashlib.sha256()
    found = False
    for network in networks:
        if callable(getattr(network, "state_dict", None)):
            for key, tensor in sorted(network.state_dict().items()):
                digest.update(key.encode())
                digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
                found = True
    record = getattr(model, "record", None)
    digest.update(json.dumps(record.get("confidence_map") if isinstance(record, Mapping) else None).encode())
    return digest.hexdigest()[:16] if found else "none"


def hash_names(names: Sequence[str]) -> str:
    """Short hash of the sample names of a dataset, in order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def safe_name(name: str) -> str:
    """A name as one path component."""
    return "".join(c if c.isalnum() or c in "-_." else "__" for c in name).lstrip(".") or "_"


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file as a whole; NaN becomes null."""
    write_text(path, json.dumps(_without_nan(content), indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a text file as a whole."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    os.replace(temporary, path)


def _cell(value: float) -> str:
    return "" if value != value else repr(float(value))


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and content != content else content
