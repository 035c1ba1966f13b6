"""How the time of one prediction from files divides: reading, the parts of the network, the image, writing."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from PIL import Image

from dualfocus.benchmarks.timing.variants import Timed
from dualfocus.readers import load_stack
from dualfocus.stack import FocalStack

# attribute of the network -> stage; the read-out holds the context, too
_PARTS = {"surfaces": "projection", "fuse_level": "fusion", "collapse": "fusion", "read_out": "context, upsampling"}
_REST = "rest of the model"
STAGES = ("reading", "encoder", "projection", "fusion", "context, upsampling", _REST, "all-in-focus", "writing")


class StageClock:
    """Time of nested calls, each counted where it is spent: not again in the call around it."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._stack: list[str] = []
        self._since = 0.0

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to a stage."""

        def run(*arguments: Any, **options: Any) -> Any:
            self._turn()
            self._stack.append(stage)
            try:
                return function(*arguments, **options)
            finally:
                self._turn()
                self._stack.pop()

        return run

    def _turn(self) -> None:
        """Give the time since the last turn to the innermost stage."""
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.synchronize()  # what a GPU was asked to do belongs to the stage that asked
        now = time.perf_counter()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now


def stage_seconds(timed: Timed, stack: FocalStack, repeats: int = 3) -> dict[str, float]:
    """Median seconds of every stage, from JPEG files to the files of a result.

    Args:
        timed: a loaded model. Only `dualfocus-s` on torch has parts; of others all is `rest of the model`.
        stack: its planes, 8 bit, are written as files first.
        repeats: runs, after one that is not counted.

    Returns:
        seconds of each of `STAGES`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "stack"
        folder.mkdir()
        for n, plane in enumerate(stack):
            Image.fromarray(plane).save(folder / f"{n:03d}.jpg", quality=95)
        distances = None if stack.focus_distances is None else stack.focus_distances.tolist()
        runs = []
        for _ in range(repeats + 1):
            clock = StageClock()
            with _watched(timed.model, clock):
                result = timed.run(load_stack(folder, focus=distances, unit=stack.unit))
                clock.timed("writing", result.save)(Path(name) / "out")
            runs.append(clock.seconds)
    return {stage: statistics.median(run[stage] for run in runs[1:]) for stage in STAGES}


def _watched(model: Any, clock: StageClock) -> ExitStack:
    """Clocks on the parts of a model until the context ends."""
    network: Any = getattr(model, "network", None)
    watched = [(FocalStack, "__getitem__", "reading"), (model, "estimate", _REST), (model, "to_result", "all-in-focus")]
    watched += [(network, name, stage) for name, stage in _PARTS.items() if hasattr(network, name)]
    if hasattr(network, "surfaces"):
        watched.append((network.encoder, "forward", "encoder"))
    patches = ExitStack()
    for owner, name, stage in watched:
        patches.enter_context(patch.object(owner, name, clock.timed(stage, getattr(owner, name))))
    return patches
