"""Expected errors: from a confidence and back to one, and the share of each of two answers in their mean.

The confidence is the probability of an error below half a plane spacing; if errors are normal, that says how large
their deviation is.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_SAID = np.linspace(0.02, 0.98, 97)
_QUANTILES = np.array([NormalDist().inv_cdf(0.5 * (1 + said)) for said in _SAID])


def expected_error(confidence: NDArray, planes: int) -> NDArray[np.float32]:
    """Deviation of the normal error that is below half a plane spacing with probability `confidence`.

    Args:
        confidence: any shape.
        planes: number of planes that span [0, 1].

    Returns:
        the same shape, in that unit.
    """
    return np.minimum(0.5 / np.interp(confidence, _SAID, _QUANTILES) / (planes - 1), 0.5).astype(np.float32)


def confidence_of(error: NDArray[np.float32], planes: int) -> NDArray[np.float32]:
    """The inverse of `expected_error`: probability of an error below half a spacing, within 0.02 to 0.98."""
    return np.interp(0.5 / (error * (planes - 1)), _QUANTILES, _SAID).astype(np.float32)


def trust_in_fine(coarse_error: NDArray[np.float32], fine_error: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of the fine answer in the mean of both, by inverse variances.

    In a very fine series the planes of a window hardly differ, and the coarse answer is the better one; where the
    series is coarse only a window shows the peak.
    """
    return 1 / (1 + np.square(fine_error / coarse_error))
