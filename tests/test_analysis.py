"""The analysis: one change at a time, right answers known independently, the files, and the command line."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from dualfocus.analysis import constraints
from dualfocus.analysis.analyse import analyse
from dualfocus.analysis.experiments import EXPERIMENTS, Experiment, find_experiments
from dualfocus.analysis.figures import draw_constraints
from dualfocus.analysis.inputs import Inputs, MissingError, photographs
from dualfocus.analysis.runner import MIDDLE, measure
from dualfocus.analysis.setup import FAR_M, NEAR_M, Setup
from dualfocus.analysis.walls import BEHIND, bare_card, patched_wall
from dualfocus.cli import main
from dualfocus.inference.torch_model import load_torch_model
from dualfocus.rendering.textures import TexturePool

SIZE = (40, 48)
POOL = TexturePool()
NAMES = [experiment.name for experiment in EXPERIMENTS]


def take(seed=1, **changes):
    return replace(Setup(), **changes).photograph(seed, POOL, SIZE)


def planes(sample):
    return np.stack(list(sample.stack)).astype(float)


class Counting:
    """`classical`, and how often it was asked."""

    def __init__(self):
        self.model, self.calls = load_torch_model("classical"), 0

    def predict(self, stack):
        self.calls += 1
        return self.model.predict(stack)


def test_the_same_seed_gives_the_same_bits_and_another_another():
    first, again, other = take(), take(), take(seed=2)
    assert np.array_equal(planes(first), planes(again)) and np.array_equal(first.truth, again.truth)
    assert not np.array_equal(first.truth, other.truth)


@pytest.mark.parametrize("change", [{"noise": 4}, {"jpeg": 30}, {"drift": 10}, {"motion_px": 1}, {"misplaced": 0.3}])
def test_a_change_reaches_the_pictures_and_nothing_else(change):
    usual, changed = take(), take(**change)
    assert np.abs(planes(usual) - planes(changed)).mean() > 0.3
    assert np.array_equal(usual.truth, changed.truth) and np.array_equal(usual.mask, changed.mask)
    assert np.array_equal(usual.stack.focus_distances, changed.stack.focus_distances)


def test_planes_lie_where_they_are_said_to_unless_misplaced():
    plan = Setup(planes=3).plan(np.random.default_rng(0))
    assert np.allclose(plan.focus_distances, [NEAR_M, 2 / (1 / NEAR_M + 1 / FAR_M), FAR_M])
    assert np.allclose(plan.coordinates, [0, 0.5, 1])
    offsets = [replace(Setup(), misplaced=m).plan(np.random.default_rng(0)).coordinates for m in (0, 0.1, 0.2)]
    assert np.allclose(offsets[2] - offsets[0], 2 * (offsets[1] - offsets[0])) and np.any(offsets[1] != offsets[0])


def test_noise_is_what_it_says():
    clean, noisy = (planes(take(noise=noise, place=(0.5, 0.5))) / 255 for noise in (0, 4))
    linear = [np.where(p > 0.04045, ((p + 0.055) / 1.055) ** 2.4, p / 12.92) for p in (clean, noisy)]
    middle = (clean > 0.4) & (clean < 0.7)  # nothing is clipped there
    scaled = (linear[1] - linear[0])[middle] / np.sqrt(linear[0][middle])
    assert scaled.std() == pytest.approx(0.04, rel=0.15)


def test_a_patch_loses_its_texture_and_keeps_its_depth():
    bare, full = (take(subject=partial(patched_wall, diameter=20, contrast=c), place=(0, 1)) for c in (0, 1))
    assert np.array_equal(bare.mask, full.mask) and np.array_equal(bare.truth, full.truth)
    assert bare.mask.sum() == pytest.approx(np.pi * 100, rel=0.05)
    inside = bare.all_in_focus[bare.mask].astype(float)
    assert inside.std(axis=0).max() < 1 < full.all_in_focus[full.mask].std(axis=0).max()
    outside = np.abs(bare.all_in_focus.astype(int) - full.all_in_focus)[~bare.mask]
    assert outside.max() <= 3  # one exposure for all of the picture
    inverse = 1 / bare.truth.astype(float)  # a plane is affine in the picture
    assert max(np.abs(np.diff(inverse, 2, axis=axis)).max() for axis in (0, 1)) < 1e-5


def test_a_card_is_before_its_wall_by_the_gap():
    sample = take(subject=partial(bare_card, gap=0.3), place=(0, 1))
    coordinate = sample.stack.normalised_coordinate(sample.truth)
    assert np.allclose(coordinate[sample.mask], 1 - BEHIND - 0.3, atol=1e-5)
    assert np.allclose(coordinate[~sample.mask], 1 - BEHIND, atol=1e-5)


def test_outside_the_range_the_right_answer_is_its_end():
    source = find_experiments(["outside"])[0].levels["0.1 to 0.2"]
    sample = source(Inputs(scenes=1, size=SIZE))[0]
    coordinate = sample.stack.normalised_coordinate(sample.truth)
    ends = np.minimum(np.abs(coordinate), np.abs(coordinate - 1))
    assert sample.mask.any() and ends[sample.mask].max() < 1e-5


def test_layered_blur_is_nearer_to_path_traced_than_gathered():
    pytest.importorskip("mitsuba", reason="path tracing needs the extra dualfocus[render]")
    from dualfocus.analysis.blurs import fidelity

    layered, gathered = fidelity(1, SIZE)
    assert layered.min() > 29 and np.all(layered > gathered) and layered.mean() > gathered.mean() + 2


def test_figures_of_a_level_against_their_definition(tmp_path):
    """The middle of the range: its error follows from the truth alone."""
    one = Experiment("one", "one thing", "?", "x", {"a": photographs(Setup(place=(0, 1)))}, per_unit=lambda level: 0.5)
    (answer,) = measure([one], {}, Inputs(scenes=3, size=SIZE), tmp_path)
    errors = []
    for sample in Inputs(scenes=3, size=SIZE).seeds:
        taken = take(seed=sample, place=(0, 1))
        coordinate = taken.stack.normalised_coordinate(taken.truth)[taken.mask]
        errors.append(np.sqrt(np.mean((coordinate - 0.5) ** 2)) / 0.5)
    (row,) = answer["rows"]
    assert (row["model"], row["n"], row["reference"]) == (MIDDLE, 3, None)
    assert row["rmse"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert row["change"] == 0
    assert row["rmse_error"] == pytest.approx(np.std(errors, ddof=1) / np.sqrt(3), rel=1e-4)


def test_a_run_goes_on_and_more_stacks_join(tmp_path):
    pytest.importorskip("matplotlib", reason="figures need the extra dualfocus[figures]")
    model, few, more = Counting(), Inputs(2, SIZE), Inputs(3, SIZE)
    leak = find_experiments(["leak"])
    first = analyse(leak, {"c": model}, few, tmp_path, ["first"])
    levels = len(leak[0].levels)
    assert model.calls == 2 * levels
    again = analyse(leak, {"c": model}, few, tmp_path, ["first"])
    assert json.dumps(again) == json.dumps(first) and model.calls == 2 * levels
    third = analyse(leak, {"c": model}, more, tmp_path, ["third"])
    assert model.calls == 3 * levels and {row["n"] for row in third["experiments"][0]["rows"]} == {3}
    with pytest.raises(ValueError, match="another size"):
        analyse(leak, {"c": model}, Inputs(2, (48, 48)), tmp_path, [])


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(MissingError, match="--data nyu=PATH"):
        find_experiments(["calibration"])[0].levels["NYU Depth v2"](Inputs())
    (answer,) = measure(find_experiments(["calibration"]), {}, Inputs(1, SIZE), tmp_path)
    assert answer["missing"] == {
        "photographs as textures": "needs --data textures=PATH",
        "NYU Depth v2": "needs --data nyu=PATH",
    }
    assert {row["level"] for row in answer["rows"]} == {"noise textures", "path-traced"}


def test_constraints_are_read_from_records_and_compared_with_none(tmp_path):
    def record(spatial, focal, model="dualfocus-paper", weight=0.05):
        loss = {"spatial": weight, "focal": focal}
        return {"model": model, "options": {"spatial": spatial}, "training": {"loss": loss}}

    assert constraints.switches({}) is None and constraints.switches(record("off", 0, "dfv")) is None
    rows = {"both": record("full", 1.0), "spatial": record("full", 0), "none": record("off", 0), "dfv": {}}
    models = {name: {"switches": constraints.switches(content)} for name, content in rows.items()}
    assert models["both"]["switches"] == {"spatial": "full", "focal": "on"}
    assert constraints.switches(record("full", 1.0, weight=0))["spatial"] == "no_loss"  # as a loss of 0 is trained
    rmse = {"both": (0.1, 0.2), "spatial": (0.4, 0.1), "none": (0.2, 0.2), "dfv": (9, 9)}
    answer = {"title": "a", "rows": [{"model": m, "level": k, "rmse": v[k]} for m, v in rmse.items() for k in (0, 1)]}
    both, spatial = constraints.changes([answer], models)
    assert both == ("a", "both", pytest.approx(np.sqrt(0.5)), 0.5, 1.0)
    assert spatial == ("a", "spatial", pytest.approx(1.0), 0.5, 2.0)
    del models["none"]
    assert constraints.changes([answer], models) == []
    pytest.importorskip("matplotlib", reason="figures need the extra dualfocus[figures]")
    draw_constraints([both, spatial], tmp_path / "constraints.svg")
    picture = (tmp_path / "constraints.svg").read_text(encoding="utf-8")
    assert all(f">{text}<" in picture for text in ("both", "spatial", constraints.REFERENCE))


def test_the_whole_analysis_as_a_command(tmp_path):
    pytest.importorskip("matplotlib", reason="figures need the extra dualfocus[figures]")
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "dualfocus",
        "analyse",
        "classical",
        "-o",
        str(out),
        "--limit",
        "2",
        "--size",
        "32",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=1200)
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    answers = {answer["name"]: answer for answer in results["experiments"]}
    assert list(answers) == NAMES
    summary = (out / "summary.md").read_text(encoding="utf-8")
    for experiment in EXPERIMENTS:
        measured = {str(row["level"]) for row in answers[experiment.name]["rows"]}
        assert measured | set(answers[experiment.name]["missing"]) == {str(level) for level in experiment.levels}
        picture = (out / f"{experiment.name}.svg").read_text(encoding="utf-8")
        assert experiment.question.lower() in picture.lower() and f"]({experiment.name}.svg)" in summary

    rows = {row["level"]: row for row in answers["noise"]["rows"] if row["model"] == "classical"}
    noise = {level: row["rmse"] for level, row in rows.items()}
    assert noise[0] < noise[4] < noise[16]
    assert rows[16]["change"] == pytest.approx(noise[16] - noise[0])
    middle = {row["rmse"] for row in answers["noise"]["rows"] if row["model"] == MIDDLE}
    assert len(middle) == 1 and middle.pop() > noise[16]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "moon"], "unknown experiment 'moon'"),
        (["--data", "moon=."], "--data moon=."),
        (["--data", "nyu=missing"], "missing does not exist"),
        (["classical", "classical"], "two models are called 'classical'"),
        (["a=classical", "a=dualfocus-s"], "two models are called 'a'"),
        (["missing.safetensors"], "missing.safetensors"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, capsys, words, message):
    assert main(["analyse", "-o", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "summary.md").write_text("mine")
    assert main(["analyse", "classical", "-o", str(tmp_path), "--only", "noise", "--limit", "1", "--size", "32"]) == 2
    assert "not of an analysis" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
