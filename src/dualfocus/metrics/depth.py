"""Errors of one depth map, in the conventions of HybridDepth, DFV and FOSSA."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dualfocus.metrics.arrays import Array, as_pair, counted_values
from dualfocus.metrics.boundary import boundary_f1
from dualfocus.metrics.bump import bumpiness

DELTA_BASE = 1.25
BADPIX_THRESHOLD = 0.07
CLOSE_RATIOS = {"d1_05": 1.05, "d1_15": 1.15}


def depth_metrics(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> dict[str, float]:
    """Error figures of one depth map over a mask, accuracies as fractions (HybridDepth's convention).

    Args:
        prediction: (H, W) predicted depth, finite inside the mask.
        truth: (H, W) true depth, finite and positive inside the mask.
        mask: (H, W) bool, the pixels that count.

    Returns:
        `mse`, `rmse` (root of the MSE of this image), `log_rms` (natural log), `abs_rel`, `sq_rel`, `delta1`..`delta3`.
        `log_rms` is NaN when a counted prediction is not positive; such pixels fail every delta.

    Raises:
        ValueError: shapes differ, the mask is empty, or a counted value is not finite.
    """
    y, t = counted_values(prediction, truth, mask)
    if np.any(t <= 0):
        raise ValueError("the truth has values <= 0 inside the mask: ratio metrics need positive depth")
    error = y - t
    positive = bool(np.all(y > 0))
    log_rms = float(np.sqrt(np.mean((np.log(y) - np.log(t)) ** 2))) if positive else float("nan")
    return _errors(error, t) | {"log_rms": log_rms} | {f"delta{k}": _within(y, t, DELTA_BASE**k) for k in (1, 2, 3)}


def fossa_metrics(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> dict[str, float]:
    """Figures of one map as FOSSA counts them, accuracies as fractions.

    Args:
        prediction: (H, W) predicted depth or disparity, finite inside the mask.
        truth: (H, W) truth of the same kind, finite and positive inside the mask.
        mask: (H, W) bool, the pixels that count.

    Returns:
        `depth_metrics` (delta1..delta3 are FOSSA's D1.25, D1.25^2, D1.25^3), `d1_05` and `d1_15` (fractions with
        max(y/t, t/y) below 1.05 and 1.15), `log10` (mean |log10 y - log10 t|), `silog` (root of mean g^2 - (mean g)^2
        / 2, g = ln y - ln t) and `boundary_f1`. `log10` and `silog` are NaN where a counted prediction is not positive.

    Raises:
        ValueError: as for `depth_metrics`.
    """
    figures = depth_metrics(prediction, truth, mask)
    y, t = counted_values(prediction, truth, mask)
    figures |= {name: _within(y, t, ratio) for name, ratio in CLOSE_RATIOS.items()}
    figures |= {"log10": float("nan"), "silog": float("nan")}
    if np.all(y > 0):
        g = np.log(y) - np.log(t)
        figures["log10"] = float(np.mean(np.abs(g)) / np.log(10))
        figures["silog"] = float(np.sqrt(np.mean(g**2) - 0.5 * np.mean(g) ** 2))
    return figures | {"boundary_f1": boundary_f1(prediction, truth, mask)}


def dfv_metrics(prediction: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Figures of one map as DFV and DDFF count them: truth > 0 counts, percent for accuracies.

    Args:
        prediction: (H, W) predicted disparity or depth, finite everywhere (Bump looks outside the mask too).
        truth: (H, W) truth, 0 where there is none.

    Returns:
        `mse`, `rmse`, `log_rms`, `abs_rel`, `sq_rel`, `delta1`..`delta3` and `badpix` in percent, `bump`.
        All are 0 when no pixel has truth, and such an image still enters the mean.
    """
    prediction, truth = as_pair(prediction, truth)
    mask = truth > 0
    names = ("mse", "rmse", "abs_rel", "sq_rel", "log_rms", "delta1", "delta2", "delta3", "badpix", "bump")
    if not mask.any():
        return dict.fromkeys(names, 0.0)
    y, t = counted_values(prediction, truth, mask)
    error = y - t
    positive = y > 0  # other pixels leave the sum of logarithms but stay in the count
    log_error = np.log(y[positive]) - np.log(t[positive])
    return (
        _errors(error, t)
        | {"log_rms": float(np.sqrt(np.sum(log_error**2) / t.size))}
        | {f"delta{k}": 100 * _within(y, t, DELTA_BASE**k) for k in (1, 2, 3)}
        | {"badpix": 100 * bad_pixels(prediction, truth, mask)}
        | {"bump": bumpiness(prediction, truth, mask)}
    )


def mean_absolute_error(
    prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike, weight: ArrayLike | None = None
) -> float:
    """Mean |prediction - truth| over the mask, (H, W) each, in their unit, by `weight` (H, W) where there is one.

    Raises:
        ValueError: shapes differ, the mask is empty, a counted value is not finite, or weights that are no weights.
    """
    y, t = counted_values(prediction, truth, mask)
    return float(np.average(np.abs(y - t), weights=_counted_weight(weight, mask)))


def root_mean_square_error(
    prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike, weight: ArrayLike | None = None
) -> float:
    """Root of the mean squared difference, arguments and errors as for `mean_absolute_error`."""
    y, t = counted_values(prediction, truth, mask)
    return float(np.sqrt(np.average((y - t) ** 2, weights=_counted_weight(weight, mask))))


def bad_pixels(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> float:
    """Fraction of the mask with |prediction - truth| > 0.07, (H, W) each; ValueError likewise."""
    y, t = counted_values(prediction, truth, mask)
    return float(np.mean(np.abs(y - t) > BADPIX_THRESHOLD))


def correlation(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> float:
    """Pearson correlation over the mask, (H, W) each; NaN when either map is constant there; ValueError likewise."""
    y, t = counted_values(prediction, truth, mask)
    if not (np.ptp(y) and np.ptp(t)):  # what rounding leaves of a constant less its mean is not 0
        return float("nan")
    y, t = y - y.mean(), t - t.mean()
    return float(np.sum(y * t) / np.sqrt(np.sum(y * y) * np.sum(t * t)))


def _counted_weight(weight: ArrayLike | None, mask: ArrayLike) -> Array | None:
    if weight is None:
        return None
    w, keep = np.asarray(weight, np.float64), np.asarray(mask)
    if w.shape != keep.shape:
        raise ValueError(f"weight {w.shape} and mask {keep.shape} must be (H, W) maps of one size")
    w = w[keep]
    if not (np.isfinite(w).all() and np.all(w >= 0) and w.any()):
        raise ValueError("weights must be finite, not negative, and above 0 somewhere in the mask")
    return w


def _errors(error: Array, truth: Array) -> dict[str, float]:
    """The figures that mean the same in every convention."""
    mse = float(np.mean(error**2))
    return {
        "mse": mse,
        "rmse": float(np.sqrt(mse)),
        "abs_rel": float(np.mean(np.abs(error) / truth)),
        "sq_rel": float(np.mean(error**2 / truth)),
    }


def _within(prediction: Array, truth: Array, ratio: float) -> float:
    """Fraction with max(y/t, t/y) below the ratio; predictions that are not positive fail."""
    positive = prediction > 0
    y, t = prediction[positive], truth[positive]
    return float(np.sum(np.maximum(y / t, t / y) < ratio) / truth.size)
