"""Known predictions give known figures, through the command line, under every protocol on its tiny data set.

The expected figures are worked out here from the data sets' own files, apart from the package's readers and metrics.
"""

import csv
import json
import math
import subprocess
import sys

import cv2
import numpy as np
import OpenEXR
import pytest
from known_predictions import (
    BF,
    bump,
    ddff_truths,
    evaluate,
    fod_truths,
    hammer_truths,
    infinigen_truths,
    mat_truths,
    npy_truths,
    nyu_truths,
    predictions,
    stereo_truths,
    zedd_truths,
)
from PIL import Image

from dualfocus.benchmarks.protocols import PROTOCOLS, open_dataset

# protocol, its fixture, the truths in its space, the pixels that count, an error to add
CASES = [
    ("nyu/hybriddepth-n5", "nyu-bts", nyu_truths, lambda t: (t > 0.001) & (t < 10), 0.05),
    ("nyu/hybriddepth-n5", "nyu-mat", mat_truths, lambda t: (t > 0.001) & (t < 10), 0.05),
    ("nyu/fixed-n5", "nyu-bts", nyu_truths, lambda t: (t > 0.001) & (t < 10), 0.05),
    ("fod500/aif", "fod500", fod_truths, lambda t: (t >= 0.1) & (t <= 1.5), 0.02),
    ("ddff12/dfv-n5", "ddff12", ddff_truths, lambda t: t > 0, 0.01),
    ("ddff12/dfv-n5", "ddff12-official", ddff_truths, lambda t: t > 0, 0.01),
    ("ddff12/dfv-n10", "ddff12", ddff_truths, lambda t: t > 0, 0.01),
    ("ddff12/hybriddepth-n5", "ddff12", ddff_truths, lambda t: (t > 0.02) & (t < 0.28), 0.01),
    ("ibims-1/f1.4-n5", "ibims-1", npy_truths, lambda t: t > 0, 0.05),
    ("diode/f1.4-n5", "diode", npy_truths, lambda t: t > 0, 0.05),
    ("hammer/f1.4-n5", "hammer", hammer_truths, lambda t: t > 0, 0.05),
    ("zedd/f2.8-n5", "zedd", zedd_truths, lambda t: t > 0, 0.05),
    ("infinigen/f1.4-n5", "infinigen", infinigen_truths, lambda t: t > 0, 0.05),
    ("flyingthings3d/aif-n15", "flyingthings3d", stereo_truths, lambda t: (t >= 10) & (t <= 100), 1.0),
    ("middlebury/aif-n15", "middlebury", stereo_truths, lambda t: (t >= 10) & (t <= 60), 1.0),
]


@pytest.mark.parametrize(("protocol", "fixture", "read", "counts", "error"), CASES)
def test_known_predictions_give_known_figures(benchmark_data, tmp_path, capsys, protocol, fixture, read, counts, error):
    root = benchmark_data(fixture)
    names = open_dataset(PROTOCOLS[protocol], root).names
    truths = list(read(root, names))
    predictions(tmp_path / "added", names, truths, lambda t: t + error)
    predictions(tmp_path / "times", names, truths, lambda t: t * 1.1)
    systems = [f"files:{tmp_path / part}" for part in ("added", "times")]
    means = evaluate(protocol, root, tmp_path / "out", *systems)
    counted = [t[counts(t)] for t in truths]
    if protocol.startswith(("ddff12/hyb", "flying", "middle")):
        assert all(0 < (t > 0).sum() - len(c) for t, c in zip(truths, counted, strict=True))  # the mask matters here

    added = means["files:added"]
    assert added["rmse"] == pytest.approx(error, rel=1e-5) and added["mae"] == pytest.approx(error, rel=1e-5)
    assert added["mse"] == pytest.approx(error**2, rel=1e-5)
    assert added["abs_rel"] == pytest.approx(np.mean([np.mean(error / t) for t in counted]), rel=1e-5)
    assert added["sq_rel"] == pytest.approx(np.mean([np.mean(error**2 / t) for t in counted]), rel=1e-5)
    logs = [np.sqrt(np.mean(np.log1p(error / t) ** 2)) for t in counted]
    assert added["log_rms"] == pytest.approx(np.mean(logs), rel=1e-5)
    for power in (1, 2, 3):
        share = np.mean([np.mean(1 + error / t < 1.25**power) for t in counted])
        assert added[f"delta{power}"] == pytest.approx(share, rel=1e-4)

    times = means["files:times"]
    assert times["abs_rel"] == pytest.approx(0.1, rel=1e-5)
    assert times["log_rms"] == pytest.approx(math.log(1.1), rel=1e-5)
    assert times["delta1"] == times["d1_15"] == 1 and times["d1_05"] == times["filled"] == 0
    assert times["sq_rel"] == pytest.approx(0.01 * np.mean([t.mean() for t in counted]), rel=1e-5)
    # the mean of each image's root, not the root of the mean
    assert times["rmse"] == pytest.approx(0.1 * np.mean([np.sqrt(np.mean(t**2)) for t in counted]), rel=1e-5)
    if "dfv" in protocol:
        holes = [np.where(t > 0, 0.1 * t, BF / (BF / 0.02)) for t in truths]  # missing ones take the farthest plane
        expected = np.mean([bump(e, t > 0) for e, t in zip(holes, truths, strict=True)])
        assert times["bump"] == pytest.approx(expected, rel=1e-3)
        assert times["badpix"] == 0
    assert times["avg_unc"] is None
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| files:times | "))
    percent = PROTOCOLS[protocol].delta == "percent"
    assert percent == ("/dfv-" in protocol) and ("| 100 |" in row) == percent  # delta, as the peers print it


