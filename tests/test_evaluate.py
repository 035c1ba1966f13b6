"""The evaluator with models whose answers are known: rows, folders and tables, and going on after a crash."""

import csv
import json
import math
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from test_measure import HEIGHT, TRUTH, WIDTH, answer, make_sample

from dualfocus.benchmarks.evaluation import evaluator
from dualfocus.benchmarks.evaluation.evaluate import evaluate
from dualfocus.benchmarks.evaluation.measure import COLUMNS
from dualfocus.benchmarks.evaluation.names import safe_name
from dualfocus.benchmarks.evaluation.options import EvaluationOptions
from dualfocus.benchmarks.evaluation.records import ModelRecord
from dualfocus.benchmarks.evaluation.reliability import ConfidenceHistogram
from dualfocus.benchmarks.protocols import PROTOCOLS, find_protocol
from dualfocus.benchmarks.protocols.published import PUBLISHED
from dualfocus.benchmarks.tables.report import to_markdown
from dualfocus.benchmarks.writing import write_json
from dualfocus.cli import main
from dualfocus.datasets.stride import even_stride
from dualfocus.inference.fingerprint import fingerprint
from dualfocus.inference.torch_model import DepthModel
from dualfocus.models.classical import Classical

ONE = EvaluationOptions(limit=1)


class Stub:
    """Predicts the truth times a factor, and counts how often it is asked."""

    def __init__(self, factor=1.0, fail_after=None):
        self.factor, self.fail_after, self.calls = factor, fail_after, 0

    def predict(self, stack):
        if self.fail_after is not None and self.calls >= self.fail_after:
            raise KeyboardInterrupt
        self.calls += 1
        return answer(stack, TRUTH * self.factor)


@pytest.fixture
def stacks(tmp_path):
    """Four folders of three planes with truth."""
    rng = np.random.default_rng(0)
    for number in range(4):
        folder = tmp_path / "stacks" / f"scene{number}"
        folder.mkdir(parents=True)
        for plane in range(3):
            Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(folder / f"{plane}.png")
        np.save(folder / "truth.npy", TRUTH)
        record = {"images": ["0.png", "1.png", "2.png"], "focus_distances": [1, 2, 4], "unit": "m"}
        (folder / "stack.json").write_text(json.dumps({**record, "ground_truth": "truth.npy"}))
    return tmp_path / "stacks"


def test_evaluate_writes_rows_and_summary(stacks, tmp_path):
    out = tmp_path / "out"
    summary = evaluate([], "stacks", stacks, out, models={"exact": Stub(), "far": Stub(1.1)})
    exact, far = (summary["models"][name] for name in ("exact", "far"))
    assert exact["mean"]["rmse"] == 0 and far["mean"]["abs_rel"] == pytest.approx(0.1, rel=1e-5)
    assert exact["images"] == 4 and far["mean"]["delta1"] == 1
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary).replace("NaN", "null"))
    with (out / "far" / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"scene{n}" for n in range(4)]
    assert float(rows[0]["abs_rel"]) == pytest.approx(0.1, rel=1e-5) and rows[0]["range_rmse_textured"] == ""
    text = (out / "summary.md").read_text()
    assert "4 of 4 samples" in text and "| exact | 0 |" in text and "averaging" in text
    assert summary["command"].startswith("dualfocus evaluate exact far --protocol stacks --data ")


def test_names_that_make_one_folder_are_kept_apart(stacks, tmp_path):
    """What is odd in a name becomes an underscore in that of its folder."""
    for _ in range(2):  # the second time from the rows that were written
        models = {"a (1)": Stub(), "a [1]": Stub(1.5), "a-1": Stub(1.1)}
        summary = evaluate([], "stacks", stacks, tmp_path / "out", models=models)
        ratios = {name: summary["models"][name]["mean"]["abs_rel"] for name in models}
        assert ratios == pytest.approx({"a (1)": 0, "a [1]": 0.5, "a-1": 0.1}, rel=1e-4, abs=1e-6)
    assert (tmp_path / "out" / "a-1").is_dir() and len([p for p in (tmp_path / "out").iterdir() if p.is_dir()]) == 3


def test_nested_names_may_be_longer_than_one_may_be(stacks, tmp_path):
    deep = tmp_path / "deep"
    for last in ("a", "b"):
        target = deep / ("x" * 120) / ("y" * 120) / f"{last}{'é' * 60}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(stacks / "scene0", target)
    summary = evaluate([], "stacks", deep, tmp_path / "out", models={"exact": Stub()})
    assert summary["models"]["exact"]["images"] == 2 and len(list((tmp_path / "out").rglob("*.npz"))) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("name", [b"a\rb", b"a\xff"])
