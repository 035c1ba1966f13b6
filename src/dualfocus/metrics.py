"""Depth and confidence metrics of one image, in float64 numpy.

Two conventions are in use and never share a column: `depth_metrics` gives accuracies as fractions over an explicit
mask, as HybridDepth counts; `dfv_metrics` gives them in percent over the pixels with truth > 0, as DDFF and DFV do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

DELTA_BASE = 1.25
BADPIX_THRESHOLD = 0.07
BUMP_CLIP = 0.05


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
    y, t = _counted(prediction, truth, mask)
    if np.any(t <= 0):
        raise ValueError("the truth has values <= 0 inside the mask: ratio metrics need positive depth")
    error = y - t
    positive = bool(np.all(y > 0))
    log_rms = float(np.sqrt(np.mean((np.log(y) - np.log(t)) ** 2))) if positive else float("nan")
    return _errors(error, t) | {"log_rms": log_rms} | {f"delta{k}": _delta(y, t, k) for k in (1, 2, 3)}


def dfv_metrics(prediction: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Figures of one map as DFV and DDFF count them: truth > 0 counts, percent for accuracies.

    Args:
        prediction: (H, W) predicted disparity or depth, finite everywhere (Bump looks outside the mask too).
        truth: (H, W) truth, 0 where there is none.

    Returns:
        `mse`, `rmse`, `log_rms`, `abs_rel`, `sq_rel`, `delta1`..`delta3` and `badpix` in percent, `bump`.
        All are 0 when no pixel has truth, and such an image still enters the mean.
    """
    prediction, truth = _pair(prediction, truth)
    mask = truth > 0
    names = ("mse", "rmse", "abs_rel", "sq_rel", "log_rms", "delta1", "delta2", "delta3", "badpix", "bump")
    if not mask.any():
        return dict.fromkeys(names, 0.0)
    y, t = _counted(prediction, truth, mask)
    error = y - t
    positive = y > 0  # other pixels leave the sum of logarithms but stay in the count
    log_error = np.log(y[positive]) - np.log(t[positive])
    return (
        _errors(error, t)
        | {"log_rms": float(np.sqrt(np.sum(log_error**2) / t.size))}
        | {f"delta{k}": 100 * _delta(y, t, k) for k in (1, 2, 3)}
        | {"badpix": 100 * float(np.mean(np.abs(error) > BADPIX_THRESHOLD))}
        | {"bump": bumpiness(prediction, truth, mask)}
    )


