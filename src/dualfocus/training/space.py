"""The space in which L_sv compares gradients of depth: the coordinate of the network, its inverse or its logarithm.

The paper leaves open what `grad D*` is taken of. Where the coordinate is inverse depth, its inverse is depth itself;
where it is depth, the inverse is disparity.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MOST = 20.0  # largest ratio between the first and the last plane that is counted: one may be at infinity
_LINEAR = 1e-3  # least change from the first plane to the last for which spaces differ; below, the map is linear


def in_space(coordinate: Tensor, ratio: Tensor, space: str) -> Tensor:
    """A normalised coordinate in another space, again 0 at the first plane and 1 at the last.

    Args:
        coordinate: (B, H, W), normalised: an affine map of the quantity c whose inverse or logarithm is taken.
        ratio: (B,), c of the last plane over c of the first; 1 where c has no zero, as stage positions have none, and
            the coordinate is then returned as it is.
        space: `coordinate`, `inverse` or `log`.

    Returns:
        (B, H, W).
    """
    if space == "coordinate":
        return coordinate
    end = ratio.clamp(1 / _MOST, _MOST)[:, None, None]
    bent = (end - 1).abs() > _LINEAR
    end = torch.where(bent, end, torch.full_like(end, 2.0))  # any value other than 1, never used: no division by 0
    value = (1 + coordinate * (end - 1)).clamp(min=1 / _MOST**2)  # outside the focus range it may have no inverse
    mapped = value.log() / end.log() if space == "log" else (1 / value - 1) / (1 / end - 1)
    return torch.where(bent, mapped, coordinate)
