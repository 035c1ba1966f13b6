"""Refocusing: planes of known disparity are sharp exactly there, and whole pixels are shifts anyone can check."""

import numpy as np
import pytest
from scipy import ndimage

from dualfocus.rendering.light_field import refocus


def texture(height=24, width=32, seed=0):
    noise = np.random.default_rng(seed).uniform(0.2, 0.8, (height, width, 3))
    return ndimage.gaussian_filter(noise, (1.2, 1.2, 0), mode="wrap")


def seen(image, views, disparity):
    """The views of a plane, each in its place by periodic cubic interpolation: row u is seen (u - c) d lower."""
    field = np.empty((*views, *image.shape))
    for u in range(views[0]):
        for v in range(views[1]):
            shift = ((u - (views[0] - 1) / 2) * -disparity, (v - (views[1] - 1) / 2) * -disparity, 0)
            field[u, v] = ndimage.shift(image, shift, order=5, mode="grid-wrap")
    return field


@pytest.mark.parametrize("views", [(9, 9), (4, 3)])
@pytest.mark.parametrize("disparity", [0.1644, -0.4])
def test_a_plane_is_sharp_at_its_disparity_alone(views, disparity):
    image = texture()
    others = disparity + np.array([-0.6, -0.2, 0, 0.2, 0.6])
    stack = refocus(seen(image, views, disparity), others)
    np.testing.assert_allclose(stack[2], image, atol=2e-3)
    error = [np.abs(plane - image).mean() for plane in stack]
    assert error[2] < 0.1 * error[1] < error[0] and error[2] < 0.1 * error[3] < error[4]


def test_whole_pixels_are_rolls():
    views = np.random.default_rng(1).uniform(0, 1, (3, 3, 8, 10, 1))
    expected = np.zeros((8, 10, 1))
    for u in range(3):
        for v in range(3):
            expected += np.roll(views[u, v], (-2 * (1 - u), -2 * (1 - v)), axis=(0, 1)) / 9
    np.testing.assert_allclose(refocus(views, 2)[0], expected, atol=1e-12)
    np.testing.assert_allclose(refocus(views, [0.0])[0], views.mean(axis=(0, 1)), atol=1e-12)


def test_ringing_is_clipped():
    views = np.zeros((2, 1, 8, 8, 1))
    views[:, :, 3] = 1
    assert 0 <= refocus(views, 0.5).min() and refocus(views, 0.5).max() <= 1


def test_other_arrays_are_refused():
    with pytest.raises(ValueError, match="views must be"):
        refocus(np.zeros((3, 3, 8, 8), np.float32), 0.1)
    with pytest.raises(ValueError, match="floats"):
        refocus(np.zeros((3, 3, 8, 8, 3), np.uint8), 0.1)