def test_fod500_as_dfv_measures_it(benchmark_data, tmp_path):
    root = benchmark_data("fod500")
    names = open_dataset(PROTOCOLS["fod500/dfv"], root).names
    truths = list(fod_truths(root, names))
    predictions(tmp_path / "added", names, truths, lambda t: t + 0.02)
    predictions(tmp_path / "far", names, truths, lambda t: np.maximum(t, 1.5) * 2)
    predictions(tmp_path / "times", names, truths, lambda t: t * 1.1)
    systems = [f"files:{tmp_path / part}" for part in ("added", "times", "far")]
    means = evaluate("fod500/dfv", root, tmp_path / "out", *systems)

    def stored(depth):
        return np.minimum(np.floor(np.float32(depth) * 10_000).astype(np.float64) / 10_000, 1.5)

    for system, change in (("added", lambda t: t + 0.02), ("times", lambda t: t * 1.1)):
        rows = []
        for truth in truths:
            y, t = stored(change(truth).astype(np.float32)), stored(truth)
            assert t.max() == 1.5 and (truth > 1.5).any()  # deeper pixels count, with truth 1.5 and no error here
            ratio = np.maximum(y / t, t / y)
            rows.append([np.sqrt(np.mean((y - t) ** 2)), np.mean(np.abs(y - t) / t), np.mean(ratio < 1.25)])
        found = means[f"files:{system}"]
        for column, expected in zip(("rmse", "abs_rel", "delta1"), np.mean(rows, axis=0), strict=True):
            assert found[column] == pytest.approx(expected, rel=1e-6)
    assert means["files:added"]["rmse"] < 0.02
    far = np.mean([np.sqrt(np.mean((1.5 - stored(t)) ** 2)) for t in truths])
    assert means["files:far"]["rmse"] == pytest.approx(far, rel=1e-6)


def test_signed_disparity_known_predictions(benchmark_data, tmp_path):
    root = benchmark_data("4d-light-field")
    names = open_dataset(PROTOCOLS["4d-light-field/aif-n10"], root).names
    truths = [cv2.imread(str(root / "training" / name / "gt_disp_lowres.pfm"), -1).astype(np.float64) for name in names]
    assert all(t.min() < -1 and t.max() > 1 for t in truths)
    predictions(tmp_path / "added", names, truths, lambda t: t + 0.08)
    predictions(tmp_path / "times", names, truths, lambda t: t * 1.1)
    systems = [f"files:{tmp_path / part}" for part in ("added", "times")]
    added, times = evaluate("4d-light-field/aif-n10", root, tmp_path / "out", *systems).values()
    assert added["rmse"] == pytest.approx(0.08, rel=1e-5) and added["mse"] == pytest.approx(0.08**2, rel=1e-5)
    assert added["badpix"] == 1 and added["bump"] == pytest.approx(0, abs=1e-3) and added["filled"] == 0
    assert times["rmse"] == pytest.approx(0.1 * np.mean([np.sqrt(np.mean(t**2)) for t in truths]), rel=1e-5)
    assert times["badpix"] == pytest.approx(np.mean([np.mean(np.abs(t) > 0.7) for t in truths]), rel=1e-3)
    assert times["bump"] == pytest.approx(np.mean([bump(0.1 * t, t == t) for t in truths]), rel=1e-3)
    assert all(times[column] is None for column in ("abs_rel", "log_rms", "delta1"))  # no meaning with a sign


