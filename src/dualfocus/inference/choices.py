"""What can be chosen of how a model runs, by name."""

from __future__ import annotations

BACKENDS = ("auto", "torch", "onnx")
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")


def check_device(device: str) -> None:
    """Refuse what is not one of `DEVICES` (ValueError naming it), whether or not this machine has it."""
    if device not in DEVICES:
        raise ValueError(f"device {device!r} is unknown; choose {', '.join(DEVICES[:-1])} or {DEVICES[-1]}")


def check_precision(precision: str) -> None:
    """Refuse what is not one of `PRECISIONS` (ValueError naming it)."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is unknown; choose {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}")
