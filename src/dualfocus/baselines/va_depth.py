"""The single-image system with the variational layer, from a weights file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from dualfocus.baselines.baseline import Baseline, Scene, per_metre, single_image_result
from dualfocus.baselines.va_network import VaNetwork
from dualfocus.outputs import DepthResult


class VaDepth(Baseline):
    """Metres from one picture.

    Args:
        network: trained.
        path: its weights file, for the name.
        device: the device to run on.
    """

    def __init__(self, network: VaNetwork, path: Path, device: torch.device) -> None:
        self.name = f"va-depth:{path.name}"
        self.network = network.eval().to(device)
        self.device = device

    def answer(self, scene: Scene) -> DepthResult:
        """Metric depth in the result unit of the stack."""
        metres = self.metres(scene.picture)
        return single_image_result(scene, metres * per_metre(scene.stack, self.name), self.name, ())

    def inverse_depth(self, picture: NDArray[np.uint8], name: str | None = None) -> NDArray[np.float32]:
        """1 / metres: a `dualfocus.baselines.relative.RelativeModel`."""
        return np.reciprocal(self.metres(picture))

    def metres(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Depth of a (H, W, 3) uint8 picture, (H, W)."""
        size = working_size(picture.shape[:2], self.network.config.side)
        small = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
        pixels = torch.from_numpy(small).permute(2, 0, 1)[None].float().to(self.device) / 255
        with torch.inference_mode():
            log_depth = self.network(pixels).log_depth
            full = F.interpolate(log_depth[:, None], picture.shape[:2], mode="bilinear", align_corners=False)
        metres: NDArray[np.float32] = full[0, 0].exp().cpu().numpy()
        return metres


def working_size(size: tuple[Any, ...], side: int) -> tuple[int, int]:
    """Height and width with about `side` pixels on the shorter side, both multiples of 32."""
    height, width = (max(1, round(extent * side / min(size) / 32)) * 32 for extent in size)
    return height, width
