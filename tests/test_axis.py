"""The normalised coordinate: affine in inverse depth or in depth, and back."""

import numpy as np
import pytest

from dualfocus.stack import FocalStack
from dualfocus.stack.axis import FocusAxis

IMAGES = np.zeros((3, 4, 5), np.uint8)


@pytest.mark.parametrize(
    ("distances", "unit", "name", "planes"),
    [
        ([1, 2, 4], "m", "focus", [0, 2 / 3, 1]),
        ([1, 2, 4], "m", "depth", [0, 1 / 3, 1]),
        ([4, 1, 2], "m", "depth", [0, 1 / 3, 1]),
        ([0.5, 0.25, 1], "dioptre", "depth", [0, 1 / 3, 1]),
        ([-10, 0, 30], "um", "depth", [0, 0.25, 1]),
        (None, None, "depth", [0, 0.5, 1]),
    ],
)
def test_planes_and_depths(distances, unit, name, planes):
    stack = FocalStack(IMAGES, distances, unit)
    axis = FocusAxis(stack, name)
    np.testing.assert_allclose(axis.planes, planes)
    depth = np.asarray(axis.depth(np.array([0, 0.3, 1])))
    np.testing.assert_allclose(axis.normalise(depth), [0, 0.3, 1])
    step = 1e-5
    slope = (np.asarray(axis.depth(0.3 + step)) - np.asarray(axis.depth(0.3 - step))) / (2 * step)
    np.testing.assert_allclose(axis.depth_std(0.3, 0.1), 0.1 * abs(slope), rtol=1e-6)


def test_infinity_has_no_place_on_an_axis_of_depth():
    stack = FocalStack(IMAGES, [0, 1, 2], "dioptre")
    assert FocusAxis(stack).depth(1.0) == np.inf
    with pytest.raises(ValueError, match="infinity"):
        FocusAxis(stack, "depth")
    with pytest.raises(ValueError, match="'disparity' is not one of"):
        FocusAxis(stack, "disparity")


def test_what_is_as_good_as_infinite_is_infinite():
    axis = FocusAxis(FocalStack(IMAGES, [2, 1, 0], "dioptre"))
    near_the_end = np.array([0.5, 0.98, 0.995, 1.0])  # 0.01 of 2 dioptres is a fiftieth of the spacing
    np.testing.assert_allclose(axis.depth(near_the_end), [1, 25, np.inf, np.inf])
    assert np.isinf(axis.depth_std(near_the_end, 0.1)).tolist() == [False, False, True, True]
    for distances, unit in (([0.5, 1, 9999.0], "m"), ([500, 1000, 9.999e6], "mm")):  # how some programs write infinity
        far = FocusAxis(FocalStack(IMAGES, distances, unit))
        assert np.isinf(far.depth([0.5, 0.98, 0.995, 1.0])).tolist() == [False, False, True, True]
    finite = FocusAxis(FocalStack(IMAGES, [2, 1, 0.001], "dioptre"))
    np.testing.assert_allclose(finite.depth([0.999, 1.0]), [1 / (2 - 0.999 * 1.999), 1000], rtol=1e-6)
