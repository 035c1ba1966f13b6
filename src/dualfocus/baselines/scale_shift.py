"""The closed-form fit of a map to another by one scale and one shift."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fit_scale_shift(
    source: NDArray[np.floating], target: NDArray[np.floating], weight: NDArray[np.floating] | None = None
) -> tuple[float, float]:
    """The (scale, shift) of least `sum w (scale * source + shift - target)^2`.

    Two normal equations, in float64 around the weighted means, which keeps them well conditioned. Pixels where either
    map is not finite do not count. Without any spread of the source the scale is 0, as HybridDepth has it, and the
    shift the mean of the target.

    Args:
        source: the map to fit, of any shape.
        target: the map to fit it to, of the same shape.
        weight: what each pixel counts, of the same shape, at least 0; 1 everywhere by default, as the peers fit.

    Raises:
        ValueError: no pixel counts.
    """
    w = np.ones(source.shape) if weight is None else np.asarray(weight, np.float64)
    counts = np.isfinite(source) & np.isfinite(target) & (w > 0)
    if not counts.any():
        raise ValueError("no pixel to fit a scale and a shift to: both maps must be finite somewhere")
    x, y, w = source[counts].astype(np.float64), target[counts].astype(np.float64), w[counts]
    total = w.sum()
    x_mean, y_mean = (w * x).sum() / total, (w * y).sum() / total
    variance = (w * (x - x_mean) ** 2).sum()
    if not variance > 1e-12 * total * x_mean**2:
        return 0.0, float(y_mean)
    scale = float((w * (x - x_mean) * (y - y_mean)).sum() / variance)
    return scale, float(y_mean - scale * x_mean)
