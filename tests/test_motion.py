"""Motions between frames: their algebra, the step that fits them, and two frames registered."""

import cv2
import numpy as np
import pytest
from warped_stacks import SIZE, moving_stack, texture, wandering

from dualfocus.alignment.motion import MOTIONS, apply, compose, from_parameters, in_pixels, inverse, to_parameters
from dualfocus.alignment.pairs import _Basis, best_shift, pyramid, register
from dualfocus.alignment.region import common_region


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_form_groups_with_these_parameters(motion):
    rng = np.random.default_rng(0)
    count = {"translation": 2, "similarity": 4, "affine": 6, "homography": 8}[motion]
    p, q = rng.normal(0, 0.05, (2, count))
    product = compose(from_parameters(motion, p), from_parameters(motion, q))
    again = from_parameters(motion, to_parameters(motion, product))
    points = rng.uniform(-1, 1, (20, 2))
    # closed under composition: re-expressing a product loses nothing
    np.testing.assert_allclose(apply(again, points), apply(product, points), atol=1e-12)
    np.testing.assert_allclose(apply(inverse(product), apply(product, points)), points, atol=1e-12)


def test_motion_in_pixels_agrees_with_opencv():
    matrix = from_parameters("homography", np.array([0.1, -0.05, 0.03, 0.02, 0.01, -0.02, 0.03, 0.01]))
    unit = 0.5 * np.hypot(*SIZE)
    pixels = np.random.default_rng(0).uniform(0, 150, (30, 2))
    centre = np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2])
    expected = apply(matrix, (pixels - centre) / unit) * unit + centre
    np.testing.assert_allclose(cv2.perspectiveTransform(pixels[None], in_pixels(matrix, SIZE))[0], expected, atol=1e-9)


@pytest.mark.parametrize("motion", MOTIONS)
def test_normal_equations_are_those_of_the_written_out_jacobian(motion):
    level = pyramid(texture(0, (40, 50)), (40, 50))[0]
    rng = np.random.default_rng(1)
    gx, gy, error = rng.normal(size=(3, 40, 50)).astype(np.float32)
    weight = rng.uniform(0, 1, (40, 50)).astype(np.float32)
    information, push = _Basis(level, motion).normal_equations(gx, gy, error, weight)
    y, x = np.mgrid[:40, :50].astype(np.float64)
    points = apply(level.scale, np.stack([x, y], axis=-1))
    count, step = len(push), 1e-6
    moves = [(apply(from_parameters(motion, step * np.eye(count)[k]), points) - points) / step for k in range(count)]
    scale = level.scale[0, 0], level.scale[1, 1]
    jacobian = np.stack([gx * m[..., 0] / scale[0] + gy * m[..., 1] / scale[1] for m in moves]).reshape(count, -1)
    expected = (jacobian * weight.ravel()) @ jacobian.T
    np.testing.assert_allclose(information, expected, atol=1e-4 * np.abs(expected).max())
    expected = jacobian @ (weight * error).ravel()
    np.testing.assert_allclose(push, expected, atol=1e-4 * np.linalg.norm(expected))


def test_common_region_is_where_every_frame_has_pixels():
    motions = [in_pixels(m, SIZE) for m in wandering(4)]
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    points = np.stack([x, y], axis=-1).reshape(1, -1, 2).astype(np.float64)
    inside = np.ones(SIZE, bool)
    for matrix in motions:
        u, v = cv2.perspectiveTransform(points, matrix)[0].T
        inside &= ((u >= 0) & (u <= SIZE[1] - 1) & (v >= 0) & (v <= SIZE[0] - 1)).reshape(SIZE)
    region = common_region(motions, SIZE)
    assert 0.3 < region.mean() < 0.95
    np.testing.assert_array_equal(region, inside)
    assert common_region([np.eye(3)], SIZE).all()


@pytest.mark.parametrize("motion", ["translation", "similarity", "affine", "homography"])
def test_two_frames_of_other_blur_are_registered(motion):
    parameters = np.array([0.08, -0.05, 0.02, 0.01, 0.008, -0.006, 0.01, -0.008])
    count = len(to_parameters(motion, np.eye(3)))
    true = from_parameters(motion, parameters[:count])
    stack = moving_stack([np.eye(3), true])
    first, second = (pyramid(stack[n][..., 0].astype(np.float32) / 255, SIZE) for n in (0, 1))
    pair = register(first, second, motion, best_shift(first, second))
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 2))
    distance = np.linalg.norm(apply(pair.matrix, points) - apply(true, points), axis=1) * 0.5 * np.hypot(*SIZE)
    assert np.percentile(distance, 95) < 0.5
    assert pair.correlation > pair.unmoved + 0.1
