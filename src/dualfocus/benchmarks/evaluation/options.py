"""What can be chosen of an evaluation, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass

from dualfocus.benchmarks.evaluation.evaluator import ALL_COLUMNS

DEFAULT_WORST = 3  # pictures of each model on the command line


@dataclass(frozen=True)
class EvaluationOptions:
    """What does not depend on the protocol.

    Attributes:
        limit: measure this many samples, spread evenly over the split; None for all.
        device: auto, cpu, cuda or mps.
        resume: False drops the rows that are there for these models.
        worst: draw this many of the worst images of each model.
        worst_by: the column that tells which are worst; None for the first of the protocol's table.

    Raises:
        ValueError: a column that does not exist, or a negative number of pictures.
    """

    limit: int | None = None
    device: str = "auto"
    resume: bool = True
    worst: int = 0
    worst_by: str | None = None

    def __post_init__(self) -> None:
        """Check what is known before anything is read."""
        if self.worst_by is not None and self.worst_by not in ALL_COLUMNS:
            raise ValueError(f"unknown metric {self.worst_by!r}: use one of {', '.join(ALL_COLUMNS)}")
        if self.worst < 0:
            raise ValueError(f"the number of worst images must not be negative, not {self.worst}")
