"""Predictions made elsewhere as a system like any other: `files:FOLDER` on the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dualfocus.benchmarks.protocol import Protocol
from dualfocus.datasets import Sample
from dualfocus.outputs import DepthResult

PREFIX = "files:"


class Files:
    """A folder with one `NAME.npy` for each sample: an (H, W) map in the space of the protocol.

    So it holds depth in the stack's result unit (metres for NYU), but disparity in pixels for `ddff12`, as the
    networks of that protocol's authors write it. H x W is the size of the sample, not of a padded stack. A sample name
    with a `/` is a file in a folder. Values that are not finite, and values of 0 or less, count as missing. There is
    no confidence: its columns stay empty.

    Args:
        folder: the predictions.
        protocol: what they are predictions for.
        names: of the samples that will be asked for.

    Raises:
        ValueError: no such folder, or a sample without its file.
    """

    def __init__(self, folder: Path, protocol: Protocol, names: Sequence[str]) -> None:
        self.folder, self.protocol, self.names = folder, protocol, list(names)
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder of predictions")
        missing = [name for name in names if not self._path(name).is_file()]
        if missing:
            raise ValueError(
                f"{folder}: {len(missing)} of {len(names)} predictions are missing, first {missing[0]}.npy; "
                f"one .npy for each sample name"
            )

    def predict_sample(self, sample: Sample) -> DepthResult:
        """The prediction for a sample, as depth (ValueError naming a file that cannot be used)."""
        path, stack = self._path(sample.name), sample.stack
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"{path}: cannot be read as a .npy array ({error})") from None
        if values.shape != stack.size or values.dtype.kind not in "fiu":
            raise ValueError(f"{path}: is {values.shape} {values.dtype}, not numbers of the sample's {stack.size}")
        found = np.where(np.isfinite(values) & (values > 0), values, np.nan).astype(np.float64)
        depth = self.protocol.carried(found).astype(np.float32)  # inverse / x is its own inverse
        unknown = np.full(stack.size, np.nan, np.float32)
        return DepthResult(
            depth=depth,
            valid=np.isfinite(depth),
            confidence=unknown,
            std=unknown,
            all_in_focus=stack[0],
            unit=stack.result_unit,
            model=f"{PREFIX}{self.folder.name}",
        )

    def fingerprint(self) -> str:
        """Short hash of the predictions, so that a resumed run notices other ones."""
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(name.encode() + self._path(name).read_bytes())
        return digest.hexdigest()[:16]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"
