"""Refocusing a light field: its views shifted by a disparity and averaged, as the stacks of DDFF 12-Scene were made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def refocus(views: NDArray[Any], disparities: ArrayLike) -> NDArray[np.float64]:
    """A focal stack from the views of a light field.

    With centre c = ((U + 1) / 2, (V + 1) / 2) of the views, counted from 1, plane d is the mean over views (u, v) of
    view(x + (c - (u, v)) d): a point whose place moves by -d from view to view is sharp. Fractions of a pixel are a
    phase ramp of the Fourier transform, so views are continued periodically; of each shifted view the absolute value
    is clipped to [0, 1].

    Args:
        views: (U, V, H, W, C) float in [0, 1]; u goes with the rows of the image, v with its columns.
        disparities: (N,) in pixels from view to view.

    Returns:
        (N, H, W, C).

    Raises:
        ValueError: an array of another shape, or of integers.
    """
    if views.ndim != 5 or views.dtype.kind != "f":
        raise ValueError(f"views must be (U, V, H, W, C) floats in [0, 1], not {views.shape} {views.dtype}")
    planes = np.atleast_1d(np.asarray(disparities, np.float64))
    rows, columns = (np.fft.fftfreq(side) for side in views.shape[2:4])
    stack = np.zeros((len(planes), *views.shape[2:]))
    for u in range(views.shape[0]):
        for v in range(views.shape[1]):
            spectrum = np.fft.fft2(views[u, v], axes=(0, 1))
            down, right = (views.shape[0] + 1) / 2 - (u + 1), (views.shape[1] + 1) / 2 - (v + 1)
            turns = down * rows[:, None] + right * columns[None, :]  # for a disparity of 1 px
            for n, disparity in enumerate(planes):
                ramp = np.exp(2j * np.pi * disparity * turns)[..., None]
                stack[n] += np.clip(np.abs(np.fft.ifft2(spectrum * ramp, axes=(0, 1))), 0, 1)
    return stack / (views.shape[0] * views.shape[1])
