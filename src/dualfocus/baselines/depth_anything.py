"""Depth Anything V1 and V2, relative and metric, through `transformers`."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from dualfocus.baselines.baseline import Baseline, Scene, per_metre, single_image_result
from dualfocus.baselines.scale_shift import fit_scale_shift
from dualfocus.outputs import DepthResult

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_EXAMPLE = "depth-anything:depth-anything/Depth-Anything-V2-Small-hf"


class DepthAnything(Baseline):
    """A Depth Anything model.

    A metric one gives metres. A relative one gives inverse depth up to an unknown scale and shift; its depth is 1 over
    that, without a unit, and the result says so. No protocol aligns predictions to the truth, so nothing is here.

    Args:
        source: a folder with `config.json` and `model.safetensors`, or the name of such a model on the Hugging Face
            hub.
        device: the device to run on.

    Raises:
        ValueError: weights that cannot be had, or that are not of a Depth Anything model.
    """

    kind = "depth-anything"

    def __init__(self, source: str, device: torch.device) -> None:
        if not source:
            raise ValueError(f"{self.kind} needs a model: the folder of a download or a hub name, e.g. {_EXAMPLE}")
        self.name = f"{self.kind}:{source}"
        self.network, config = _load(source)
        self.network.to(device)
        self.device = device
        self.is_metric = config.depth_estimation_type == "metric"
        self._side, self._patch = int(config.backbone_config.image_size), int(config.patch_size)

    def answer(self, scene: Scene) -> DepthResult:
        """Metric depth in the result unit, or relative depth as it is."""
        found = self.predicted(scene.picture)
        if self.is_metric:
            return single_image_result(scene, found * per_metre(scene.stack, self.name), self.name, ())
        note = "relative depth that was not aligned: its numbers are no distances, only their order means something"
        return single_image_result(scene, _inverted(found), self.name, (note,))

    def inverse_depth(self, picture: NDArray[np.uint8], name: str | None = None) -> NDArray[np.float32]:
        """Inverse depth up to scale (and shift, for a relative model): a `.relative.RelativeModel`."""
        found = self.predicted(picture)
        return _inverted(found) if self.is_metric else found

    def predicted(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's output at the size of the picture, (H, W): metres, or relative inverse depth."""
        small = cv2.resize(picture, self.input_size(picture.shape[:2])[::-1], interpolation=cv2.INTER_CUBIC)
        pixels = ((small.astype(np.float32) / 255 - _MEAN) / _STD).transpose(2, 0, 1)
        with torch.inference_mode():
            output = self.network(torch.from_numpy(np.ascontiguousarray(pixels))[None].to(self.device)).predicted_depth
            full = F.interpolate(output[:, None], picture.shape[:2], mode="bilinear", align_corners=True)
        return full[0, 0].float().cpu().numpy()

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width the network works at: the shorter side at its native size, both multiples of its patch."""
        scale = self._side / min(size)
        height, width = (max(1, round(side * scale / self._patch)) * self._patch for side in size)
        return height, width


class AlignedDepthAnything(DepthAnything):
    """The same with the truth's help: each image's own best scale and shift, in inverse depth.

    This is how relative models are measured among themselves. It needs samples with truth, which only `evaluate` has,
    and its figures stand beside no others.

    Raises:
        ValueError: a metric model, which needs no alignment; a stack that is not from a camera.
    """

    kind = "depth-anything-aligned"

    def __init__(self, source: str, device: torch.device) -> None:
        super().__init__(source, device)
        if self.is_metric:
            raise ValueError(f"{self.name}: is a metric model; measure it as depth-anything:{source}")

    def answer(self, scene: Scene) -> DepthResult:
        """Depth whose inverse is the fitted line of the output."""
        sample, stack = scene.sample, scene.stack
        if sample is None:
            raise ValueError(f"{self.kind} aligns to the truth, which only `evaluate` has; use depth-anything")
        if not stack.is_camera:
            raise ValueError(f"{sample.name}: {self.kind} needs distances from a camera, not unit {stack.unit!r}")
        found = self.predicted(scene.picture)
        truth = np.where(sample.mask & (sample.truth > 0), sample.truth, np.nan)
        scale, shift = fit_scale_shift(found, 1 / truth)
        note = f"inverse depth aligned to the truth: scale {scale:.4g}, shift {shift:.4g}"
        farthest = np.float32(np.nanmax(truth))  # the line may cross 0, where no depth is
        depth = np.minimum(_inverted(scale * found + shift, farthest), farthest)
        return single_image_result(scene, depth, self.name, (note,))


def _inverted(values: NDArray[Any], otherwise: Any = np.nan) -> NDArray[np.float32]:
    values = np.asarray(values, np.float32)
    return np.divide(1, values, out=np.full_like(values, otherwise), where=values > 0)


def _load(source: str) -> tuple[nn.Module, Any]:
    """The network in evaluation mode and its configuration."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, DepthAnythingForDepthEstimation
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a hub out of reach is told in one line, below
    is_local = Path(source).is_dir()
    remedy = f"give the folder of a download (config.json, model.safetensors), or a hub name such as {_EXAMPLE}"
    if not is_local and not _HUB_NAME.fullmatch(source):
        raise ValueError(f"{source}: no such folder of weights; {remedy}")
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=is_local)
        loaded: Any = None
        if config.model_type == "depth_anything":
            loaded = DepthAnythingForDepthEstimation.from_pretrained(
                source, config=config, local_files_only=is_local, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        local, remote = "files are missing or damaged", "no such folder, and no hub within reach that has it"
        raise ValueError(f"the weights of {source} cannot be had: {local if is_local else remote}; {remedy}") from error
    if loaded is None:
        raise ValueError(f"{source}: is a {config.model_type} model, not Depth Anything; {remedy}")
    network, report = loaded
    lacking = sorted(report["missing_keys"])
    if lacking:
        raise ValueError(f"{source}: {len(lacking)} weights are missing from its file, first {lacking[0]}; {remedy}")
    return network.eval(), config
