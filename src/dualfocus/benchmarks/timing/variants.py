"""A model on a backend in a precision, as `dualfocus bench` times it."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualfocus.stack import FocalStack

BACKENDS = ("eager", "compile", "onnx")
PRECISIONS = {"eager": ("fp32", "bf16", "fp16"), "compile": ("fp32", "bf16", "fp16"), "onnx": ("fp32", "fp16", "int8")}
_EXACT = "classical"  # computes in fp32 alone
_PORTABLE = "dualfocus-s"  # what can be compiled in parts and exported


@dataclass(frozen=True)
class Variant:
    """What is timed.

    Attributes:
        model: name or path.
        backend: one of `BACKENDS`.
        precision: one that the backend has in `PRECISIONS`.
    """

    model: str
    backend: str = "eager"
    precision: str = "fp32"

    @property
    def label(self) -> str:
        """The model, and what is not the default."""
        parts = [self.model, *([self.backend] if self.backend != "eager" else [])]
        return " ".join([*parts, *([self.precision] if self.precision != "fp32" else [])])


def variants(models: Sequence[str], backends: Sequence[str], precisions: Sequence[str]) -> list[Variant]:
    """All combinations that exist; `compile` and `onnx` are for `dualfocus-s` alone.

    Raises:
        ValueError: nothing to time, a name given twice, or an unknown backend or precision.
    """
    if not models:
        raise ValueError("bench needs at least one model")
    known = {precision for row in PRECISIONS.values() for precision in row}
    for what, given, allowed in (("backend", backends, set(BACKENDS)), ("precision", precisions, known)):
        if not given or not set(given) <= allowed:
            raise ValueError(f"{what}: {', '.join(given) or 'none'}; choose of {', '.join(sorted(allowed))}")
    for what, names in (("model", models), ("backend", backends), ("precision", precisions)):
        if len(set(names)) != len(names):
            raise ValueError(f"a {what} is named twice: {', '.join(names)}")
    chosen = [
        Variant(model, backend, precision)
        for model, backend, precision in itertools.product(models, backends, precisions)
        if precision in PRECISIONS[backend]
        and (backend == "eager" or model == _PORTABLE)
        and (precision == "fp32" or model != _EXACT)
    ]
    if not chosen:
        raise ValueError(f"no model of {', '.join(models)} runs on {', '.join(backends)} in {', '.join(precisions)}")
    return chosen


class Timed:
    """A loaded variant; `run` predicts without warnings."""

    def __init__(self, variant: Variant, device: str, folder: Path) -> None:
        """Load it; an ONNX file is written to `folder` unless it is there."""
        self.model = _load(variant, device, folder)
        if variant.backend == "compile":
            _compile(self.model.network)

    def run(self, stack: FocalStack) -> Any:
        """Predict."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.model.predict(stack)


def _load(variant: Variant, device: str, folder: Path) -> Any:
    """The model with its weights, or untrained where none come with it: the speed is the same."""
    from dualfocus.loading import load_model

    if variant.backend == "onnx":
        path = folder / f"{variant.model}-{variant.precision}.onnx"
        if not path.exists():
            from dualfocus.inference.export import export_onnx

            export_onnx(variant.model, path, variant.precision)
        return load_model(path, device=device)
    try:
        model: Any = load_model(variant.model, device=device)
    except ValueError:
        model = load_model(variant.model, device=device, weights=None)
    model.precision = variant.precision  # fp16, too, which `load_model` does not offer
    return model


def _compile(network: Any) -> None:
    """Compile the parts that `dualfocus.inference.staged` calls one by one."""
    import torch

    network.encoder.compile()
    for name in ("surfaces", "fuse_level", "collapse", "read_out"):
        setattr(network, name, torch.compile(getattr(network, name)))
