"""The folder of an evaluation: what it holds is written down in `run.json`, so that figures of two kinds never mix."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dualfocus.benchmarks.evaluation.names import own_name
from dualfocus.benchmarks.writing import write_json
from dualfocus.datasets import Dataset


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
    _check_folder(out)
    earlier = _read_run(path) if path.exists() else {"models": {}}
    if not resume:
        for name in models:
            folder = out / own_name(name)
            for made in (*folder.glob("per_image*.csv"), *folder.glob("worst/*.png")):
                made.unlink()
            earlier["models"].pop(name, None)
    changed = [key for key, value in record.items() if path.exists() and earlier.get(key) != value]
    if changed and earlier["models"]:
        raise ValueError(f"{out}: holds figures of another {changed[0]}; give another folder or start afresh")
    for name, fingerprint in models.items():
        if earlier["models"].get(name, fingerprint) != fingerprint:
            raise ValueError(f"{out}: holds figures of other weights of {name}; give another folder or start afresh")
    write_json(path, {**record, "models": {**earlier["models"], **models}})


def open_collection(out: Path, protocols: Sequence[str]) -> None:
    """Begin or continue an evaluation under several protocols in a folder; each has a folder of its own inside.

    Raises:
        ValueError: the folder holds something else, or is a file.
    """
    path = out / "run.json"
    _check_folder(out)
    earlier: list[str] = []
    if path.exists():
        content = _read_json(path)
        if "models" in content:
            raise ValueError(f"{out}: holds an evaluation under one protocol; give another folder for several")
        earlier = list(content.get("protocols", []))
    write_json(path, {"protocols": [*dict.fromkeys([*earlier, *protocols])]})


def identify(dataset: Dataset) -> str:
    """Short hash of a dataset: its sample names, in order, and what the first and the last sample hold.

    Sets that were rendered anew, or packed, have the same names. Means are rounded, so that the same data are the same
    on every machine. A set that people change by hand may have a `fingerprint` of its own, which goes in, too.
    """
    said = list(dataset.names)
    if callable(own := getattr(dataset, "fingerprint", None)):
        said.append(own())
    for index in sorted({0, len(dataset) - 1} if said else ()):
        sample = dataset[index]
        truth = sample.truth[sample.mask]
        planes = [float(np.mean(sample.stack[n])) for n in range(len(sample.stack))]
        said += [f"{value:.4g}" for value in (*planes, truth.size, float(truth.mean()) if truth.size else 0.0)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def _check_folder(out: Path) -> None:
    """Make a folder for figures, or find it empty or with figures in it."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; give a folder for the figures")
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "run.json").exists() and any(out.iterdir()):
        raise ValueError(f"{out}: holds files that are not of an evaluation; give an empty or a new folder")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not the record of an evaluation; give an empty or a new folder")
    return content


def _read_run(path: Path) -> dict[str, Any]:
    content = _read_json(path)
    if "protocols" in content:
        raise ValueError(f"{path.parent}: holds an evaluation under several protocols; give another folder for one")
    if not isinstance(content.get("models"), dict):
        raise ValueError(f"{path}: not the record of an evaluation; give an empty or a new folder")
    return content
