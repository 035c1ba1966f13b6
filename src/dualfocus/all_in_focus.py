"""The all-in-focus image: every pixel from the planes in which it is probably sharp."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.staged import Estimate

_SHARPEN = 3.0  # power of the probability: neighbours of the best plane may help, blurred planes may not


def compose(frames, planes: int, estimate: Estimate, size: tuple[int, int], dtype: np.dtype) -> NDArray:
    """Blend the planes at full size, one in memory at a time.

    Args:
        frames: n -> (H, W, 3) full-size plane, planes near to far.
        planes: N.
        estimate: focus probabilities at the working size.
        size: H, W.
        dtype: of the photographs; uint16 stays, everything else becomes uint8.

    Returns:
        (H, W, 3) uint8 or uint16.
    """
    scale = {"uint8": 1.0, "uint16": 1.0}.get(str(dtype), 255.0)
    total = np.zeros((*size, 3), np.float32)
    weights = np.full(size, 1e-12, np.float32)
    for n in range(planes):
        weight = estimate.plane_weight(n).clamp(min=0).pow(_SHARPEN).cpu().numpy()
        if weight.shape != size:
            weight = cv2.resize(weight, size[::-1], interpolation=cv2.INTER_LINEAR)
        total += weight[..., None] * (frames(n).astype(np.float32) * scale)
        weights += weight
    limit = 65535 if dtype == np.uint16 else 255
    blended = np.rint(np.clip(total / weights[..., None], 0, limit))
    return blended.astype(np.uint16 if dtype == np.uint16 else np.uint8)
