"""Confidence against what happened: calibration, and the order it gives the errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dualfocus.metrics.arrays import Array


def is_right(error: NDArray[Any], planes: int) -> NDArray[np.bool_]:
    """Whether answers are right as the confidence means it: with an error below half a mean plane spacing.

    Args:
        error: absolute errors in focus ranges, any shape.
        planes: number of planes of the stack.

    Returns:
        bool of the same shape.
    """
    return error < 0.5 / (planes - 1)


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
    return error_by_confidence_level(*_levels(confidence, error), bins)


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
    return np.diff(_running_sum(count, error_sum, edges)) / np.diff(edges)


def risk_coverage(count: ArrayLike, error_sum: ArrayLike, steps: int = 20) -> Array:
    """Mean error of the most confident part of the pixels: the risk at a coverage of 1/steps, 2/steps, ... 1.

    Pixels of one level have no order: a part of a level brings that part of its errors.

    Args:
        count: (L,) pixels per increasing level of confidence.
        error_sum: (L,) sum of their errors.
        steps: number of coverages.

    Returns:
        (steps,) mean errors; the last is that of all pixels.

    Raises:
        ValueError: there is no pixel.
    """
    count, error_sum = np.asarray(count, np.float64)[::-1], np.asarray(error_sum, np.float64)[::-1]
    if count.sum() == 0:
        raise ValueError("no pixels to rank by confidence")
    kept = count.sum() * np.arange(1, steps + 1) / steps
    return _running_sum(count, error_sum, kept) / kept


def sparsification_error(confidence: ArrayLike, error: ArrayLike, steps: int = 50) -> float:
    """Area under the sparsification error (AUSE), as a fraction of the mean error; 0 is the best order.

    `risk_coverage` by confidence minus the same by the errors themselves, averaged over the coverages; the order of
    confidence that says nothing scores what the best order saves. NaN when every error is 0.

    Args:
        confidence: values in [0, 1], any shape.
        error: absolute errors of the same shape, in any unit.
        steps: number of coverages.

    Raises:
        ValueError: sizes differ, nothing is given, or a confidence is outside [0, 1].
    """
    confidence, error = _flat_pair(confidence, error)
    if not error.any():
        return float("nan")
    by_confidence, by_error = (risk_coverage(*_levels(key, error), steps) for key in (confidence, -error))
    return float(np.mean(by_confidence - by_error) / error.mean())


def _levels(key: Array, error: Array) -> tuple[Array, Array]:
    """Pixels and sum of errors for each distinct value of the key, increasing."""
    _, group = np.unique(key, return_inverse=True)
    group = group.reshape(-1)
    count = np.bincount(group).astype(np.float64)
    return count, np.bincount(group, weights=error).astype(np.float64)


def _running_sum(count: Array, error_sum: Array, pixels: Array) -> Array:
    """Sum of the errors of the first so many pixels; a level is used up evenly."""
    return np.interp(pixels, np.r_[0, np.cumsum(count)], np.r_[0, np.cumsum(error_sum)])


def _flat_pair(confidence: ArrayLike, other: ArrayLike) -> tuple[Array, Array]:
    c, o = np.asarray(confidence, np.float64).ravel(), np.asarray(other, np.float64).ravel()
    if c.size != o.size or c.size == 0:
        raise ValueError(f"confidence ({c.size} values) and what it is compared with ({o.size}) must match")
    if not (np.all(c >= 0) and np.all(c <= 1)):
        raise ValueError("confidence must lie in [0, 1]")
    return c, o
