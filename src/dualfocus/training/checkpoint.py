"""Checkpoints that are whole or absent: written beside, then renamed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

NAME = "checkpoint.pt"
_BEGUN = frozenset(("log.jsonl", "tensorboard", "pictures", f"{NAME}.part"))  # what there is before the first of them


def check_new_run(folder: Path) -> None:
    """Refuse a folder with a checkpoint, or with files that no run without one has written.

    Raises:
        ValueError: naming what is in the way.
    """
    if (folder / NAME).exists():
        raise ValueError(f"{folder}: holds a training run; use --resume, or another output folder")
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    foreign = [name for name in names if name not in _BEGUN and not name.endswith(".yaml")]
    if foreign:
        raise ValueError(f"{folder}: holds files that are not of a training run ({foreign[0]}); choose another folder")


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``folder/checkpoint.pt``; a kill at any moment leaves the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{NAME}.part"
    torch.save(state, temporary)
    os.replace(temporary, folder / NAME)


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """Read ``folder/checkpoint.pt``.

    Raises:
        ValueError: there is none, or it cannot be read.
    """
    path = folder / NAME
    if not path.is_file():
        raise ValueError(f"{path}: nothing to resume; start without --resume")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what the unpickler raises at garbage is anyone's guess
        raise ValueError(f"{path}: not a readable checkpoint ({type(error).__name__})") from None
