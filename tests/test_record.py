"""The record of weights: its known keys are those that files have."""

from typing import get_type_hints

import pytest

from dualfocus.inference.shipped import shipped_weights
from dualfocus.models.record import ConfidenceMap, WeightsRecord, axis_of
from dualfocus.models.weights import read_record


@pytest.mark.parametrize("name", ["dualfocus-s", "dualfocus-xs"])
def test_shipped_records_have_known_keys_alone(name):
    record = read_record(shipped_weights(name))
    assert record.keys() <= get_type_hints(WeightsRecord).keys()
    assert record.keys() >= WeightsRecord.__required_keys__ == {"format", "model", "options"}
    assert record["confidence_map"].keys() <= get_type_hints(ConfidenceMap).keys()


def test_weights_that_name_no_axis_answer_in_the_focus_coordinate():
    assert axis_of({"coordinate": "depth"}) == "depth"
    assert axis_of({"steps": 7}) == "focus"
