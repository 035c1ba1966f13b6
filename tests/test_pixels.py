"""Conversions of images between the types that a stack knows."""

import numpy as np
import pytest

from dualfocus.pixels import pick_pixels, to_uint8, to_unit, white


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 255), (np.uint16, 65535), (">u2", 65535), (np.float32, 1)])
def test_white(dtype, value):
    assert white(np.dtype(dtype)) == value


def test_every_level_of_16_bits_takes_the_nearest_of_8():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    nearest = (levels.astype(int) + 128) // 257  # 257 is odd: no level lies half way
    assert np.array_equal(to_uint8(levels), nearest)
    assert np.array_equal(to_uint8(levels.astype(np.float32) / np.float32(65535)), nearest)


def test_8_bits_stay_as_they_are():
    levels = np.arange(256, dtype=np.uint8)
    assert to_uint8(levels) is levels
    assert np.array_equal(to_uint8(to_unit(levels)), levels)


def test_what_is_beyond_white_and_black_is_cut():
    assert to_uint8(np.array([-0.1, 0.0, 1.0, 1.2], np.float32)).tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_unit_range(dtype):
    top = np.iinfo(dtype).max
    levels = np.arange(0, top + 1, 17, dtype=dtype)
    got = to_unit(levels)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, levels / top, rtol=1e-7)


def test_floats_are_copied():
    image = np.linspace(0, 1, 6, dtype=np.float32).reshape(1, 2, 3)
    got = to_unit(image)
    assert np.array_equal(got, image) and not np.shares_memory(got, image)


def test_fewer_pixels_are_those_in_the_middle_of_each_cell():
    rows, columns = np.mgrid[:6, :10]
    assert pick_pixels(rows, (2, 5))[:, 0].tolist() == [1, 4]
    assert pick_pixels(columns, (2, 4))[0].tolist() == [1, 3, 6, 8]
    assert np.array_equal(pick_pixels(rows, (6, 10)), rows)
