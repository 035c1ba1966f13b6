"""The map from the confidence that a network reports to the share of right answers that was measured; numpy alone.

What it reports is off by an amount that depends most on the number of planes: half a plane spacing is half of the
focus range for two planes, where nearly every answer is right, and a twentieth of it for eleven. So the map has two
steps: the log-odds are scaled and shifted for each range of N, then one increasing curve serves all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dualfocus.models.record import ConfidenceMap

_LEAST = 1e-3  # confidences nearer to 0 or 1 than this are not told apart


def measured_confidence(said: ArrayLike, fitted: ConfidenceMap, planes: int) -> NDArray[np.float32]:
    """Carry the confidence that a network reports for a stack to the measured share of right answers.

    Args:
        said: confidences in [0, 1], any shape.
        fitted: the map, from the weights' record.
        planes: number of planes of the stack.
    """
    said = np.asarray(said, np.float32)
    if "shift" in fitted:
        group = plane_group(planes, fitted["planes"])
        said = shifted(said, fitted["shift"][group], fitted["scale"][group] if "scale" in fitted else 1.0)
    return np.interp(said, fitted["said"], fitted["measured"]).astype(np.float32)


def plane_group(planes: int, starts: list[int]) -> int:
    """Which of the ranges that begin at `starts` (increasing) a number of planes is in."""
    return max(int(np.searchsorted(starts, planes, side="right")) - 1, 0)


def shifted(confidence: NDArray[Any], shift: float, scale: float = 1.0) -> NDArray[Any]:
    """The confidence whose log-odds are `scale` times as large, and then larger by `shift`."""
    c = np.clip(confidence, _LEAST, 1 - _LEAST)
    against = (1 - c) / c if scale == 1.0 else ((1 - c) / c) ** np.asarray(scale, c.dtype)
    return 1 / (1 + against * np.exp(-shift).astype(c.dtype))
