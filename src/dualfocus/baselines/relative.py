"""Relative-depth models: what `hybriddepth-style` brings to metres with the help of focus."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from dualfocus.datasets.files import below, read_array


class RelativeModel(Protocol):
    """Anything that says which pixels of a picture are nearer.

    Its networks, if it has any, are told apart by their weights when an evaluation is resumed; what else can change its
    answers belongs into a method `fingerprint()` that gives a short text.

    Attributes:
        name: as `open_relative` takes it.
    """

    name: str

    def inverse_depth(self, picture: NDArray[np.uint8], name: str | None = None) -> NDArray[np.float32]:
        """Inverse depth up to a positive scale and a shift.

        Args:
            picture: (H, W, 3).
            name: the sample's, for models that look their answer up; None where there is none.

        Returns:
            (H, W), larger where nearer.
        """
        ...


class Ramp:
    """The lower in the picture, the nearer: what floors and tables look like. Needs no weights."""

    name = "ramp"

    def inverse_depth(self, picture: NDArray[np.uint8], name: str | None = None) -> NDArray[np.float32]:
        """Inverse depth from 0.5 at the top to 1.5 at the bottom."""
        height, width = picture.shape[:2]
        return np.repeat(np.linspace(0.5, 1.5, height, dtype=np.float32)[:, None], width, axis=1)


class StoredMaps:
    """Maps computed elsewhere: `FOLDER/NAME.npy`, (H, W) inverse depth, for every sample name.

    Raises:
        ValueError: no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder of relative depth maps")
        self.folder = folder
        self.name = f"files:{folder}"

    def inverse_depth(self, picture: NDArray[np.uint8], name: str | None = None) -> NDArray[np.float32]:
        """The map of a sample (ValueError naming the file when it is missing or of another size)."""
        if name is None:
            raise ValueError(f"{self.name}: stored maps go by the name of a sample, which only `evaluate` knows")
        path = self.folder / f"{name}.npy"
        values = read_array(path)
        if values.shape != picture.shape[:2]:
            raise ValueError(f"{path}: is {values.shape}, not of the size {picture.shape[:2]} of the picture")
        return values.astype(np.float32)

    def fingerprint(self) -> str:
        """Hash of the names, sizes and times of the files: reading all of them would take minutes."""
        files = sorted(below(self.folder, "*.npy"))
        text = "\n".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_relative(text: str, device: torch.device) -> RelativeModel:
    """The relative model of a name.

    Args:
        text: `ramp`, `files:FOLDER`, `depth-anything:FOLDER_OR_HUB_NAME`, or a weights file of `va-depth`.
        device: the device to run on.

    Raises:
        ValueError: none of these, or one that cannot be loaded.
    """
    from dualfocus.baselines import find_baseline

    if text == Ramp.name:
        return Ramp()
    if text.startswith("files:"):
        return StoredMaps(Path(text.removeprefix("files:")))
    found = find_baseline(text, device)
    if found is None or not hasattr(found, "inverse_depth"):
        choices = "ramp, files:FOLDER, depth-anything:FOLDER_OR_HUB_NAME, or a weights file of va-depth"
        raise ValueError(f"relative model {text!r} is unknown; choose {choices}")
    return found
