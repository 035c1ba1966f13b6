"""The cost table of the projection: every way solves the same problem; the documented example runs."""

import doctest
import json

import pytest

from dualfocus.benchmarks.timing import projection as bench
from dualfocus.models import projection


def test_every_method_gives_the_exact_surface(tmp_path):
    report = bench.measure(sizes=[(12, 9), (30, 40)], rounds=1, out=tmp_path)
    limits = {"dense inverse": 1e-5, "conjugate gradients": 1e-3}
    for rows in report["sizes"].values():
        assert list(rows) == [method.name for method in bench.METHODS]
        for name, row in rows.items():
            assert row["error"] <= limits.get(name, 1e-5), name
            assert 0 < row["least_ms"] <= row["ms"] <= row["most_ms"] and row["rounds"] == 1
    assert json.loads((tmp_path / "projection.json").read_text()) == report
    table = (tmp_path / "projection.md").read_text()
    assert "| 30x40 | " in table and "(1x; " in table


def test_a_dense_matrix_that_is_too_large_is_left_out(monkeypatch):
    monkeypatch.setattr(bench, "METHODS", [bench.METHODS[0], bench.METHODS[2]._replace(largest=50)])
    report = bench.measure(sizes=[(8, 8)], rounds=1)
    assert list(report["sizes"]["8x8"]) == [bench.METHODS[0].name] and "does not fit" in bench.to_markdown(report)


def test_refusals():
    with pytest.raises(ValueError, match="one size"):
        bench.measure(sizes=[])


def test_the_documented_example():
    assert doctest.testmod(projection).failed == 0 and doctest.testmod(projection).attempted >= 3
