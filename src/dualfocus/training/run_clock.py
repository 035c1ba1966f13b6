"""The times of a training run, from its first start on, however often it was resumed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

Batch = TypeVar("Batch")


class RunClock:
    """Seconds of a run up to the last `tick`; those before it was resumed count, those in between do not.

    Attributes:
        elapsed: seconds of the clock.
        processor: seconds of the processor, in this process with all its threads.
        waited: seconds of the clock in which the run waited for batches.
    """

    def __init__(self) -> None:
        self.elapsed, self.processor, self.waited = 0.0, 0.0, 0.0
        self.start()

    def start(self) -> None:
        """Go on from the seconds counted so far."""
        now = time.monotonic()
        self._zero, self._processor_zero = now - self.elapsed, time.process_time() - self.processor
        self._due = now

    def tick(self) -> None:
        """Count up to now."""
        self.elapsed = time.monotonic() - self._zero
        self.processor = time.process_time() - self._processor_zero

    def waiting(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; each is waited for, and then the clock ticks."""
        ready = time.monotonic()
        for batch in batches:
            self.waited += time.monotonic() - ready
            self.tick()
            yield batch
            ready = time.monotonic()

    def due(self, seconds: float) -> bool:
        """Whether more than `seconds` went by since the start, or since this was last true."""
        now = time.monotonic()
        if now - self._due <= seconds:
            return False
        self._due = now
        return True

    def state(self) -> dict[str, float]:
        """What `restore` takes, for a checkpoint."""
        return {"elapsed": self.elapsed, "processor": self.processor, "waited": self.waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the seconds of a run that is resumed from its checkpoint."""
        self.elapsed, self.processor, self.waited = state["elapsed"], state["processor"], state["waited"]
        self.start()
