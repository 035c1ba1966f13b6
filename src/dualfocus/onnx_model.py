"""Prediction with ONNX Runtime: the same result as the network it was exported from, without torch."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus import __version__
from dualfocus.prediction import Maps, Planes, Predictor, to_array
from dualfocus.resizing import enlarge
from dualfocus.windows import (
    LONGEST,
    WINDOW,
    WORKING_PIXELS,
    Size,
    average,
    coarse_size,
    expected_error,
    interleaved,
    plane_position,
    window_share,
    window_starts,
)

METADATA = "dualfocus"  # key of the record in the file, as JSON
PLANE_PIXELS = 10_500_000  # planes x pixels of one run of the graph, which knows no tiles: about 1.6 GB
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxModel(Predictor):
    """An exported network; make one with :func:`dualfocus.load_model`.

    A graph sees whole images: large ones are worked at a smaller size than the network, which has tiles, would. Stacks
    of more than a dozen planes go through it in interleaved parts and in windows, as in :mod:`dualfocus.staged`.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        import onnxruntime

        available = onnxruntime.get_available_providers()
        if device not in ("auto", *_PROVIDERS):
            raise ValueError(f"device {device!r}: ONNX Runtime is used on cpu or cuda; choose auto, cpu or cuda")
        if device == "auto":
            device = "cuda" if _PROVIDERS["cuda"] in available else "cpu"
        if _PROVIDERS[device] not in available:
            raise ValueError(
                f"device {device}: not in this ONNX Runtime (pip install onnxruntime-gpu); use auto or cpu"
            )
        if not path.is_file():
            raise ValueError(f"{path}: no such file; write it with `dualfocus export -o {path}`")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        if os.environ.get("OMP_NUM_THREADS", "").isdigit():  # its own threads do not heed this
            options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=[_PROVIDERS[device]])
        except Exception as error:  # its exceptions share no class of their own
            reason = str(error).splitlines()[0]
            raise ValueError(f"{path}: ONNX Runtime cannot load it ({reason}); export it again") from None
        record = _read_record(path, self.session.get_modelmeta().custom_metadata_map)
        super().__init__(record["model"], record)
        self.path, self.device = path, device

    def working_pixels(self, planes: int) -> int:
        """Most pixels of a plane that the graph takes."""
        return min(WORKING_PIXELS, PLANE_PIXELS // min(planes, LONGEST))

    def reads(self, planes: int) -> int:
        """Long stacks are read twice."""
        return 1 if planes <= LONGEST else 2

    def estimate(self, planes: Planes, u: NDArray[np.float64], size: Size) -> Maps:
        """See :meth:`Predictor.estimate`."""
        if len(u) <= LONGEST:
            return self._run([to_array(planes(n, size)) for n in range(len(u))], u)
        small = coarse_size(size, len(u))
        images = [to_array(planes(n, small)) for n in range(len(u))]
        parts = interleaved(len(u))
        answers = [self._run([images[n] for n in part], u[part]) for part in parts]
        errors = [expected_error(found.confidence, len(part)) for found, part in zip(answers, parts, strict=True)]
        coarse = enlarge(np.stack([found.coordinate for found in answers]).mean(axis=0), size)
        place = plane_position(coarse, u)
        error = np.zeros(size, np.float32)
        total = Maps(*(np.zeros(size, np.float32) for _ in Maps._fields))
        held: dict[int, NDArray[np.float32]] = {}
        starts = window_starts(len(u))
        for number, start in enumerate(starts):
            chosen = range(start, start + WINDOW)
            held = {n: held[n] if n in held else to_array(planes(n, size)) for n in chosen}
            share = window_share(place, starts, number)
            if share.any():
                window = self._run(list(held.values()), u[chosen])
                _add(total, window, share, u[chosen])
                error += share * expected_error(window.confidence, WINDOW) * np.float32(u[chosen][-1] - u[chosen][0])
        coarse_error = enlarge(np.stack(errors).mean(axis=0), size)
        coordinate, std = average(coarse, coarse_error, total.coordinate, error, total.std)
        return total._replace(coordinate=coordinate, std=std)

    def fingerprint(self) -> str:
        """Short hash of the file, so that a resumed evaluation notices another one."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]

    def _run(self, images: list[NDArray[np.float32]], u: NDArray[np.float64]) -> Maps:
        """The graph's answer from planes (3, h, w) alone, coordinates spanning [0, 1]."""
        coordinates = ((u - u[0]) / (u[-1] - u[0])).astype(np.float32)[None]
        maps = self.session.run(list(Maps._fields), {"images": np.stack(images)[None], "coordinates": coordinates})
        return Maps(*(values[0] for values in maps))


def _add(total: Maps, window: Maps, share: NDArray[np.float32], u: NDArray[np.float64]) -> None:
    """Add a window's answer, carried from its own coordinate to that of the stack."""
    first, extent = np.float32(u[0]), np.float32(u[-1] - u[0])
    total.coordinate[...] += share * (first + window.coordinate * extent)
    total.std[...] += share * window.std * extent
    total.confidence[...] += share * window.confidence


def _read_record(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    if METADATA not in metadata:
        raise ValueError(f"{path}: no DualFocus record inside; use a file written by `dualfocus export`")
    try:
        record = json.loads(metadata[METADATA])
        record["model"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: its DualFocus record is damaged; export it again") from None
    return record


def cached_export(name: str) -> Path:
    """The ONNX file of a shipped model, exported once by another process into the user's cache.

    Raises:
        ValueError: no weights ship for the model, or it has to be exported and torch or onnx are missing.
    """
    weights = Path(__file__).parent / "weights" / f"{name}.safetensors"
    if not weights.is_file():
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
    done = subprocess.run(
        [sys.executable, "-m", "dualfocus", "export", name, "-o", str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
        raise ValueError(f"{name}: the export to {path} failed: {reason}")
    return path


def _cache_folder() -> Path:
    base = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "dualfocus" if base else Path.home() / ".cache" / "dualfocus"
