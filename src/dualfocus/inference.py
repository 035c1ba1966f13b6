"""From a focal stack to depth: ``load_model(name).predict(stack)``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dualfocus.all_in_focus import Place, compose, spread
from dualfocus.axis import FocusAxis
from dualfocus.baselines import find_baseline
from dualfocus.models import NETWORKS, build_network
from dualfocus.models.classical import Classical
from dualfocus.models.layers import fold_norms, use_channels_last
from dualfocus.models.weights import load_weights
from dualfocus.outputs import DepthResult
from dualfocus.resizing import enlarge, guided_upsample, shrink, working_size
from dualfocus.stack import FocalStack
from dualfocus.staged import Estimate, estimate, local_spacing, plane_position, reads, working_pixels

MODELS = ("dualfocus-s", "classical", "dualfocus-paper", "dfv")
WEIGHTS = Path(__file__).parent / "weights"
LEAST_CONFIDENCE = 0.2  # below it a pixel counts as nowhere in focus: what a guess among five planes would get

Progress = Callable[[int, int, str], None]  # planes read, planes to read in all, for what


class DepthModel:
    """A model ready to use; make one with :func:`load_model`."""

    def __init__(self, name: str, network: nn.Module, device: torch.device, record: dict[str, Any] | None) -> None:
        self.name, self.device, self.record = name, device, record or {}
        self.untrained = record is None and name != "classical"
        self.network = network.eval()
        fold_norms(self.network)
        self.network.to(device)
        use_channels_last(self.network)

    def predict(self, stack: FocalStack, progress: Progress | None = None) -> DepthResult:
        """Estimate depth; the same answer every time.

        Args:
            stack: at least two planes, in any order.
            progress: called after each plane read, with the number read, the number that will be read in all (planes
                are read two to three times, so that few are in memory) and what they are read for.

        Returns:
            maps of the size of the photographs, depth in ``stack.result_unit``.

        Raises:
            ValueError: no focal stack, or a plane that cannot be decoded, named.
        """
        if not isinstance(stack, FocalStack):
            raise ValueError(
                f"predict takes a focal stack, not {type(stack).__name__}: make one with load_stack(files) or"
                " FocalStack(images)"
            )
        axis = FocusAxis(stack, self.record.get("coordinate", "focus"))
        size, work = stack.size, working_size(stack.size, working_pixels(self.network, len(stack)))
        planes = _Reader(stack, reads(self.network, len(stack)) + 1, progress)
        started = time.perf_counter()

        def working(n: int, wanted: tuple[int, int]) -> Tensor:
            return to_tensor(shrink(planes.read(n, "depth"), wanted)).to(self.device)

        with torch.inference_mode():
            found = estimate(self.network, working, axis.planes, work)
            place = _place(found, torch.as_tensor(axis.planes, dtype=torch.float32), size)
        estimated = time.perf_counter()
        image = compose(lambda n: planes.read(n, "all-in-focus image"), len(stack), place, stack.dtype)
        del place
        coordinate, std, confidence = self._full_size(found, image)
        depth = np.asarray(axis.depth(coordinate), np.float32)
        spread = np.asarray(axis.depth_std(coordinate, std), np.float32)
        valid = (confidence >= LEAST_CONFIDENCE) & np.isfinite(depth)
        if stack.common_region is not None:
            valid &= stack.common_region
        timings = {"estimate": estimated - started, "all_in_focus": time.perf_counter() - estimated}
        return DepthResult(
            depth=depth,
            valid=valid,
            confidence=confidence,
            std=spread,
            all_in_focus=image,
            unit=stack.result_unit,
            focus_distances=stack.focus_distances,
            model=self.name,
            timings=timings,
            warnings=[*stack.warnings, *self._warnings(size, work)],
            focus_unit=stack.unit,
            camera=stack.camera,
            order=stack.order,
            pixel_size_um=stack.pixel_size_um,
            alignment=stack.alignment,
            images=list(stack.index_names if stack.unit == "index" else stack.names),
        )

    def _full_size(self, found: Estimate, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normalised coordinate, its std and the calibrated confidence at the size of the photographs ``image``."""
        coordinate = found.coordinate.clamp(0, 1).cpu().numpy()
        std, confidence = found.std.cpu().numpy(), self.calibrate(found.confidence.cpu().numpy())
        if coordinate.shape != image.shape[:2]:
            coordinate = np.clip(guided_upsample(coordinate, image), 0, 1)
        return coordinate, enlarge(std, image.shape[:2]), enlarge(confidence, image.shape[:2])

    def calibrate(self, confidence: np.ndarray) -> np.ndarray:
        """Carry the network's confidence to the measured share of right answers, by the record's map."""
        fitted = self.record.get("confidence_map")
        if fitted is None:
            return confidence.astype(np.float32)
        return np.interp(confidence, fitted["said"], fitted["measured"]).astype(np.float32)

    def _warnings(self, size: tuple[int, int], work: tuple[int, int]) -> list[str]:
        warnings = []
        if self.untrained:
            warnings.append(f"untrained: {self.name} has random weights; its depth means nothing")
        if work != size:
            warnings.append(f"worked at {work[1]}x{work[0]} and enlarged to {size[1]}x{size[0]}")
        return warnings