def test_a_name_that_no_table_can_hold_is_refused(stacks, tmp_path, name):
    shutil.move(stacks / "scene1", os.path.join(os.fsencode(stacks), name))
    with pytest.raises(ValueError, match="rename the folder") as caught:
        evaluate([], "stacks", stacks, tmp_path / "out", models={"exact": Stub()})
    assert str(caught.value).isprintable() and not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_an_output_folder_that_no_record_can_name_is_one_line(stacks, tmp_path, capsys):
    out = str(tmp_path / os.fsdecode(b"st\xffudy"))
    assert main(["evaluate", "classical", "--protocol", "stacks", "--data", str(stacks), "-o", out]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "st\\udcff...: a name that is no UTF-8" in said


def test_interrupted_run_continues_without_repeating(stacks, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        evaluate([], "stacks", stacks, out, models={"m": Stub(1.1, fail_after=2)})
    table = out / "m" / "per_image.csv"
    before = table.read_text().splitlines()
    assert len(before) == 3
    with table.open("a") as file:
        file.write("scene2,0.1,0.")  # a row cut short by a crash
    stub = Stub(1.1)
    summary = evaluate([], "stacks", stacks, out, models={"m": stub})
    assert stub.calls == 2
    assert table.read_text().splitlines()[:3] == before and len(table.read_text().splitlines()) == 5
    whole = evaluate([], "stacks", stacks, tmp_path / "whole", models={"m": Stub(1.1)})
    for key in ("calibration_error", "error_by_confidence"):
        assert summary["models"]["m"][key] == whole["models"]["m"][key]
    continued, straight = (s["models"]["m"]["mean"] for s in (summary, whole))
    for column in COLUMNS:
        assert continued[column] == pytest.approx(straight[column], nan_ok=True)
    again = Stub()
    evaluate([], "stacks", stacks, out, models={"m": again})
    assert again.calls == 0
    evaluate([], "stacks", stacks, out, EvaluationOptions(resume=False), models={"m": again})
    assert again.calls == 4


def test_row_without_its_histogram_is_measured_again(stacks, tmp_path):
    out = tmp_path / "out"
    evaluate([], "stacks", stacks, out, models={"m": Stub()})
    (out / "m" / "confidence" / "scene1.npz").unlink()
    stub = Stub()
    evaluate([], "stacks", stacks, out, models={"m": stub})
    assert stub.calls == 1
    names = [line.partition(",")[0] for line in (out / "m" / "per_image.csv").read_text().splitlines()[1:]]
    assert sorted(names) == [f"scene{n}" for n in range(4)]


def test_figures_of_something_else_are_not_mixed(stacks, tmp_path):
    out = tmp_path / "out"

    class Weights:
        def __init__(self, value):
            self.network = torch.nn.Linear(1, 1, bias=False)
            torch.nn.init.constant_(self.network.weight, value)

        def predict(self, stack):
            return answer(stack, TRUTH)

    assert fingerprint(Weights(1)) == fingerprint(Weights(1)) != fingerprint(Weights(2))
    assert fingerprint(Stub()) == "none"
    told_apart = [Weights(1), DepthModel("classical", Classical(), torch.device("cpu"), None)]
    told_apart.append(DepthModel("classical", Classical(smoothness=1), torch.device("cpu"), None))
    for setting in ({"looks": 1}, {"looks": 2}, {"coordinate": "depth"}):
        told_apart.append(Weights(1))
        told_apart[-1].record = setting
    told_apart.append(Weights(1))
    told_apart[-1].precision = "bf16"
    assert len({fingerprint(model) for model in told_apart}) == 7
    model = Weights(1)
    evaluate([], "stacks", stacks, out, ONE, models={"m": model})
    with pytest.raises(ValueError, match="other weights of m"):
        evaluate([], "stacks", stacks, out, models={"m": Weights(2)})
    with pytest.raises(ValueError, match="another data"):
        evaluate([], "stacks", stacks / "scene0", out, models={"m": model})
    rendered_anew = tmp_path / "anew"
    shutil.copytree(stacks, rendered_anew)
    np.save(rendered_anew / "scene0" / "truth.npy", 1.1 * TRUTH)
    with pytest.raises(ValueError, match="another data"):
        evaluate([], "stacks", rendered_anew, out, ONE, models={"m": model})
    for name in ("truth.npy", "stack.json"):  # of a stack between the first and the last
        mended = tmp_path / name / stacks.name
        shutil.copytree(stacks, mended)
        if name == "truth.npy":
            np.save(mended / "scene1" / name, 1.1 * TRUTH)
        else:
            (mended / "scene1" / name).write_text((mended / "scene1" / name).read_text().replace('"m"', '"mm"'))
        with pytest.raises(ValueError, match="another data"):
            evaluate([], "stacks", mended, out, ONE, models={"m": model})
    untouched = tmp_path / "copy"
    shutil.copytree(stacks, untouched)
    (untouched / "scene1" / "notes.txt").write_text("mine")
    evaluate([], "stacks", untouched, out, ONE, models={"m": model})
    mapped = Weights(1)
    mapped.record = {"confidence_map": {"said": [0, 1], "measured": [0.1, 0.9]}}
    with pytest.raises(ValueError, match="other weights of m"):
        evaluate([], "stacks", stacks, out, ONE, models={"m": mapped})
    for content in ("{", "[]", '{"score": 3}'):
        (out / "run.json").write_text(content)
        with pytest.raises(ValueError, match=r"run\.json: not the record of an evaluation"):
            evaluate([], "stacks", stacks, out, ONE, models={"m": model})
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="not of an evaluation"):
        evaluate([], "stacks", stacks, foreign, models={"m": model})


def test_each_sample_is_made_once_for_all_models_and_not_at_all_when_done(tmp_path):
    made = []

    class Dataset:
        names = ["a"]

        def __len__(self):
            return 1

        def __getitem__(self, index):
            made.append(index)
            return make_sample()

    models = {"x": Stub(), "y": Stub()}
    evaluator.run(models, Dataset(), tmp_path, [0])
    evaluator.run(models, Dataset(), tmp_path, [0])
    assert made == [0] and models["x"].calls == models["y"].calls == 1


def test_limit_is_an_even_stride(stacks, tmp_path):
    assert even_stride(654, 3) == [0, 326, 653]
    assert even_stride(5, None) == even_stride(5, 9) == [0, 1, 2, 3, 4]
    assert even_stride(5, 1) == [0]
    with pytest.raises(ValueError, match="at least 1"):
        even_stride(5, 0)
    seen = []
    options = EvaluationOptions(limit=2)
    summary = evaluate([], "stacks", stacks, tmp_path / "o", options, lambda *p: seen.append(p), {"m": Stub()})
    assert seen == [(1, 2, "scene0"), (2, 2, "scene3")]
    assert summary["data"]["images"] == 2 and summary["data"]["available"] == 4


def test_means_leave_out_images_where_a_figure_has_no_meaning(tmp_path):
    record = ModelRecord(tmp_path, ["a", "b"])
    histogram = ConfidenceHistogram()
    histogram.add([0.2, 0.8], [0.5, 0.1], [False, True])
    record.add("one", {"a": 1.0, "b": float("nan")}, histogram)
    record.add("two/three", {"a": 3.0, "b": float("nan")}, histogram)
    got = evaluator.summarise(ModelRecord(tmp_path, ["a", "b"]), ["one", "two/three"])
    assert got["mean"]["a"] == 2 and math.isnan(got["mean"]["b"])
    assert got["calibration_error"] == pytest.approx(0.2)
    np.testing.assert_allclose(got["error_by_confidence"], [0.5] * 5 + [0.1] * 5)
    assert got["error_falls"]
    assert ".." not in safe_name("../up") and "/" not in safe_name("a/b")


def test_sums_of_names_that_look_alike_are_kept_apart(tmp_path):
    record, names = ModelRecord(tmp_path, ["a"]), ["a b/x", "a/b x", "scene", "Scene", "next\x85line"]
    for pixels, name in enumerate(names, 1):
        histogram = ConfidenceHistogram()
        histogram.add([0.5] * pixels, [0.1] * pixels, [True] * pixels)
        record.add(name, {"a": 1.0}, histogram)
    again = ModelRecord(tmp_path, ["a"])
    assert list(again.rows) == names
    assert [again.histogram([name]).count.sum() for name in names] == [1, 2, 3, 4, 5]
    files = [path.name.lower() for path in (tmp_path / "confidence").iterdir()]  # as some file systems see them
    assert len(set(files)) == len(names)


def test_figures_that_are_no_numbers_are_null(tmp_path):
    write_json(tmp_path / "x.json", {"a": float("inf"), "b": [float("nan"), 1.5], "c": -float("inf")})
    assert json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail) == {
        "a": None,
        "b": [None, 1.5],
        "c": None,
    }


