"""What error a confidence leads one to expect, and how two answers are averaged by it."""

import numpy as np
import pytest

from dualfocus.inference.expected_error import confidence_of, expected_error, trust_in_fine


def test_averaging_leans_to_the_surer_answer():
    trust = trust_in_fine(np.float32([0.1, 0.1, 0.1]), np.float32([0, 0.1, 10]))
    np.testing.assert_allclose(trust, [1, 0.5, 0], atol=1e-3)


def test_confidence_and_expected_error():
    confidence = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(confidence_of(expected_error(confidence, 30), 30), confidence, rtol=0, atol=1e-3)
    # a normal error of deviation s is below s with probability 0.6827
    assert expected_error(np.array(0.6827), 6) == pytest.approx(0.5 / 5, rel=1e-3)
    assert expected_error(np.array(0.0), 3) == 0.5
