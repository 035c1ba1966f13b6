"""Boundary F1: are the occlusion edges of the prediction where those of the truth are, at any scale of depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dualfocus.metrics.arrays import Array, Mask, as_mask, as_pair

LEAST_DEPTH = 1e-6  # smaller predictions, zero and below too, count as this
THRESHOLDS = np.linspace(1.05, 1.25, 10)


def boundary_f1(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike) -> float:
    """Scale-invariant boundary F1 of Depth Pro, over pixel pairs of which both are valid, as FOSSA counts it.

    Between two neighbours lies an edge when the ratio of their depths exceeds a threshold; which of the two is nearer
    makes it one of four directions. Precision and recall are means over the directions (0 for one without edges), F1
    is their harmonic mean, and the score the mean over ten thresholds from 1.05 to 1.25 weighted by the threshold.

    Args:
        prediction: (H, W) predicted depth or disparity.
        truth: (H, W) truth of the same kind.
        mask: (H, W) bool.

    Returns:
        a number in [0, 1]; 0 when either map has no edge.
    """
    y, t = as_pair(prediction, truth)
    keep = as_mask(mask, t.shape)
    y, t = np.maximum(np.where(keep, y, 1), LEAST_DEPTH), np.maximum(np.where(keep, t, 1), LEAST_DEPTH)
    counts = [
        _edges_passed(a, b, valid)
        for axis in (0, 1)
        for a, b, valid in (_neighbours(y, t, keep, axis), _neighbours(y, t, keep, axis, flip=True))
    ]
    both, predicted, true = np.stack(counts, axis=1)
    precision = np.mean(both / np.maximum(predicted, 1), axis=0)
    recall = np.mean(both / np.maximum(true, 1), axis=0)
    f1 = 2 * precision * recall / np.where(precision + recall > 0, precision + recall, 1)
    return float(np.sum(f1 * THRESHOLDS) / np.sum(THRESHOLDS))


def _neighbours(y: Array, t: Array, keep: Mask, axis: int, flip: bool = False) -> tuple[Array, Array, Mask]:
    """Ratio of each pixel to the one before it (or the inverse) in both maps, and where both pixels are valid."""
    later, earlier = (slice(1, None), slice(None, -1)) if axis == 0 else (np.s_[:, 1:], np.s_[:, :-1])
    first, second = (earlier, later) if flip else (later, earlier)
    return y[first] / y[second], t[first] / t[second], keep[first] & keep[second]


def _edges_passed(predicted: Array, true: Array, valid: Mask) -> Array:
    """(3, thresholds): pairs that pass each threshold in both maps, in the prediction, and in the truth."""
    some = valid & ((predicted > THRESHOLDS[0]) | (true > THRESHOLDS[0]))  # few pairs are an edge of either
    passed = [np.searchsorted(THRESHOLDS, ratio[some], side="left") for ratio in (predicted, true)]
    ranks = (np.minimum(*passed), *passed)
    return np.array([np.bincount(rank, minlength=len(THRESHOLDS) + 1)[::-1].cumsum()[::-1][1:] for rank in ranks])
