"""An evaluation as a command line: for its record, and to start it in other processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dualfocus.benchmarks.evaluation.options import DEFAULT_WORST, EvaluationOptions


def command_words(
    names: Sequence[str], data: Mapping[str, str | Path | None], out: str | Path, options: EvaluationOptions
) -> list[str]:
    """The command line that makes these figures, after `dualfocus`."""
    words = ["evaluate", *names]
    for protocol_name in data:
        words += ["--protocol", protocol_name]
    for protocol_name, path in data.items():
        words += [] if path is None else ["--data", str(path) if len(data) == 1 else f"{protocol_name}={path}"]
    words += ["-o", str(out)]
    words += [] if options.limit is None else ["--limit", str(options.limit)]
    words += [] if options.device == "auto" else ["--device", options.device]
    words += [] if options.worst == DEFAULT_WORST else ["--worst", str(options.worst)]
    words += [] if options.worst_by is None else ["--worst-by", options.worst_by]
    return words
