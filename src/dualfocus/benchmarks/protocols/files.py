"""Predictions made elsewhere as a system like any other: `files:FOLDER` on the command line."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.benchmarks.protocols.protocol import BenchmarkProtocol
from dualfocus.datasets import Sample
from dualfocus.datasets.files import DAMAGED, read_exr
from dualfocus.outputs import DepthResult
from dualfocus.stack import FocalStack
from dualfocus.stack.distances import PER_METRE

PREFIX = "files:"
NOTE = "predictions.json"
ENDINGS = (".npy", ".npz", "/depth.exr", ".png")  # Depth Pro writes .npz, MoGe a folder for each image


class Reading(NamedTuple):
    """What the numbers of a folder mean, from its `predictions.json`.

    Attributes:
        scale: a number times this is a value; None where it is not stated, which 16-bit images need.
        unit: "m" or "mm" for depth; "protocol" for values in the space of the protocol.
    """

    scale: float | None = None
    unit: str = "protocol"


class Files:
    """A folder with an (H, W) map for each sample, in the space of the protocol.

    It is `NAME.npy`, the array `depth` of `NAME.npz`, `NAME/depth.exr` or a 16-bit `NAME.png`, the first that is there.
    So it holds depth in the stack's result unit (metres for NYU), but disparity in pixels for `ddff12`, as the
    networks of that protocol's authors write it. A `predictions.json` in the folder may say otherwise:
    `{"scale": 0.001, "unit": "m"}`, a number times `scale` being depth in `unit` (m, mm, or "protocol": its space);
    images need one. H x W is the size of the sample, not of a padded stack. A sample name with a `/` is a file in a
    folder. Values that make no finite depth (of a camera: above 0) count as missing. There is no confidence: its
    columns stay empty.

    Args:
        folder: the predictions.
        protocol: what they are predictions for.
        names: the samples that will be asked for, which must be there.
        everything: names of all samples of the data set, of which there may be fewer; default `names`.

    Raises:
        ValueError: no such folder, a bad `predictions.json`, images without a scale, or samples without their files.
    """

    def __init__(
        self, folder: Path, protocol: BenchmarkProtocol, names: Sequence[str], everything: Sequence[str] | None = None
    ) -> None:
        self.folder, self.protocol = folder, protocol
        self.everything = list(names if everything is None else everything)
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder of predictions")
        self.reading = _read_note(folder / NOTE)
        missing = [name for name in names if not self._path(name).is_file()]
        if missing:
            raise ValueError(
                f"{folder}: {len(missing)} of {len(names)} predictions are missing, first {missing[0]}.npy; "
                f"for each sample name one of {', '.join(f'NAME{ending}' for ending in ENDINGS)}"
            )
        if self.reading.scale is None and any(self._path(name).suffix == ".png" for name in names):
            example = '{"scale": 0.001, "unit": "m"}'
            raise ValueError(f"{folder}: images need a scale; write {NOTE} into the folder, e.g. {example}")

    def predict_sample(self, sample: Sample) -> DepthResult:
        """The prediction for a sample, as depth (ValueError naming a file that cannot be used)."""
        path, stack = self._path(sample.name), sample.stack
        values = _read_map(path)
        if values.shape != stack.size or values.dtype.kind not in "fiu":
            raise ValueError(f"{path}: is {values.shape} {values.dtype}, not numbers of the sample's {stack.size}")
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = self._depth(values.astype(np.float64) * (self.reading.scale or 1.0), stack).astype(np.float32)
        known = np.isfinite(depth) & ((depth > 0) | (not stack.is_camera))  # a stage has any sign, an index begins at 0
        depth[~known] = np.nan
        name = f"{PREFIX}{self.folder.name}"
        return DepthResult.of_stack(stack, depth=depth, valid=known, all_in_focus=stack[0], model=name)

    def fingerprint(self) -> str:
        """Short hash of the predictions, so that a resumed run notices other ones.

        Of all there are, not of those asked for, so that a run over some samples can be continued over all.
        """
        digest = hashlib.sha256(repr(self.reading).encode())
        for name in self.everything:
            if self._path(name).is_file():
                digest.update(name.encode() + self._path(name).read_bytes())
        return digest.hexdigest()[:16]

    def _depth(self, values: NDArray[np.float64], stack: FocalStack) -> NDArray[np.float64]:
        """Values carried to the result unit of a stack."""
        if self.reading.unit == "protocol":
            return self.protocol.depth_of(values)
        if stack.result_unit not in PER_METRE:
            raise ValueError(f"{self.folder / NOTE}: unit {self.reading.unit!r} for a stack in {stack.result_unit!r}")
        return values * (PER_METRE[stack.result_unit] / PER_METRE[self.reading.unit])

    def _path(self, name: str) -> Path:
        """The file of a sample, the .npy where there is none."""
        paths = [self.folder / f"{name}{ending}" for ending in ENDINGS]
        return next((path for path in paths if path.is_file()), paths[0])


def _read_note(path: Path) -> Reading:
    """What the numbers mean; the defaults without the file (ValueError naming it when it is bad)."""
    if not path.exists():
        return Reading()
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(content, dict) or not set(content) <= set(Reading._fields):
        raise ValueError(f'{path}: must be an object with "scale" and "unit", not {str(content)[:60]}')
    reading = Reading(**content)
    scale, known = reading.scale, ("protocol", *PER_METRE)
    if reading.unit not in known:
        raise ValueError(f"{path}: unit {reading.unit!r} is not one of {', '.join(known)}")
    if scale is not None and (type(scale) not in (int, float) or not 0 < scale < float("inf")):
        raise ValueError(f"{path}: scale must be a number above 0, not {scale!r}")
    return reading


def _read_map(path: Path) -> NDArray[Any]:
    if path.suffix == ".exr":
        return read_exr(path)
    try:
        if path.suffix != ".png":
            content = np.load(path, allow_pickle=False)
            return np.asarray(content if path.suffix == ".npy" else content["depth"])
        with Image.open(path) as image:
            values = np.array(image)
    except (*DAMAGED, ValueError, EOFError, LookupError, zipfile.BadZipFile) as error:
        kind = {".npy": "a .npy array", ".npz": "a .npz file with an array `depth`"}.get(path.suffix, "an image")
        raise ValueError(f"{path}: cannot be read as {kind} ({error})") from None
    if values.ndim != 2 or values.dtype.kind not in "iu" or values.dtype.itemsize < 2:
        raise ValueError(f"{path}: must be a 16-bit image of one channel, not {values.shape} {values.dtype}")
    return values
