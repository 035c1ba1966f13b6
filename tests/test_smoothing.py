"""Evening out within surfaces: against a filter written as its definition says, and what it must keep."""

import numpy as np
import pytest

from dualfocus.inference import smoothing
from dualfocus.inference.smoothing import blend_cells, smooth_within_surfaces

RNG = np.random.default_rng(4)


def one_round(values, noise):
    """The guided filter window by window, in 64 bits: a line is fitted in each, a pixel takes the mean of its lines."""
    r, height, width = smoothing.RADIUS, *values.shape
    padded = np.pad(values.astype(np.float64), r, mode="edge")
    slope, offset = np.empty_like(values, np.float64), np.empty_like(values, np.float64)
    for y in range(height):
        for x in range(width):
            window = padded[y : y + 2 * r + 1, x : x + 2 * r + 1]
            slope[y, x] = window.var() / (window.var() + noise[y, x] ** 2)
            offset[y, x] = (1 - slope[y, x]) * window.mean()
    result = np.empty_like(slope)
    slopes, offsets = np.pad(slope, r, mode="edge"), np.pad(offset, r, mode="edge")
    for y in range(height):
        for x in range(width):
            at = np.s_[y : y + 2 * r + 1, x : x + 2 * r + 1]
            result[y, x] = slopes[at].mean() * values[y, x] + offsets[at].mean()
    return result


@pytest.mark.parametrize("size", [(20, 31), (3, 5)])
def test_it_is_the_guided_filter(size):
    values = RNG.random(size, dtype=np.float32)
    values[:, size[1] // 2 :] *= 0.05
    error = RNG.uniform(0.001, 0.1, size).astype(np.float32)
    expected = values
    for _ in range(smoothing.ROUNDS):
        expected = one_round(expected, np.minimum(error, smoothing.LEAST_STEP))
    found = smooth_within_surfaces(values, error)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-4


def test_unevenness_goes_and_steps_stay():
    slanted = 0.3 + 0.1 * np.arange(80, dtype=np.float32)[:, None] / 80 + np.zeros((1, 120), np.float32)
    truth = slanted + 0.2 * (np.arange(120) >= 60)
    uneven = (truth + RNG.normal(0, 0.01, truth.shape)).astype(np.float32)
    found = smooth_within_surfaces(uneven, np.full_like(uneven, 0.1))
    away = np.abs(np.arange(120) - 59.5) > 2 * smoothing.RADIUS
    assert np.abs(found - truth)[:, away].mean() < 0.3 * np.abs(uneven - truth)[:, away].mean()
    assert np.abs(found[:, 60] - found[:, 59]).min() > 0.15  # of 0.2, with the unevenness
    sure = smooth_within_surfaces(uneven, np.full_like(uneven, 0.001))  # then it is no unevenness
    assert np.abs(sure - uneven).mean() < 0.1 * np.abs(found - uneven).mean()


def test_cells_do_not_show_in_the_confidence():
    cells = RNG.random((12, 16), dtype=np.float32).repeat(4, 0).repeat(4, 1)
    blended = blend_cells(cells)
    step = np.abs(np.diff(blended))  # of the cells themselves there are none but from cell to cell
    assert step[:, 3::4].mean() < 1.3 * np.delete(step, np.s_[3::4], 1).mean()
    np.testing.assert_allclose(blended[2:-2, 2:-2][0, 0], cells[:5, :5].mean(), rtol=1e-6)
    assert np.array_equal(blend_cells(np.full((6, 9), 0.7, np.float32)), np.full((6, 9), np.float32(0.7)))


def test_slopes_stay():
    slope = np.linspace(0.1, 0.9, 200, dtype=np.float32)[None].repeat(40, 0)
    inside = np.s_[:, 4 * smoothing.RADIUS : -4 * smoothing.RADIUS]
    assert np.abs(smooth_within_surfaces(slope, np.full_like(slope, 0.02)) - slope)[inside].max() < 1e-5