def test_protocols_state_their_conventions():
    assert set(PROTOCOLS) >= {"stacks", "nyu/hybriddepth-n5", "nyu/hybriddepth-n10", "procedural"}
    for protocol in PROTOCOLS.values():
        assert all(protocol.conventions().values())
        assert set(protocol.headline) <= set(COLUMNS)
    assert "leaks" in find_protocol("nyu/hybriddepth-n10").focus_range
    with pytest.raises(ValueError, match="unknown protocol 'nyu'"):
        find_protocol("nyu")
    with pytest.raises(ValueError, match="needs the folder"):
        evaluate([], "stacks", None, "unused", models={"m": Stub()})


def test_published_rows_are_kept_apart():
    rows = {row.method: row for row in PUBLISHED["nyu"]}
    assert (rows["DualFocus"].rmse, rows["DualFocus"].abs_rel, rows["DualFocus"].delta1) == (0.075, 0.013, 0.999)
    assert (rows["DFV"].rmse, rows["HybridDepth"].rmse, rows["Depth Anything"].rmse) == (0.094, 0.128, 0.206)
    assert "single-image" in rows["Depth Anything"].protocol
    empty = {"data": {"images": 0, "available": 654}, "command": "c", "models": {}}
    ours, theirs = to_markdown(PROTOCOLS["nyu/hybriddepth-n5"], empty).split("## Published by others")
    assert "0.075" in theirs and "0.075" not in ours
