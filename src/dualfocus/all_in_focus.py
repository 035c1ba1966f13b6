"""The all-in-focus image: every pixel from the planes in which it is probably sharp."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dualfocus.resizing import enlarge
from dualfocus.staged import Estimate

_SHARPEN = 3.0  # power of the probability: neighbours of the best plane may help, blurred planes may not


def compose(
    frames: Callable[[int], NDArray], planes: int, estimate: Estimate, size: tuple[int, int], dtype: np.dtype
) -> NDArray:
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
    scale = 1.0 if dtype.kind == "u" else 255.0
    total = np.zeros((*size, 3), np.float32)
    weights = np.full(size, 1e-12, np.float32)
    for n in range(planes):
        weight = enlarge(estimate.plane_weight(n).clamp(min=0).pow(_SHARPEN).cpu().numpy(), size)
        total += weight[..., None] * (frames(n).astype(np.float32) * scale)
        weights += weight
    limit = 65535 if dtype == np.uint16 else 255
    blended = np.rint(np.clip(total / weights[..., None], 0, limit))
    return blended.astype(np.uint16 if dtype == np.uint16 else np.uint8)
