"""Prediction with ONNX Runtime: the same result as the network it was exported from, without torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualfocus import __version__
from dualfocus.child_process import run_python, why_it_failed
from dualfocus.inference.focus_maps import Box, FocusMaps, Size
from dualfocus.inference.long_stack import estimate_long
from dualfocus.inference.prediction import FocusModel, Planes, to_array
from dualfocus.inference.resizing import WORKING_PIXELS
from dualfocus.inference.shipped import shipped_weights
from dualfocus.inference.windows import LONGEST, WINDOW
from dualfocus.messages import first_line
from dualfocus.models import KINDS
from dualfocus.models.record import WeightsRecord

METADATA = "dualfocus"  # key of the record in the file, as JSON
PLANE_PIXELS = 10_500_000  # planes x pixels of one run of the graph, which knows no tiles: about 1.6 GB
_MAPS = ("coordinate", "std", "confidence")  # outputs of the graph that make `FocusMaps`, as `export_onnx` names them
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxModel(FocusModel):
    """An exported network; make one with `dualfocus.load_model`.

    A graph sees whole images: large ones are worked at a smaller size than the network, which has tiles, would. Long
    stacks go through it as in `dualfocus.inference.long_stack`.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        import onnxruntime

        device = choose_provider(device)
        if not path.is_file():
            raise ValueError(f"{path}: no such file; write it with `dualfocus export -o {path}`")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        if os.environ.get("OMP_NUM_THREADS", "").isdigit():  # its own threads do not heed this
            options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=[_PROVIDERS[device]])
        except Exception as error:  # its exceptions share no class of their own
            raise ValueError(f"{path}: ONNX Runtime cannot load it ({first_line(error)}); export it again") from None
        record = _read_record(path, self.session.get_modelmeta().custom_metadata_map)
        super().__init__(record["model"], record)
        self.path, self.device, self.precision = path, device, record.get("precision", "fp32")

    def working_pixels(self, planes: int) -> int:
        """Most pixels of a plane that the graph takes."""
        at_once = planes if planes <= LONGEST else WINDOW + 1
        return min(WORKING_PIXELS, PLANE_PIXELS // at_once)

    def reads(self, planes: int) -> int:
        """Long stacks are read twice."""
        return 1 if planes <= LONGEST else 2

    def estimate(self, planes: Planes, u: NDArray[np.float64], size: Size) -> FocusMaps:
        """See `FocusModel.estimate`."""
        if len(u) <= LONGEST:
            return self._run([to_array(planes(n, size)) for n in range(len(u))], u)

        def read(n: int, wanted: Size) -> NDArray[np.float32]:
            return to_array(planes(n, wanted))

        return estimate_long(lambda _: _Images(self._run, u), read, u, size)

    def fingerprint(self) -> str:
        """Short hash of the file, so that a resumed evaluation notices another one."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]

    def _run(self, images: list[NDArray[np.float32]], u: NDArray[np.float64]) -> FocusMaps:
        """The graph's answer from planes (3, h, w) alone, coordinates spanning [0, 1]."""
        coordinates = ((u - u[0]) / (u[-1] - u[0])).astype(np.float32)[None]
        maps = self.session.run(list(_MAPS), {"images": np.stack(images)[None], "coordinates": coordinates})
        return FocusMaps(*(values[0] for values in maps))


class _Images:
    """Planes as `dualfocus.inference.long_stack` wants them; a graph sees the whole image whatever the box."""

    def __init__(self, run: Callable[..., FocusMaps], u: NDArray[np.float64]) -> None:
        self.run, self.u = run, u
        self.images: dict[int, NDArray[np.float32]] = {}

    def add(self, n: int, image: NDArray[np.float32]) -> None:
        self.images[n] = image

    def keep(self, wanted: set[int]) -> None:
        for n in self.images.keys() - wanted:
            del self.images[n]

    def answer(self, index: Sequence[int], box: Box) -> FocusMaps:
        maps = self.run([self.images[n] for n in index], self.u[list(index)])
        top, bottom, left, right = box
        return FocusMaps(*(values[top:bottom, left:right] for values in maps))


def _read_record(path: Path, metadata: dict[str, str]) -> WeightsRecord:
    if METADATA not in metadata:
        raise ValueError(f"{path}: no DualFocus record inside; use a file written by `dualfocus export`")
    try:
        record = json.loads(metadata[METADATA])
        KINDS[record["model"]]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: its DualFocus record is damaged; export it again") from None
    return record


def choose_provider(device: str) -> str:
    """`cpu` or `cuda`, of auto, cpu or cuda.

    Raises:
        ValueError: another name, or a device that this ONNX Runtime was not built for.
    """
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if device not in ("auto", *_PROVIDERS):
        raise ValueError(f"device {device!r}: ONNX Runtime is used on cpu or cuda; choose auto, cpu or cuda")
    if device == "auto":
        device = "cuda" if _PROVIDERS["cuda"] in available else "cpu"
    if _PROVIDERS[device] not in available:
        raise ValueError(f"device {device}: not in this ONNX Runtime (pip install onnxruntime-gpu); use auto or cpu")
    return device


def cached_export(name: str) -> Path:
    """The ONNX file of a shipped model, exported once by another process into the user's cache.

    Raises:
        ValueError: no weights ship for the model, or it has to be exported and torch or onnx are missing.
    """
    weights = shipped_weights(name)
    if weights is None:
        raise ValueError(
            f"no weights ship for {name!r}; with backend='onnx' give dualfocus-s or the path of an .onnx file"
        )
    key = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    path = _cache_folder() / f"{name}-{__version__}-{key}.onnx"
    if path.is_file():
        return path
    missing = [module for module in ("torch", "onnx") if find_spec(module) is None]
    if missing:
        raise ValueError(
            f"{name} must be exported to ONNX once and {missing[0]} is not installed: run"
            " `dualfocus export -o model.onnx` where it is, and load that file"
        )
    done = run_python(["-m", "dualfocus", "export", name, "-o", str(path)])
    if done.returncode:
        raise ValueError(f"{name}: the export to {path} failed: {why_it_failed(done)}")
    return path


def _cache_folder() -> Path:
    base = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "dualfocus" if base else Path.home() / ".cache" / "dualfocus"
