"""Several models, protocols and processes in one evaluation, and what is written of it."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dualfocus import cli
from dualfocus.benchmarks.evaluation.evaluate import evaluate_all
from dualfocus.benchmarks.evaluation.evaluator import ALL_COLUMNS
from dualfocus.benchmarks.evaluation.options import EvaluationOptions
from dualfocus.benchmarks.protocols import PROTOCOLS
from dualfocus.benchmarks.protocols.published import PUBLISHED, beside
from dualfocus.benchmarks.tables.error_table import error_table, numbers
from dualfocus.benchmarks.tables.latex import to_latex
from dualfocus.benchmarks.tables.report import to_markdown
from dualfocus.benchmarks.tables.worst import worst_images
from dualfocus.commands.evaluate import assign_data

HEIGHT, WIDTH = 24, 32
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def truth_of(number):
    """A slanted surface in front of a wall, another one for each number."""
    truth = np.broadcast_to(np.linspace(1.1, 1.9, WIDTH, dtype=np.float32), (HEIGHT, WIDTH)).copy()
    truth[: 8 + number] = 3.5
    return truth


def write_stacks(folder, count):
    rng = np.random.default_rng(0)
    for number in range(count):
        scene = folder / f"scene{number}"
        scene.mkdir(parents=True)
        for plane in range(3):
            Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(scene / f"{plane}.png")
        np.save(scene / "truth.npy", truth_of(number))
        record = {"images": ["0.png", "1.png", "2.png"], "focus_distances": [1, 2, 4], "unit": "m"}
        (scene / "stack.json").write_text(json.dumps({**record, "ground_truth": "truth.npy"}))
    return folder


@pytest.fixture
def stacks(tmp_path):
    return write_stacks(tmp_path / "stacks", 5)


class Stub:
    """Predicts the truth of the scene, told by how far its wall reaches, times a factor."""

    def __init__(self, factor=1.0):
        self.factor, self.calls = factor, 0

    def predict_sample(self, sample):
        self.calls += 1
        depth = sample.truth * np.float32(self.factor)
        shape = sample.stack.size
        return SimpleNamespace(
            depth=depth,
            valid=np.ones(shape, bool),
            confidence=np.broadcast_to(np.linspace(0, 1, WIDTH, dtype=np.float32), shape),
            std=np.full(shape, 0.25, np.float32),
            unit=sample.stack.result_unit,
        )


def table(folder):
    """The rows of a record without the seconds, which no two runs share."""
    with (folder / "per_image.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def figures(summary):
    """A summary without what differs between two runs that measured the same."""
    text = json.dumps({name: model for name, model in summary["models"].items()})
    return json.loads(re.sub(r'"seconds": [\d.e-]+', '"seconds": 0', text))


def test_several_protocols_each_in_a_folder_and_one_summary(stacks, tmp_path):
    out, seen = tmp_path / "out", []
    models = {"exact": Stub(), "far": Stub(1.1)}
    data = {"stacks": stacks, "fod-like": stacks}
    found = evaluate_all([], data, out, EvaluationOptions(limit=3), lambda *p: seen.append(p), models)
    assert list(found) == ["stacks", "fod-like"]
    assert [p[:2] for p in seen] == [(n, 6) for n in range(1, 7)]
    for protocol in data:
        alone = evaluate_all(
            [], {protocol: stacks}, tmp_path / "alone" / protocol, EvaluationOptions(limit=3), None, models
        )
        assert figures(alone[protocol]) == figures(found[protocol])
        assert table(out / protocol / "far") == table(tmp_path / "alone" / protocol / "far")
    assert found["stacks"]["models"]["far"]["mean"]["abs_rel"] == pytest.approx(0.1, rel=1e-5)
    text = (out / "summary.md").read_text()
    assert "# stacks" in text and "# fod-like" in text and text.count("3 of 5 samples") == 2
    assert json.loads((out / "summary.json").read_text())["protocols"].keys() == data.keys()
    assert f"--data stacks={stacks} --data fod-like={stacks}" in found["stacks"]["command"]
    assert (out / "summary.tex").read_text().count(r"\begin{table}") == 2
    before = models["far"].calls
    evaluate_all([], data, out, EvaluationOptions(limit=3), None, models)
    assert models["far"].calls == before  # everything was there
    with pytest.raises(ValueError, match="under several protocols"):
        evaluate_all([], {"stacks": stacks}, out, None, None, models)
    with pytest.raises(ValueError, match="under one protocol"):
        evaluate_all([], data, tmp_path / "alone" / "fod-like", None, None, models)


def test_data_is_assigned_by_name_prefix_or_to_all(tmp_path):
    nyu = ["nyu/hybriddepth-n5", "nyu/fixed-n5"]
    assert assign_data(["stacks"], ["a"]) == {"stacks": Path("a")}
    assert assign_data(["procedural"], []) == {"procedural": None}
    assert assign_data(["procedural"], ["a"]) == {"procedural": Path("a")}
    assert assign_data(["stacks", *nyu], ["stacks=a", "nyu=b"]) == {
        "stacks": Path("a"),
        **dict.fromkeys(nyu, Path("b")),
    }
    assert assign_data(nyu, ["nyu=b", f"{nyu[0]}=c"]) == {nyu[0]: Path("c"), nyu[1]: Path("b")}
    assert assign_data(["stacks", "procedural", *nyu], ["nyu=b", "a"]) == {
        "stacks": Path("a"),
        "procedural": None,
        **dict.fromkeys(nyu, Path("b")),
    }
    odd = tmp_path / "x=y"
    odd.mkdir()
    assert assign_data(["stacks"], [str(odd)]) == {"stacks": odd}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--protocol", "nyu"], "unknown protocol 'nyu'"),
        (["--protocol", "stacks", "--protocol", "stacks"], "named twice"),
        (["--protocol", "stacks", "--data", "nyu=x"], "no protocol of this run is called nyu"),
        (["--protocol", "stacks", "--data", "nyuu=x"], "'nyuu' is no protocol"),
        (["--protocol", "stacks", "--data", "a", "--data", "b"], "say which protocol it is for"),
        (["--protocol", "stacks", "--data", "stacks=a", "--data", "stacks=b"], "has its data already"),
        (["--protocol", "stacks", "--protocol", "procedural", "--data", "stacks=a", "--data", "b"], "is without data"),
        (["--protocol", "stacks"], "needs the folder"),
        (["--protocol", "stacks", "--data", "nowhere"], "nowhere"),
        (["--protocol", "stacks", "--data", "{stacks}", "--worst-by", "rsme"], "unknown metric 'rsme'"),
        (["--protocol", "stacks", "--data", "{stacks}", "-o", "{file}"], "is a file"),
        (["--protocol", "stacks", "--data", "{stacks}", "-o", "{file}/below"], "file"),
        (["--protocol", "stacks", "--data", "{stacks}", "nonesuch"], "model 'nonesuch' is unknown"),
        (["--protocol", "stacks", "--protocol", "fod-like", "--data", "{stacks}", "nonesuch"], "'nonesuch' is unknown"),
        (["--protocol", "stacks", "--protocol", "ddff12/dfv-n5", "--data", "{stacks}"], "ddff"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(words, message, stacks, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    before = sorted(tmp_path.rglob("*"))
    words = [word.format(stacks=stacks, file=tmp_path / "file") for word in words]
    out = [] if "-o" in words else ["-o", str(tmp_path / "out")]
    assert cli.main(["evaluate", *words, *out]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("part", ["per_image.csv", "binary", "confidence/scene1.npz", "slices/scene1.npy"])
def test_corrupt_records_are_named(part, stacks, tmp_path, capsys):
    command = ["evaluate", "classical", "--protocol", "stacks", "--data", str(stacks), "-o", str(tmp_path / "out")]
    assert cli.main([*command, "--worst", "0"]) == 0
    path = tmp_path / "out" / "classical" / ("per_image.csv" if part == "binary" else part)
    if part == "per_image.csv":
        path.write_text(re.sub(r"(scene1,)[^,]+", r"\1zero", path.read_text()))
    else:
        path.write_bytes(b"\xff\xfe\x00broken")
    capsys.readouterr()
    assert cli.main([*command, "--worst", "0"]) == 2
    error = capsys.readouterr().err
    assert str(path) in error and "remove it" in error and error.count("\n") == 1
    path.unlink()
    assert cli.main([*command, "--worst", "0"]) == 0


def command(stacks, out, *more):
    words = ["evaluate", "classical", "--protocol", "stacks", "--data", stacks, "-o", out, *more]
    return [sys.executable, "-m", "dualfocus", *map(str, words)]


def run(stacks, out, *more):
    return subprocess.run(command(stacks, out, *more), env=ENVIRONMENT, capture_output=True, text=True)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills a group of processes")
def test_killed_runs_and_two_processes_give_the_table_of_one_run(tmp_path):
    stacks, whole, killed = write_stacks(tmp_path / "stacks", 24), tmp_path / "whole", tmp_path / "killed"
    done = run(stacks, whole)
    assert done.returncode == 0 and "24 of 24 samples" in done.stdout, done.stderr
    process = subprocess.Popen(command(stacks, killed, "--processes", "2"), env=ENVIRONMENT, start_new_session=True)
    patience = time.monotonic() + 100
    while not list(killed.glob("classical/slices/*.npy")) and time.monotonic() < patience:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    measured = len(list(killed.glob("classical/slices/*.npy")))
    assert 0 < measured < 24 and not (killed / "summary.json").exists()
    done = run(stacks, killed, "--processes", "2")
    assert done.returncode == 0 and "24 of 24 samples" in done.stdout, done.stderr
    first, second = (json.loads((out / "summary.json").read_text()) for out in (whole, killed))
    assert figures(first) == figures(second)
    assert table(whole / "classical") == table(killed / "classical")
    first, second = ((out / "summary.md").read_text().split("## Confidence")[1] for out in (whole, killed))
    assert first == second  # seconds are in the table before it
    assert not list(killed.glob("classical/per_image.*.csv"))


def test_failing_process_is_one_line(stacks, tmp_path):
    (stacks / "scene3" / "1.png").write_bytes(b"not an image")  # the second process is the one that meets it
    done = run(stacks, tmp_path / "out", "--processes", "2")
    assert done.returncode == 2
    assert "1.png" in done.stderr and [line[:7] for line in done.stderr.splitlines()] == ["error: "]


def test_worst_images_are_drawn_once(stacks, tmp_path):
    out = tmp_path / "out"

    class Worse(Stub):
        def predict_sample(self, sample):
            result = super().predict_sample(sample)
            result.depth = result.depth + np.float32(0.1 * int(sample.name[-1]))
            return result

    options = EvaluationOptions(worst=2, worst_by="mae")
    model = Worse()
    summary = evaluate_all([], {"stacks": stacks}, out, options, None, {"m": model})["stacks"]
    worst = summary["models"]["m"]["worst"]
    assert [row["name"] for row in worst] == ["scene4", "scene3"]
    assert [row["value"] for row in worst] == pytest.approx([0.4, 0.3], rel=1e-4)
    assert model.calls == 5 + 2
    for row in worst:
        with Image.open(out / "m" / row["file"]) as picture:
            assert picture.width > 5 * 300
        assert f"(m/{row['file']})" in (out / "summary.md").read_text()
    evaluate_all([], {"stacks": stacks}, out, options, None, {"m": model})
    assert model.calls == 7
    evaluate_all([], {"stacks": stacks}, out, EvaluationOptions(resume=False, worst=1), None, {"m": model})
    assert model.calls == 7 + 5 + 1 and len(list((out / "m" / "worst").iterdir())) == 1
    rows = {"a": {"delta1": 0.9}, "b": {"delta1": 0.2}, "c": {"delta1": float("nan")}}
    assert worst_images(rows, ["a", "b", "c"], "delta1", 3) == ["b", "a"]  # the least accuracy is the worst


def test_published_rows_stand_beside_their_own_protocol_only():
    for name, rows in PUBLISHED.items():
        for row in rows:
            assert row.protocol and row.source and set(row.beside) <= set(PROTOCOLS), (name, row.method)
            assert all(0 <= getattr(row, f"delta{k}") <= 1 for k in (1, 2, 3) if getattr(row, f"delta{k}") is not None)
    methods = lambda table, protocol: [row.method for row in beside(PUBLISHED[table], protocol)[0]]  # noqa: E731
    assert methods("fod500", "fod500/dfv") == ["DFV", "DualFocus"]
    assert "AiFDepthNet" in methods("fod500", "fod500/aif") and "DFV" not in methods("fod500", "fod500/aif")
    assert "Depth Anything" not in methods("nyu", "nyu/hybriddepth-n5")
    assert methods("nyu", "nyu/fixed-n5") == []
    rows = {row.method: row for row in PUBLISHED["ddff12"]}
    assert rows["DFV"].mse == 5.70e-4 and rows["DFV"].delta1 == 0.7674
    assert rows["FOSSA ViT-B, fine-tuned"].delta3 == 0.9939


def test_tables_show_percent_where_the_protocol_does():
    protocol = PROTOCOLS["ddff12/dfv-n5"]
    mean = {**dict.fromkeys(ALL_COLUMNS, 0.125), "delta1": 0.5}
    model = {"mean": mean, "error_by_confidence": [], "slices": {}}
    data = {"images": 1, "available": 200}
    summary = {"data": data, "command": "c_1 100%", "models": {"my_model": model}}
    table_ = error_table(protocol, summary)
    assert table_.ours["my_model"][table_.columns.index("delta1")] == 50
    assert table_.ours["my_model"][table_.columns.index("mse")] == 0.125
    text = to_markdown(protocol, summary)
    assert "delta1 %" in text and "| DFV | published |" in text and "76.74" in text
    before, after = text.split("not comparable with the figures above")
    assert "HybridDepth, its own results" not in before and "HybridDepth, its own results" in after
    latex = to_latex(protocol, summary)
    assert r"my\_model" in latex and r"$\delta_1$ \% $\uparrow$" in latex
    assert r"DFV$^\dagger$ & 0.00057 & 0.0213" in latex and "Published, not measured here" in latex
    body = latex.split(r"\toprule")[1].split(r"\bottomrule")[0]
    assert len({line.count("&") for line in body.splitlines() if "&" in line}) == 1


def test_counts_are_written_in_full_and_measurements_with_four_digits():
    assert numbers([12934, 12934.0, 0.123456, None, float("nan")]) == ["12934", "1.293e+04", "0.1235", "", ""]
