"""From a focal stack to depth: `load_torch_model(name).predict(stack)`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dualfocus.inference.arithmetic import choose_precision, computing
from dualfocus.inference.choices import check_device
from dualfocus.inference.focus_maps import FocusMaps, Size
from dualfocus.inference.frames import to_frame
from dualfocus.inference.prediction import FocusModel, Planes
from dualfocus.inference.runners import runner_of
from dualfocus.inference.shipped import shipped_weights
from dualfocus.inference.streaming import FocusStream
from dualfocus.models import KINDS, MODELS, build_model
from dualfocus.models.layers import fold_norms, use_channels_last
from dualfocus.models.record import TrainingRecord
from dualfocus.models.small import DualFocusSmall
from dualfocus.models.weights import load_weights
from dualfocus.stack import Camera


class DepthModel(FocusModel):
    """A model ready to use; make one with `load_torch_model`."""

    def __init__(
        self,
        name: str,
        network: nn.Module,
        device: torch.device,
        record: TrainingRecord | None,
        precision: str = "fp32",
    ) -> None:
        super().__init__(name, record or {}, untrained=record is None and KINDS[name].learned)
        self.device = device
        chosen = choose_precision(precision, device)
        self.precision = chosen if self.kind.learned else "fp32"
        self.network = network.eval()
        fold_norms(self.network)
        self.network.to(device)
        use_channels_last(self.network)
        self.runner = runner_of(self.network)

    def working_pixels(self, planes: int) -> int:
        """See `FocusModel.working_pixels`."""
        return self.runner.working_pixels(planes)

    def reads(self, planes: int) -> int:
        """See `FocusModel.reads`."""
        return self.runner.reads(planes)

    def estimate(self, planes: Planes, u: NDArray[np.float64], size: Size) -> FocusMaps:
        """See `FocusModel.estimate`."""
        with computing(self.precision, self.device):
            return self.runner.estimate(lambda n, wanted: to_frame(planes(n, wanted)).to(self.device), u, size)

    def stream(self, window: int = 5, unit: str | None = None, camera: Camera | None = None) -> FocusStream:
        """See `Predictor.stream`."""
        if not isinstance(self.network, DualFocusSmall):
            raise ValueError(f"{self.name} cannot stream; only dualfocus-s and -xs can")
        return FocusStream(self, self.network, self.device, window, unit, camera)


def load_torch_model(
    name: str | os.PathLike[str] = "dualfocus-s",
    device: str = "auto",
    weights: str | None = "default",
    precision: str = "fp32",
) -> DepthModel:
    """Load a model of ours to run on torch; `dualfocus.load_model` knows other backends and systems, too.

    Args:
        name: `dualfocus-s`, `dualfocus-xs`, `classical`, `dualfocus-paper`, `dfv`, the path of a .safetensors
            file.
        device: auto, cpu, cuda or mps.
        weights: None builds a network untrained, for speed and size; it changes nothing for `classical` and files.
        precision: fp32, bf16 or auto, see `dualfocus.load_model`.

    Raises:
        ValueError: an unknown name, device, precision or kind of weights, a bad file, or a network for which no weights
            ship.
    """
    check_weights(weights)
    target = choose_device(device)
    if name not in MODELS:
        path = Path(name) if isinstance(name, (str, os.PathLike)) else None
        if path is None or path.suffix != ".safetensors":
            known = ", ".join(MODELS)
            raise ValueError(f"model {name!r} is unknown; choose {known} or the path of a .safetensors or .onnx file")
        network, record = load_weights(path)
        return DepthModel(record["model"], network, target, record, precision)
    name = str(name)
    if weights is None or not KINDS[name].learned:
        return DepthModel(name, build_model(name), target, None, precision)
    shipped = shipped_weights(name)
    if shipped is None:
        raise ValueError(
            f"no weights ship for {name}: train it with `dualfocus train configs/{name}.yaml` and give the path of the"
            " .safetensors file it writes (in Python, weights=None builds it untrained)"
        )
    network, record = load_weights(shipped)
    return DepthModel(name, network, target, record, precision)


def check_weights(weights: str | None) -> None:
    """Refuse what is neither "default" nor None (ValueError naming it)."""
    if weights not in (None, "default"):
        raise ValueError(f"weights must be 'default' or None, not {weights!r}; give the path of a file as the model")


def choose_device(device: str) -> torch.device:
    """The torch device of auto, cpu, cuda or mps.

    Raises:
        ValueError: an unknown name, or a device this machine does not have.
    """
    check_device(device)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if not available[device]:
        raise ValueError(f"device {device}: not available on this machine; use auto or cpu")
    return torch.device(device)


def describe_models() -> list[dict[str, Any]]:
    """Name, `parameters`, `gflop` (5 planes of 480x640, 2 per multiply-add) and `weights` of every model."""
    rows = []
    for name, kind in KINDS.items():
        weights = "shipped" if shipped_weights(name) else "train them" if kind.learned else "none needed"
        rows.append({"name": name, **describe_model(name), "weights": weights})
    return rows


def describe_model(name: str, planes: int = 5, size: Size = (480, 640)) -> dict[str, float | None]:
    """`parameters` and `gflop` (2 per multiply-add) of a model; no gflop for `classical`."""
    with torch.device("meta"):
        network = build_model(name).eval()
        images, u = torch.empty(1, planes, 3, *size), torch.empty(1, planes)
    gflop = _count(network, images, u) if KINDS[name].learned else None
    return {"parameters": sum(p.numel() for p in network.parameters()), "gflop": gflop}


def _count(network: nn.Module, images: Tensor, u: Tensor) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images, u)
    return round(counter.get_total_flops() / 1e9, 1)
