"""Where what comes with the package lies: weights, and focal stacks to try; no torch here."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
SAMPLES = _PACKAGE / "samples"  # focal stacks with truth
DEMO_STACK = SAMPLES / "desk"


def shipped_weights(name: str) -> Path | None:
    """The .safetensors file of a model, None where no weights ship."""
    path = _PACKAGE / "weights" / f"{name}.safetensors"
    return path if path.is_file() else None
