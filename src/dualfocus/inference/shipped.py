"""Where the weights are that come with the package; no torch here."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "weights"


def shipped_weights(name: str) -> Path | None:
    """The .safetensors file of a model, None where no weights ship."""
    path = _FOLDER / f"{name}.safetensors"
    return path if path.is_file() else None
