"""Confidence against what happened, pooled over images of any number in little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dualfocus import metrics

LEVELS = 1500  # a multiple of the calibration bins and of ten


class ConfidenceHistogram:
    """Sums over pixels for each of 1500 levels of confidence.

    Attributes:
        count, confidence, correct, error: (LEVELS,) float64: pixels, sum of confidence, pixels whose error is below
            half a plane spacing, sum of errors in focus ranges.
    """

    def __init__(self) -> None:
        self.count, self.confidence, self.correct, self.error = np.zeros((4, LEVELS))

    def add(self, confidence: ArrayLike, error: ArrayLike, correct: ArrayLike) -> None:
        """Count pixels: confidence in [0, 1], error and whether it was below half a plane spacing."""
        c = np.asarray(confidence, np.float64).ravel()
        if not (np.all(c >= 0) and np.all(c <= 1)):
            raise ValueError("confidence must lie in [0, 1]")
        level = np.minimum((c * LEVELS).astype(int), LEVELS - 1)
        hits, errors = (np.asarray(values, np.float64).ravel() for values in (correct, error))
        for sums, weights in zip(self._tables(), (np.ones_like(c), c, hits, errors), strict=True):
            sums += np.bincount(level, weights=weights, minlength=LEVELS)

    def merge(self, other: ConfidenceHistogram) -> None:
        """Add the pixels of another histogram."""
        for sums, others in zip(self._tables(), other._tables(), strict=True):
            sums += others

    def expected_calibration_error(self, bins: int = 15) -> float:
        """As `metrics.expected_calibration_error`, for a number of bins that divides LEVELS; NaN when empty."""
        if not self.count.any():
            return float("nan")
        gap = (self.confidence - self.correct).reshape(bins, -1).sum(axis=1)
        return float(np.abs(gap).sum() / self.count.sum())

    def error_by_confidence(self, bins: int = 10) -> NDArray[np.float64]:
        """(bins,) mean error in bins of equal count, least confident first; levels are 1/1500 wide."""
        return metrics.error_by_confidence_level(self.count, self.error, bins)

    def save(self, path: Path) -> None:
        """Write the levels that hold pixels to a .npz."""
        used = np.flatnonzero(self.count)
        table = np.stack(self._tables())[:, used]
        with path.open("wb") as file:
            np.savez_compressed(file, level=used.astype(np.int32), sums=table)

    @classmethod
    def load(cls, path: Path) -> ConfidenceHistogram:
        """Read what `save` wrote."""
        histogram = cls()
        with np.load(path, allow_pickle=False) as content:
            for sums, values in zip(histogram._tables(), content["sums"], strict=True):
                sums[content["level"]] = values
        return histogram

    def _tables(self) -> tuple[NDArray[np.float64], ...]:
        return self.count, self.confidence, self.correct, self.error
