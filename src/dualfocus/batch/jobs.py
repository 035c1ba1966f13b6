"""The stacks of a batch one after another, and what becomes of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualfocus.loading import load_model
from dualfocus.messages import one_line
from dualfocus.outputs.summary import summary
from dualfocus.pipeline import Settings, open_stack, predict_to_folder

if TYPE_CHECKING:
    from dualfocus.inference.predictor import Predictor

Outcome = dict[str, Any]
Run = Callable[[Mapping[str, Path], Path, Settings, bool], Iterator[tuple[str, Outcome]]]


def run_here(jobs: Mapping[str, Path], out: Path, settings: Settings, overwrite: bool) -> Iterator[tuple[str, Outcome]]:
    """Run every job in this process; yields names and outcomes as they come.

    Args:
        jobs: name to source.
        out: the output folder of the batch.
        settings: the same for all.
        overwrite: write among files that are not ours.
    """
    for name, source in jobs.items():
        yield name, run_job(source, out / name, settings, overwrite)


def run_job(source: Path, out: Path, settings: Settings, overwrite: bool) -> Outcome:
    """Predict one stack of a batch; an error becomes part of the outcome, because others may be fine."""
    started = time.perf_counter()
    try:
        model = load_cached(settings.model, settings.device, settings.precision)
        result = predict_to_folder(source, out, settings, overwrite, model)
        outcome: Outcome = {"status": "done", "summary": summary(result), "warnings": result.warnings}
    except (ValueError, OSError) as error:
        outcome = {"status": "failed", "error": one_line(error)}
    except Exception as error:  # a fault of ours: the type says more than the text
        outcome = {"status": "failed", "error": one_line(f"{type(error).__name__}: {error}")}
    return {**outcome, "seconds": round(time.perf_counter() - started, 3)}


@lru_cache(maxsize=1)
def load_cached(model: str, device: str, precision: str) -> Predictor:
    """The model, loaded once in a process."""
    return load_model(model, device=device, precision=precision)


def check_any(stacks: Sequence[Path], settings: Settings) -> None:
    """Refuse a batch of which no stack can be predicted; the first that can ends the search."""
    refusals = []
    for path in stacks:
        try:
            open_stack(path, settings)
        except (ValueError, OSError) as error:
            refusals.append(f"{path.name}: {one_line(error)}")
        else:
            return
    raise ValueError(f"none of the {len(stacks)} stacks can be predicted, so nothing was changed: {refusals[0]}")