def test_confidence_weighted_dioptres_known_predictions(benchmark_data, tmp_path):
    root = benchmark_data("smartphone")
    names = open_dataset(PROTOCOLS["smartphone/wild-n10"], root).names
    truths, weights, depths = [], [], []
    for name in names:
        level = np.array(Image.open(root / "test" / "merged_depth" / name / "result_merged_depth_center.png"))
        trust = root / "test" / "merged_conf" / name / "result_merged_conf_center.exr"
        with OpenEXR.File(str(trust), separate_channels=True) as file:
            weight = np.minimum(file.channels()["R"].pixels[84:-84, 63:-63], 1).astype(np.float64)
        dioptres = (100 - 99.8 * level[84:-84, 63:-63] / 255) / 20
        counts = (dioptres >= 1 / 3.91092) & (dioptres <= 1 / 0.10201)
        assert 0 < counts.mean() < 1 and (weight == 0).any() and (weight == 1).any()
        truths.append(dioptres[counts])
        weights.append(weight[counts])
        depths.append(dioptres)
    predictions(tmp_path / "added", names, depths, lambda t: t + np.where(t > 1, 0.1, 0.3))
    predictions(tmp_path / "times", names, depths, lambda t: t * 1.1)
    systems = [f"files:{tmp_path / part}" for part in ("added", "times")]
    added, times = evaluate("smartphone/wild-n10", root, tmp_path / "out", *systems).values()
    steps = [np.where(t > 1, 0.1, 0.3) for t in truths]
    for means, errors in ((added, steps), (times, [0.1 * t for t in truths])):
        mse = [np.sum(w * e**2) / np.sum(w) for w, e in zip(weights, errors, strict=True)]
        mae = [np.sum(w * e) / np.sum(w) for w, e in zip(weights, errors, strict=True)]
        assert means["mse"] == pytest.approx(np.mean(mse), rel=1e-5)
        assert means["mae"] == pytest.approx(np.mean(mae), rel=1e-5)
        assert means["rmse"] == pytest.approx(np.mean(np.sqrt(mse)), rel=1e-5)
        assert abs(means["mae"] / np.mean([e.mean() for e in errors]) - 1) > 1e-4  # the weights matter
        assert means["abs_rel"] is None and means["delta1"] is None


def test_mobile_depth_has_pictures_and_no_errors(benchmark_data, tmp_path):
    root = benchmark_data("mobile-depth")
    means = evaluate("mobile-depth/n5", root, tmp_path, "classical")["classical"]
    assert means["avg_unc"] > 0 and means["rmse"] is None and means["confidence"] is None
    pictures = sorted((tmp_path / "classical" / "worst").iterdir())
    assert len(pictures) == 2 and {"balls", "zeromotion"} == {path.stem.rpartition("_")[2] for path in pictures}


@pytest.mark.parametrize(
    ("protocol", "fixture"), [("arkitscenes/hybriddepth-n5", "arkitscenes"), ("nyu/hybriddepth-n5", "nyu-labelled")]
)
def test_known_predictions_where_truth_is_made(benchmark_data, tmp_path, protocol, fixture):
    root = benchmark_data(fixture)
    data = open_dataset(PROTOCOLS[protocol], root)
    truths = [data[index].truth.astype(np.float64) for index in range(2)]  # against the files in test_benchmark_data
    predictions(tmp_path / "times", data.names, truths, lambda t: t * 1.1)
    predictions(tmp_path / "added", data.names, truths, lambda t: t + 0.1)
    systems = [f"files:{tmp_path / part}" for part in ("added", "times")]
    added, times = evaluate(protocol, root, tmp_path / "out", *systems).values()
    assert added["rmse"] == pytest.approx(0.1, rel=1e-5)
    assert times["abs_rel"] == pytest.approx(0.1, rel=1e-5) and times["delta1"] == 1
    assert times["rmse"] == pytest.approx(0.1 * np.mean([np.sqrt(np.mean(t[t != 0] ** 2)) for t in truths]), rel=1e-5)


def test_stack_folders_known_predictions(benchmark_data, tmp_path):
    root = benchmark_data("stacks")
    truths = [np.array(Image.open(root / "dioptres" / "depth.png")) * 1e-4, np.load(root / "metres" / "truth.npy")]
    predictions(tmp_path / "added", ["dioptres", "metres"], truths, lambda t: t + 0.1)
    added = evaluate("stacks", root, tmp_path / "out", f"files:{tmp_path / 'added'}")["files:added"]
    assert added["mae"] == pytest.approx(0.1, rel=1e-5) and added["rmse"] == pytest.approx(0.1, rel=1e-5)


def test_as_a_subprocess_and_resumed(benchmark_data, tmp_path):
    root = benchmark_data("fod500")
    names = ["000400", "000401"]
    predictions(tmp_path / "p", names, list(fod_truths(root, names)), lambda t: t * 1.1)
    command = [sys.executable, "-m", "dualfocus", "evaluate", f"files:{tmp_path / 'p'}", "--protocol", "fod500/aif"]
    command += ["--data", str(root), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "files:p" in done.stdout, done.stderr
    (table,) = (tmp_path / "out").rglob("per_image.csv")
    before = table.read_text()
    with table.open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == names
    table.write_text("".join(before.splitlines(keepends=True)[:2]))  # stopped after the first
    summary = (tmp_path / "out" / "summary.json").read_text()
    assert subprocess.run(command, capture_output=True).returncode == 0
    again = json.loads((tmp_path / "out" / "summary.json").read_text())["models"]["files:p"]["mean"]
    first = json.loads(summary)["models"]["files:p"]["mean"]
    for column in set(first) - {"seconds"}:
        assert again[column] == first[column]
    np.save(tmp_path / "p" / "000401.npy", np.ones((256, 256)))
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2 and "other weights of files:p" in refused.stderr
