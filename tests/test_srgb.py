"""The curve of sRGB, and the three ways it is used, against values of the standard."""

import numpy as np

from dualfocus.rendering.color import linear_to_srgb8, srgb_to_linear
from dualfocus.srgb import to_display, to_linear


def test_known_values_and_back():
    display = np.array([0, 10, 127.5, 187.516, 255]) / 255
    np.testing.assert_allclose(to_linear(display), [0, 0.00303527, 0.2140411, 0.5, 1], rtol=2e-5)
    np.testing.assert_allclose(to_display(to_linear(np.linspace(0, 1, 999))), np.linspace(0, 1, 999), atol=1e-6)
    assert to_linear(np.float32([0.5])).dtype == to_display(np.float32([0.5])).dtype == np.float32


def test_the_tables_of_the_renderer_follow_it():
    levels = np.arange(256)
    np.testing.assert_array_equal(linear_to_srgb8(to_linear(levels / 255)), levels)
    np.testing.assert_allclose(srgb_to_linear(levels / 255), to_linear(levels / 255), atol=3e-4)
