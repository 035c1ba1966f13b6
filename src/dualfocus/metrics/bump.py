"""Bumpiness: how rough the error is, the Bump column of DDFF and DFV."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dualfocus.metrics.arrays import Array, as_mask, as_pair

BUMP_CLIP = 0.05


def bumpiness(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean norm of the second derivatives of the error, clipped at 0.05, times 100.

    Each derivative is a 3x3 Scharr filter that is not halved, so that a slope of a gives 2 a.

    Args:
        prediction: (H, W), unmasked: its values at pixels without truth take part in the derivatives.
        truth: (H, W), 0 where there is none.
        mask: (H, W) bool, the pixels averaged over; those with truth > 0 when None.

    Raises:
        ValueError: maps of two sizes, or a mask of another size or type.
    """
    prediction, truth = as_pair(prediction, truth)
    counted = truth > 0 if mask is None else as_mask(mask, truth.shape)
    if not counted.any():
        return 0.0
    error = prediction - truth
    dx, dy = _scharr(error, axis=1), _scharr(error, axis=0)
    second = (_scharr(dx, axis=1), _scharr(dx, axis=0), _scharr(dy, axis=0), _scharr(dy, axis=1))
    norm = np.sqrt(sum(np.square(part) for part in second))
    return 100 * float(np.mean(np.minimum(norm, BUMP_CLIP)[counted]))


def _scharr(image: Array, axis: int) -> Array:
    """3x3 Scharr derivative, taps [1, 0, -1] not halved times [3, 10, 3]/16, borders mirrored with the edge pixel."""
    padded = np.pad(image, 1, mode="symmetric")
    rows, columns = image.shape
    smooth = (
        (3 * padded[:-2] + 10 * padded[1:-1] + 3 * padded[2:]) / 16
        if axis == 1
        else (3 * padded[:, :-2] + 10 * padded[:, 1:-1] + 3 * padded[:, 2:]) / 16
    )
    return smooth[:, 2:] - smooth[:, :columns] if axis == 1 else smooth[2:] - smooth[:rows]
