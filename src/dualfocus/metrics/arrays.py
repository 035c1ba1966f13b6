"""What every metric asks of its maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def as_pair(prediction: ArrayLike, truth: ArrayLike) -> tuple[Array, Array]:
    """Two (H, W) maps as float64; ValueError unless they are maps of one size."""
    y, t = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    if y.shape != t.shape or y.ndim != 2:
        raise ValueError(f"prediction {y.shape} and truth {t.shape} must be (H, W) maps of one size")
    return y, t


def as_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Mask:
    """The mask, (H, W) bool; ValueError for another size or type."""
    keep = np.asarray(mask)
    if keep.shape != shape or keep.dtype != bool:
        raise ValueError(f"the mask must be bool of shape {shape}, got {keep.dtype} {keep.shape}")
    return keep


def counted_values(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> tuple[Array, Array]:
    """The values inside the mask, 1-D each; ValueError for an empty mask or a value that is not finite."""
    y, t = as_pair(prediction, truth)
    keep = as_mask(mask, t.shape)
    if not keep.any():
        raise ValueError("the mask is empty: no pixel to measure")
    y, t = y[keep], t[keep]
    for name, values in (("prediction", y), ("truth", t)):
        if not np.isfinite(values).all():
            raise ValueError(f"the {name} is not finite at {np.sum(~np.isfinite(values))} pixels of the mask")
    return y, t
