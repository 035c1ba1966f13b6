"""`dualfocus evaluate`: models by name, a protocol, its data, and a folder of figures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dualfocus.benchmarks.evaluator import Progress, System, even_stride, run
from dualfocus.benchmarks.files import PREFIX, Files
from dualfocus.benchmarks.protocol import Protocol
from dualfocus.benchmarks.protocols import find_protocol, open_dataset
from dualfocus.benchmarks.records import fingerprint, hash_names, open_run, write_json, write_text
from dualfocus.benchmarks.report import to_markdown


def evaluate(
    model_names: Sequence[str],
    protocol: str,
    data: str | Path | None,
    out: str | Path,
    limit: int | None = None,
    device: str = "auto",
    resume: bool = True,
    progress: Progress | None = None,
    models: Mapping[str, System] | None = None,
) -> dict[str, Any]:
    """Measure models under a protocol; write rows as they come, then `summary.json` and `summary.md`.

    A run that was stopped continues: rows of the same protocol, data and weights in `out` are kept.

    Args:
        model_names: names or weight files that `load_model` knows, or `files:FOLDER` of predictions made elsewhere.
        protocol: a name of `PROTOCOLS`.
        data: folder of the data of the protocol; None where it needs none.
        out: folder for the figures.
        limit: measure this many samples, spread evenly over the split; None for all.
        device: auto, cpu, cuda or mps.
        resume: False drops the rows that are there for these models.
        progress: called with (done, total, sample name).
        models: models to use in place of loading `model_names`, by name.

    Returns:
        What `summary.json` holds.

    Raises:
        ValueError: unknown protocol, unusable data, or figures of something else in `out`.
    """
    import dualfocus

    rules = find_protocol(protocol)
    dataset = open_dataset(rules, data)
    indices = even_stride(len(dataset), limit)
    names = [dataset.names[index] for index in indices]
    loaded = dict(models) if models is not None else load_models(model_names, device, rules, names)
    if not loaded:
        raise ValueError("name at least one model to evaluate")
    fingerprints = {name: fingerprint(model) for name, model in loaded.items()}
    folder = Path(out)
    record = {"protocol": rules.conventions(), "data": hash_names(dataset.names), "version": dualfocus.__version__}
    open_run(folder, record, fingerprints, resume)
    figures = run(loaded, dataset, folder, indices, progress, rules)
    summary = {
        "protocol": rules.conventions(),
        "data": {"path": None if data is None else str(data), "images": len(indices), "available": len(dataset)},
        "version": dualfocus.__version__,
        "command": _command(list(loaded), protocol, data, out, limit, device),
        "models": {name: {"weights": fingerprints[name], **figures[name]} for name in loaded},
    }
    write_json(folder / "summary.json", summary)
    write_text(folder / "summary.md", to_markdown(rules, summary))
    return summary


def load_models(names: Sequence[str], device: str, rules: Protocol, samples: Sequence[str]) -> dict[str, System]:
    """Load models by the names that `evaluate` takes; each keeps its own name in the tables.

    Args:
        names: of the models.
        device: auto, cpu, cuda or mps.
        rules: the protocol, which says what predictions from files mean.
        samples: names of the samples that will be measured, of which every file must be there.
    """
    from dualfocus.inference import load_model

    loaded: dict[str, System] = {}
    for name in names:
        path = Path(name.removeprefix(PREFIX))
        label = f"{PREFIX}{path.name}" if name.startswith(PREFIX) else name
        label = path.stem if path.suffix == ".safetensors" else label
        if label in loaded:
            raise ValueError(f"two models are called {label!r}: their rows would mix")
        loaded[label] = Files(path, rules, samples) if name.startswith(PREFIX) else load_model(name, device=device)
    return loaded


def _command(
    names: Sequence[str], protocol: str, data: str | Path | None, out: str | Path, limit: int | None, device: str
) -> str:
    """The command line that makes these figures."""
    words = ["dualfocus", "evaluate", *names, "--protocol", protocol]
    words += [] if data is None else ["--data", str(data)]
    words += ["-o", str(out)]
    words += [] if limit is None else ["--limit", str(limit)]
    words += [] if device == "auto" else ["--device", device]
    return shlex.join(words)
