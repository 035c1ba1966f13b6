"""Controlled comparisons: what rows share and change, going on after a stop, and the table."""

import json
from pathlib import Path

import pytest
import yaml

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from training_runs import write_stack

from dualfocus.benchmarks.evaluation.comparison import Comparison, compare, merge, read_comparison, run_folder, table

OPTIONS = {"width": 0.05, "surfaces": 2}


@pytest.fixture
def content(tmp_path):
    write_stack(tmp_path / "data" / "scene1", 1, "m")
    return {
        "title": "Two networks",
        "reference": "dfv",
        "seeds": [0, 1],
        "evaluate": {"protocol": "stacks", "data": str(tmp_path / "data"), "columns": ["rmse", "abs_rel"]},
        "train": {
            "data": {
                "sources": [{"kind": "procedural"}],
                "crop": 32,
                "planes": [2, 3],
                "planes_per_batch": 4,
                "workers": 0,
            },
            "budget": {"steps": 2},
        },
        "rows": {
            "dfv": {"model": {"name": "dfv", "options": {"width": 0.05}}, "loss": {"spatial": 0, "focal": 0}},
            "both": {"model": {"name": "dualfocus-paper", "options": OPTIONS}},
        },
    }


def write(path: Path, content: dict) -> Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_merge_goes_into_mappings_and_leaves_its_arguments():
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merge(base, {"a": {"c": 5}, "d": {"e": 1}}) == {"a": {"b": 1, "c": 5}, "d": {"e": 1}}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


def test_rows_differ_only_in_what_they_state(tmp_path, content):
    comparison = Comparison.model_validate(content)
    one, two = (comparison.training(row, 1, tmp_path) for row in ("dfv", "both"))
    assert one.seed == two.seed == 1 and one.data == two.data and one.budget == two.budget
    assert (one.model.name, two.model.name) == ("dfv", "dualfocus-paper")
    assert (one.loss.focal, two.loss.focal) == (0, 1)
    assert one.output != two.output


def test_runs_goes_on_and_reports(tmp_path, content):
    path, out = write(tmp_path / "c.yaml", content), tmp_path / "out"
    first = compare(path, out, only=["dfv"])
    assert "| both | " in first and "not run" in first
    weights = run_folder(out, "dfv", 1) / "dfv.safetensors"
    before = weights.stat().st_mtime_ns
    kept = run_folder(out, "dfv", 1) / "settings.json"
    earlier = json.loads(kept.read_text())
    del earlier["train"]["loss"]["confidence"]  # as a version that did not know it left it
    kept.write_text(json.dumps(earlier))
    text = compare(path, out)
    assert weights.stat().st_mtime_ns == before  # what is there is not trained again
    assert "not run" not in text and (out / "comparison.md").read_text() == text
    with pytest.raises(ValueError, match="other settings"):
        compare(write(tmp_path / "d.yaml", content | {"train": content["train"] | {"budget": {"steps": 3}}}), out)
    values = []
    for seed in (0, 1):
        summary = json.loads((run_folder(out, "both", seed) / "figures" / "summary.json").read_text())
        values.append(summary["models"]["dualfocus-paper"]["mean"]["rmse"])
    row = next(line for line in text.splitlines() if line.startswith("| both"))
    assert f"{sum(values) / 2:.4f} [{min(values):.4f}, {max(values):.4f}]" in row
    assert "| 1.00 |" in next(line for line in text.splitlines() if line.startswith("| dfv"))


def test_a_column_that_is_zero_has_no_ratio(tmp_path, content):
    content = content | {"seeds": [0], "evaluate": {**content["evaluate"], "columns": ["filled"]}}
    text = compare(write(tmp_path / "c.yaml", content), tmp_path / "out", only=["dfv"])
    assert next(line for line in text.splitlines() if line.startswith("| dfv")).endswith("| 0.0000 |  |")


def test_mistakes_are_named(tmp_path, content):
    for change, named in (
        ({"reference": "none"}, "reference"),
        ({"train": {**content["train"], "sead": 1}}, "sead"),
        ({"rows": {**content["rows"], "x": {"model": {"name": "y"}}}}, r"model\.name"),
        ({"seeds": []}, "seeds"),
        ({"rows": {**content["rows"], "x": {"budget": {"steps": 9}}}}, "budget"),
        ({"rows": {**content["rows"], "x": {"model": {"name": "dfv", "options": {"widht": 1}}}}}, "widht"),
        ({"evaluate": {**content["evaluate"], "columns": ["rsme"]}}, "rsme"),
        ({"rows": {**content["rows"], "../x": {"model": {"name": "dfv"}}}}, r"'\.\./x' cannot be the name"),
        ({"rows": {**content["rows"], "a | b": {"model": {"name": "dfv"}}}}, r"'a \| b' cannot be the name"),
    ):
        with pytest.raises(ValueError, match=f"c.yaml: .*{named}") as caught:
            read_comparison(write(tmp_path / "c.yaml", content | change))
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="unknown protocol"):
        read_comparison(write(tmp_path / "c.yaml", content | {"evaluate": {"protocol": "x", "columns": ["rmse"]}}))
    with pytest.raises(ValueError, match="no row 'z'"):
        compare(write(tmp_path / "c.yaml", content), tmp_path / "out", only=["z"])


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "configs" / "comparison").glob("*.yaml")), ids=str)
def test_the_shipped_comparisons_are_valid(path, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda found: found.parts[0] == "data")  # not in the repository
    comparison = read_comparison(path)
    assert table(comparison, Path("nowhere")).count("not run") == len(comparison.rows)