def load_model(name: str = "dualfocus-s", device: str = "auto", weights: str | None = "default") -> Any:
    """Load a model.

    Args:
        name: ``dualfocus-s``, ``classical``, ``dualfocus-paper``, ``dfv``, or the path of a .safetensors file.
        device: auto, cpu, cuda or mps.
        weights: None builds a network untrained, for speed and size; it changes nothing for ``classical`` and files.

    Raises:
        ValueError: an unknown name, device or kind of weights, a bad file, or a network for which no weights ship.
    """
    if weights not in (None, "default"):
        raise ValueError(f"weights must be 'default' or None, not {weights!r}; give the path of a file as the model")
    target = choose_device(device)
    if isinstance(name, (str, os.PathLike)) and (baseline := find_baseline(name, target)) is not None:
        return baseline
    if name == "classical":
        return DepthModel(name, Classical(), target, None)
    if name not in NETWORKS:
        path = Path(name) if isinstance(name, (str, os.PathLike)) else None
        if path is None or path.suffix != ".safetensors":
            known = ", ".join(MODELS)
            raise ValueError(f"model {name!r} is unknown; choose {known} or the path of a .safetensors file")
        network, record = load_weights(path)
        return DepthModel(record["model"], network, target, record)
    if weights is None:
        return DepthModel(name, build_network(name), target, None)
    path = WEIGHTS / f"{name}.safetensors"
    if not path.exists():
        raise ValueError(
            f"no weights ship for {name}; train it with `dualfocus train configs/{name}.yaml` and pass the path of the"
            " .safetensors file it writes, or use weights=None for an untrained network"
        )
    network, record = load_weights(path)
    return DepthModel(name, network, target, record)


def choose_device(device: str) -> torch.device:
    """The torch device of auto, cpu, cuda or mps.

    Raises:
        ValueError: an unknown name, or a device this machine does not have.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if device not in available:
        raise ValueError(f"device {device!r} is unknown; choose auto, cpu, cuda or mps")
    if not available[device]:
        raise ValueError(f"device {device}: not available on this machine; use auto or cpu")
    return torch.device(device)


def describe_models() -> list[dict[str, Any]]:
    """Name, ``parameters``, ``gflop`` (5 planes of 480x640, 2 per multiply-add) and ``weights`` of every model."""
    rows = []
    for name in MODELS:
        with torch.device("meta"):
            network = (Classical() if name == "classical" else build_network(name)).eval()
            images, u = torch.empty(1, 5, 3, 480, 640), torch.empty(1, 5)
        parameters = sum(p.numel() for p in network.parameters())
        gflop = None if name == "classical" else _count(network, images, u)
        shipped = "none needed" if name == "classical" else _shipped(name)
        rows.append({"name": name, "parameters": parameters, "gflop": gflop, "weights": shipped})
    return rows


class _Reader:
    """Reads the planes of a stack near to far and says how far it has come."""

    def __init__(self, stack: FocalStack, times: int, progress: Progress | None) -> None:
        self.stack, self.order = stack, stack.near_to_far
        self.total, self.done, self.progress = times * len(stack), 0, progress

    def read(self, n: int, purpose: str) -> np.ndarray:
        """Plane n, near to far, at full size."""
        plane = self.stack[int(self.order[n])]
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total, purpose)
        return plane


def _place(found: Estimate, u: Tensor, size: tuple[int, int]) -> Place:
    """Where the pixels of the photographs are in focus, for the all-in-focus image."""
    coordinate = found.coordinate.clamp(0, 1)
    u = u.to(coordinate.device)
    maps = plane_position(coordinate, u), found.std / local_spacing(coordinate, u)
    position, std = (enlarge(values.float().cpu().numpy(), size) for values in maps)
    return Place(position, spread(std))


def to_tensor(image: np.ndarray) -> Tensor:
    """A plane as the networks take it: (H, W, 3) uint8, uint16 or float -> (3, H, W) float32 in [0, 1]."""
    scale = {"uint8": 1 / 255, "uint16": 1 / 65535}.get(str(image.dtype), 1.0)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) * np.float32(scale))


def _count(network: nn.Module, images: Tensor, u: Tensor) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images, u)
    return round(counter.get_total_flops() / 1e9, 1)


def _shipped(name: str) -> str:
    return "shipped" if (WEIGHTS / f"{name}.safetensors").exists() else "train them"
