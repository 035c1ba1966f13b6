"""Checkpoints that are whole or absent: written beside, then renamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dualfocus.atomic import is_temporary, remove_leftovers, replacing

NAME = "checkpoint.pt"
_BEGUN = frozenset(("log.jsonl", "tensorboard", "pictures"))  # what a run has written before its first checkpoint


def check_new_run(folder: Path) -> None:
    """Refuse a folder with a checkpoint, or with files that no run without one has written.

    Raises:
        ValueError: naming what is in the way.
    """
    if (folder / NAME).exists():
        raise ValueError(f"{folder}: holds a training run; use --resume, or another output folder")
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    foreign = [name for name in names if name not in _BEGUN and not name.endswith(".yaml") and not is_temporary(name)]
    if foreign:
        raise ValueError(f"{folder}: holds files that are not of a training run ({foreign[0]}); choose another folder")


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write `folder/checkpoint.pt`; a kill at any moment leaves the one before."""
    remove_leftovers(folder / NAME)
    with replacing(folder / NAME) as temporary:
        torch.save(state, temporary)


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """Read `folder/checkpoint.pt`.

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
