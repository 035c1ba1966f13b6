"""Depths and distances as text: told apart, without more digits than that takes."""

import numpy as np
import pytest

from dualfocus.outputs.numbers import apart, on_a_scale


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.5, 3], ["0.5", "3"]),
        ([0.69041, 1.31449], ["0.6904", "1.314"]),
        ([15321.2, 15322.9], ["15321.2", "15322.9"]),
        ([1.0, np.inf], ["1", "inf"]),
        ([2.0, 2.0], ["2", "2"]),
    ],
)
def test_ends_of_a_range(values, texts):
    assert apart(values) == texts


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.5, 1, 2, 12], ["0.500", "1.00", "2.00", "12.0"]),
        ([15321.2, 15321.48, 15321.76], ["15321.2", "15321.5", "15321.8"]),
        ([1.501, 1.5028, 1.5046], ["1.501", "1.503", "1.505"]),
        ([1.01e-5, 1.02e-5], ["0.0000101", "0.0000102"]),
        ([np.inf, 10, 1], ["inf", "10.0", "1.00"]),
        ([0.0, -3.5], ["0", "-3.50"]),
    ],
)
def test_ticks_of_a_scale(values, texts):
    assert on_a_scale(values) == texts


def test_whatever_the_numbers_neighbours_differ():
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.uniform(0.1, 9) * 10.0 ** rng.integers(-3, 5) + np.arange(6) * 10.0 ** rng.integers(-4, 3)
        for texts in (apart(values), on_a_scale(values)):
            assert len(set(texts)) == 6
            assert np.abs(np.array(texts, float) - values).max() <= 0.51 * np.diff(values).min()
