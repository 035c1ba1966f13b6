"""`load_model`: which backend a model runs on; torch is imported only where it is the one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dualfocus.inference.choices import BACKENDS, check_precision

if TYPE_CHECKING:
    from dualfocus.inference.predictor import Predictor


def load_model(
    name: str | os.PathLike[str] = "dualfocus-s",
    device: str = "auto",
    weights: str | None = "default",
    backend: str = "auto",
    precision: str = "fp32",
) -> Predictor:
    """Load a model.

    Args:
        name: `dualfocus-s`, `dualfocus-xs`, `classical`, `dualfocus-paper`, `dfv`, the path of a .safetensors
            or .onnx file, or a system of others by its kind, a colon and what it needs, such as
            `depth-anything:FOLDER`, see `dualfocus.baselines.find_baseline`.
        device: auto, cpu, cuda or mps.
        weights: None builds a network untrained, for speed and size; it changes nothing for `classical` and files.
        backend: `torch`, `onnx` (ONNX Runtime, without torch in this process), or `auto`: onnx for an .onnx file,
            else torch. A shipped model is exported once, into the user's cache, when it is asked for with `onnx`.
        precision: of torch. `fp32`: the same on every machine, but for rounding. `bf16`: convolutions in bfloat16,
            faster on processors and GPUs that have instructions for it, and slower on others; depth differs by 0.02 %
            to 0.22 % of the focus range in the mean (docs/deploy.md). `auto`, what `dualfocus predict` uses: bf16
            where the device has the instructions.

    Returns:
        The model: its `predict` takes a focal stack; on torch `dualfocus-s` and `-xs` also `stream`.

    Raises:
        ValueError: an unknown name, device, backend, precision or kind of weights, a bad file, or a network for which
            no weights ship.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    check_precision(precision)
    is_onnx = isinstance(name, (str, os.PathLike)) and Path(name).suffix == ".onnx"
    if is_onnx and backend == "torch":
        raise ValueError(f"{name}: an .onnx file runs on ONNX Runtime; leave out the backend, or load the weights")
    if is_onnx or backend == "onnx":
        from dualfocus.inference.onnx_model import OnnxModel, cached_export, choose_provider

        if weights != "default":
            raise ValueError("an ONNX model has its weights inside; leave out weights")
        if precision == "bf16":
            raise ValueError("an ONNX model has its precision inside: choose it with `dualfocus export --precision`")
        choose_provider(device)  # before anything is exported
        return OnnxModel(Path(name) if is_onnx else cached_export(str(name)), device)
    try:
        from dualfocus.inference import torch_model
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError(
            f"{name} needs torch, which is not installed; without it, load a file written by `dualfocus export`"
        ) from None
    torch_model.check_weights(weights)
    from dualfocus.baselines import find_baseline

    found = find_baseline(name, torch_model.choose_device(device)) if isinstance(name, (str, os.PathLike)) else None
    return found or torch_model.load_torch_model(name, device, weights, precision)
