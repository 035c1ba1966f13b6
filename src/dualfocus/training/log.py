"""The training log: one JSON line an event, and TensorBoard when it is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any


class TrainingLog:
    """Appends to `log.jsonl` in the output folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / "log.jsonl").open("a", encoding="utf-8", buffering=1)
        self.board: Any = None
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"))

    def __enter__(self) -> TrainingLog:
        """Open for the length of a run."""
        return self

    def __exit__(self, *_: object) -> None:
        """Flush and close."""
        self.file.close()
        if self.board:
            self.board.close()

    def losses(self, step: int, losses: dict[str, float], seconds: float) -> None:
        """The loss terms of one step."""
        self._write("loss", step, losses, seconds)

    def validation(self, step: int, figures: dict[str, float], seconds: float) -> None:
        """The figures of one validation."""
        self._write("validation", step, figures, seconds)

    def _write(self, kind: str, step: int, values: dict[str, float], seconds: float) -> None:
        self.file.write(json.dumps({"kind": kind, "step": step, "seconds": round(seconds, 1), **values}) + "\n")
        if self.board:
            for key, value in values.items():
                self.board.add_scalar(f"{kind}/{key}", value, step)