def bumpiness(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean norm of the second derivatives of the error, clipped at 0.05, times 100: the Bump column of DDFF and DFV.

    Each derivative is a 3x3 Scharr filter that is not halved, so that a slope of a gives 2 a.

    Args:
        prediction: (H, W), unmasked: its values at pixels without truth take part in the derivatives.
        truth: (H, W), 0 where there is none.
        mask: (H, W) bool, the pixels averaged over; those with truth > 0 when None.
    """
    prediction, truth = _pair(prediction, truth)
    counted = truth > 0 if mask is None else np.asarray(mask, bool)
    if not counted.any():
        return 0.0
    error = prediction - truth
    dx, dy = _scharr(error, axis=1), _scharr(error, axis=0)
    second = (_scharr(dx, axis=1), _scharr(dx, axis=0), _scharr(dy, axis=0), _scharr(dy, axis=1))
    norm = np.sqrt(sum(np.square(part) for part in second))
    return 100 * float(np.mean(np.minimum(norm, BUMP_CLIP)[counted]))


def mean_absolute_error(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> float:
    """Mean |prediction - truth| over the mask, (H, W) each, in their unit; ValueError as for `depth_metrics`."""
    y, t = _counted(prediction, truth, mask)
    return float(np.mean(np.abs(y - t)))


def root_mean_square_error(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> float:
    """Root of the mean squared difference over the mask, (H, W) each, in their unit; ValueError likewise."""
    y, t = _counted(prediction, truth, mask)
    return float(np.sqrt(np.mean((y - t) ** 2)))


def correlation(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> float:
    """Pearson correlation over the mask, (H, W) each; NaN when either map is constant there; ValueError likewise."""
    y, t = _counted(prediction, truth, mask)
    y, t = y - y.mean(), t - t.mean()
    scale = float(np.sqrt(np.sum(y * y) * np.sum(t * t)))
    return float(np.sum(y * t) / scale) if scale > 0 else float("nan")


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by their counts.

    Args:
        confidence: values in [0, 1], any shape.
        correct: bool of the same shape: whether the event the confidence speaks of happened.
        bins: number of equal-width bins of [0, 1].

    Raises:
        ValueError: sizes differ, nothing is given, or a confidence is outside [0, 1].
    """
    confidence, hit = _flat_pair(confidence, correct)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(which, weights=confidence - hit, minlength=bins)
    return float(np.sum(np.abs(gap)) / confidence.size)


def error_by_confidence(confidence: ArrayLike, error: ArrayLike, bins: int = 10) -> Array:
    """Mean error in bins of equal count, from the least to the most confident.

    Pixels of equal confidence have no order: each such group is spread over the bins it touches in proportion,
    so the answer does not depend on how the pixels are arranged.

    Args:
        confidence: values in [0, 1], any shape.
        error: absolute errors of the same shape, in any unit.
        bins: number of bins of equal count.

    Returns:
        (bins,) mean error per bin.

    Raises:
        ValueError: sizes differ, nothing is given, or a confidence is outside [0, 1].
    """
    confidence, error = _flat_pair(confidence, error)
    _, group = np.unique(confidence, return_inverse=True)
    group = group.reshape(-1)
    return error_by_confidence_level(np.bincount(group), np.bincount(group, weights=error), bins)


def error_by_confidence_level(count: ArrayLike, error_sum: ArrayLike, bins: int = 10) -> Array:
    """`error_by_confidence` from a histogram over increasing confidence levels.

    Args:
        count: (L,) pixels per level.
        error_sum: (L,) sum of their errors.
        bins: number of bins of equal count.

    Raises:
        ValueError: there is no pixel.
    """
    count, error_sum = np.asarray(count, np.float64), np.asarray(error_sum, np.float64)
    if count.sum() == 0:
        raise ValueError("no pixels to put into confidence bins")
    edges = np.linspace(0, count.sum(), bins + 1)
    cumulative = np.interp(edges, np.r_[0, np.cumsum(count)], np.r_[0, np.cumsum(error_sum)])
    return np.diff(cumulative) / np.diff(edges)


def sparsification_error(confidence: ArrayLike, error: ArrayLike, steps: int = 50) -> float:
    """Area under the sparsification error (AUSE), as a fraction of the mean error; 0 is the best order.

    The mean error of the pixels kept when the least confident fraction is dropped, minus the same with the worst
    errors dropped first, averaged over the fractions 0, 1/steps, ... below 1. NaN when every error is 0.

    Args:
        confidence: values in [0, 1], any shape.
        error: absolute errors of the same shape, in any unit.
        steps: number of fractions.

    Raises:
        ValueError: sizes differ, nothing is given, or a confidence is outside [0, 1].
    """
    confidence, error = _flat_pair(confidence, error)
    if not error.any():
        return float("nan")
    by_confidence, by_error = (_mean_of_kept(error, key, steps) for key in (confidence, -error))
    return float(np.mean(by_confidence - by_error) / error.mean())


def _mean_of_kept(error: Array, key: Array, steps: int) -> Array:
    """Mean error of the pixels with the largest key, for each kept fraction."""
    best_first = error[np.argsort(-key, kind="stable")]
    running = np.cumsum(best_first) / np.arange(1, error.size + 1)
    kept = np.ceil(error.size * (1 - np.arange(steps) / steps)).astype(int)
    return running[np.maximum(kept, 1) - 1]


def _errors(error: Array, truth: Array) -> dict[str, float]:
    """The figures that mean the same in every convention."""
    mse = float(np.mean(error**2))
    return {
        "mse": mse,
        "rmse": float(np.sqrt(mse)),
        "abs_rel": float(np.mean(np.abs(error) / truth)),
        "sq_rel": float(np.mean(error**2 / truth)),
    }


def _delta(prediction: Array, truth: Array, power: int) -> float:
    """Fraction with max(y/t, t/y) < 1.25^power; predictions that are not positive fail."""
    positive = prediction > 0
    y, t = prediction[positive], truth[positive]
    return float(np.sum(np.maximum(y / t, t / y) < DELTA_BASE**power) / truth.size)


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


def _pair(prediction: ArrayLike, truth: ArrayLike) -> tuple[Array, Array]:
    y, t = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    if y.shape != t.shape or y.ndim != 2:
        raise ValueError(f"prediction {y.shape} and truth {t.shape} must be (H, W) maps of one size")
    return y, t


def _counted(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> tuple[Array, Array]:
    y, t = _pair(prediction, truth)
    keep = np.asarray(mask)
    if keep.shape != t.shape or keep.dtype != bool:
        raise ValueError(f"the mask must be bool of shape {t.shape}, got {keep.dtype} {keep.shape}")
    if not keep.any():
        raise ValueError("the mask is empty: no pixel to measure")
    y, t = y[keep], t[keep]
    for name, values in (("prediction", y), ("truth", t)):
        if not np.isfinite(values).all():
            raise ValueError(f"the {name} is not finite at {np.sum(~np.isfinite(values))} pixels of the mask")
    return y, t


def _flat_pair(confidence: ArrayLike, other: ArrayLike) -> tuple[Array, Array]:
    c, o = np.asarray(confidence, np.float64).ravel(), np.asarray(other, np.float64).ravel()
    if c.size != o.size or c.size == 0:
        raise ValueError(f"confidence ({c.size} values) and what it is compared with ({o.size}) must match")
    if not (np.all(c >= 0) and np.all(c <= 1)):
        raise ValueError("confidence must lie in [0, 1]")
    return c, o
