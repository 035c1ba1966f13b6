"""Known predictions give known figures, through the command line, under every protocol on its tiny data set.

The expected figures are worked out here from the data sets' own files, apart from the package's readers and metrics.
"""

import csv
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import OpenEXR
import pytest
from PIL import Image
from scipy import ndimage

from dualfocus import cli
from dualfocus.benchmarks.measure import measure
from dualfocus.benchmarks.protocol import Range
from dualfocus.benchmarks.protocols import FIXED_DISTANCES_M, PROTOCOLS, open_dataset
from dualfocus.datasets import Ddff12, Sample
from dualfocus.inference.torch_model import load_model
from dualfocus.stack import FocalStack

BF = 0.1412375658


def nyu_truths(root, names):
    folder = root / "official_splits" / "test"
    for name in names:
        stem = name.replace("rgb_", "sync_depth_")
        yield np.array(Image.open(folder / f"{stem}.png"))[48:432, 64:576] / 1000


def fod_truths(root, names):
    for name in names:
        with OpenEXR.File(str(root / "fs_6" / f"{name}Dpt.exr"), separate_channels=True) as file:
            yield file.channels()["R"].pixels.astype(np.float64)


def mat_truths(root, names):
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as file:
        for name in names:
            yield file["rawDepths"][int(name)].T[48:432, 64:576].astype(np.float64)


def ddff_truths(root, names):
    (path,) = root.glob("*.h5")
    with h5py.File(path) as file:
        for name in names:
            yield file["disp_val"][int(name.removeprefix("val-"))].astype(np.float64)


def npy_truths(root, names):
    for name in names:
        (path,) = root.rglob(f"{name}.npy")
        yield np.load(path, allow_pickle=True).item()["gt"].astype(np.float64)


def hammer_truths(root, names):
    for name in names:
        with Image.open(root / "HAMMER" / name / "depth.png") as image:
            near, far, level = float(image.info["near"]), float(image.info["far"]), np.array(image).astype(float)
        depth = np.exp(np.log(near) + (level - 1) / 65533 * np.log(far / near))
        yield np.where((level > 0) & (level < 65535), depth, 0)


def stereo_truths(root, names):
    for name in names:
        (folder,) = root.rglob(name)
        with OpenEXR.File(str(folder / "disp.exr"), separate_channels=True) as file:
            yield file.channels()["Y"].pixels.astype(np.float64)


def zedd_truths(root, names):
    rows, columns = (np.floor((np.arange(n) + 0.5) * m / n).astype(int) for n, m in ((480, 1216), (720, 1824)))
    for name in names:
        depth = np.load(root / "val" / name / "gt" / "depth.npy")[rows][:, columns[40:680]]
        yield np.nan_to_num(depth.astype(np.float64))


def infinigen_truths(root, names):
    for name in names:
        depth = np.load(root / name / "depth.npy").astype(np.float64)
        yield np.where(depth < np.inf, depth, 0)


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


def predictions(folder, names, truths, change):
    for name, truth in zip(names, truths, strict=True):
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, change(truth))


def evaluate(protocol, data, out, *systems):
    code = cli.main(["evaluate", *systems, "--protocol", protocol, "--data", str(data), "-o", str(out)])
    assert code == 0
    summary = json.loads((out / "summary.json").read_text())
    return {name: found["mean"] for name, found in summary["models"].items()}


def bump(error, mask):
    """By scipy's filters: two Scharr derivatives each way, not halved, clipped at 0.05, percent."""
    smooth, slope = np.array([3, 10, 3]) / 16, np.array([1, 0, -1])

    def derivative(image, axis):
        along = ndimage.correlate1d(image, slope, axis=axis, mode="reflect")
        return ndimage.correlate1d(along, smooth, axis=1 - axis, mode="reflect")

    first = [derivative(error, axis) for axis in (0, 1)]
    second = sum(derivative(d, axis) ** 2 for d in first for axis in (0, 1))
    return 100 * np.minimum(np.sqrt(second), 0.05)[mask].mean()


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


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: (p / "000401.npy").unlink(), "1 of 2 predictions are missing, first 000401.npy"),
        (lambda p: shutil.rmtree(p), "no such folder of predictions"),
        (lambda p: (p / "000400.npy").write_bytes(b"\x93NUMPY"), "000400.npy: cannot be read as a .npy array"),
        (lambda p: np.save(p / "000400.npy", np.ones((4, 5))), "000400.npy: is (4, 5) float64"),
    ],
)
def test_a_spoilt_prediction_folder_is_one_line(benchmark_data, tmp_path, capsys, spoil, message):
    root = benchmark_data("fod500")
    names = ["000400", "000401"]
    predictions(tmp_path / "p", names, list(fod_truths(root, names)), lambda t: t)
    spoil(tmp_path / "p")
    command = ["evaluate", f"files:{tmp_path / 'p'}", "--protocol", "fod500/dfv", "--data", str(root)]
    assert cli.main([*command, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    if spoil is not None and "missing" in message:  # only what is measured must be there
        assert cli.main([*command, "-o", str(tmp_path / "some"), "--limit", "1"]) == 0


@pytest.mark.parametrize(
    ("protocol", "file", "message"),
    [
        ("ddff12/dfv-n5", "my_ddff_trainVal.h5", "not a whole HDF5 file"),
        ("nyu/hybriddepth-n5", "nyu_depth_v2_labeled.mat", "not a whole HDF5 file"),
        ("fod500/dfv", "nowhere", "no such folder"),
        ("arkitscenes/hybriddepth-n5", "nowhere", "no folder Validation"),
        ("ddff12/dfv-n10", "nowhere", "no such file"),
        ("ibims-1/f1.4-n5", "nowhere", "no such folder"),
        ("diode/f1.4-n5", "nowhere", "no such folder"),
        ("hammer/f1.4-n5", "nowhere", "no .index.txt"),
        ("4d-light-field/aif-n10", "nowhere", "no such folder"),
        ("middlebury/aif-n15", "nowhere", "no such folder"),
        ("zedd/f2.8-n5", "nowhere", "no metadata.txt"),
        ("infinigen/f1.4-n5", "nowhere", "no such folder"),
        ("smartphone/wild-n10", "nowhere", "no scene"),
        ("mobile-depth/n5", "nowhere", "no such folder"),
    ],
)
def test_unusable_data_is_one_line(tmp_path, capsys, protocol, file, message):
    if file != "nowhere":
        (tmp_path / file).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    code = cli.main(["evaluate", "--protocol", protocol, "--data", str(tmp_path / file), "-o", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert code == 2 and message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_half_a_download_is_one_line(benchmark_data, tmp_path):
    root = tmp_path / "fs_6"
    shutil.copytree(benchmark_data("fod500") / "fs_6", root)
    depth = root / "000401Dpt.exr"
    depth.write_bytes(depth.read_bytes()[:2000])
    command = [sys.executable, "-m", "dualfocus", "evaluate", "classical", "--protocol", "fod500/dfv", "--data", root]
    done = subprocess.run([*map(str, command), "-o", str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert "000401Dpt.exr: cannot be read as an EXR" in done.stderr and done.stderr.count("\n") == 1
    depth.unlink()
    (root / "000401_03All.tif").unlink()
    done = subprocess.run([*map(str, command), "-o", str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 2 and "sample 000401 has 4 of 5 All.tif and 0 of 1" in done.stderr


def test_a_damaged_block_of_an_hdf5_file_is_named(benchmark_data, tmp_path, capsys):
    path = tmp_path / "my_ddff_trainVal.h5"
    shutil.copy(benchmark_data("ddff12") / path.name, path)
    with h5py.File(path) as file:
        block = file["stack_val"].id.get_chunk_info_by_coord((1, 4, 0, 0, 0))
    with path.open("r+b") as file:
        file.seek(block.byte_offset + block.size // 3)
        file.write(b"\xa5" * (block.size // 2))
    command = ["evaluate", "classical", "--protocol", "ddff12/dfv-n5", "--data", str(path), "-o", str(tmp_path / "out")]
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: ") and error.count("\n") == 1 and "https://" in error


def test_ddff12_is_padded_as_dfv_does_and_cut_back(benchmark_data):
    protocol = PROTOCOLS["ddff12/dfv-n5"]
    sample = Ddff12(benchmark_data("ddff12"), planes=5)[0]
    padded = protocol.padded(sample.stack)
    assert padded.size == (384, 576) and padded.unit == "dioptre"
    np.testing.assert_array_equal(padded[2][:383, :552], sample.stack[2])
    np.testing.assert_array_equal(padded[2][383, :552], sample.stack[2][381])  # reflected about the last row
    np.testing.assert_array_equal(padded[2][:383, 552:], sample.stack[2][:, 550:526:-1])
    depth = np.full((384, 576), 3.0)
    depth[383], depth[:, 552:] = 99, 99
    compared = protocol.compare(sample, depth)
    assert compared.prediction.shape == (383, 552)
    np.testing.assert_allclose(compared.prediction, BF / 3)
    np.testing.assert_allclose(compared.truth[compared.mask], BF / sample.truth[sample.mask], rtol=1e-6)
    assert not compared.truth[~compared.mask].any()


def test_stereo_sets_are_padded_with_black(benchmark_data):
    protocol = PROTOCOLS["middlebury/aif-n15"]
    sample = open_dataset(protocol, benchmark_data("middlebury"))[0]
    padded = protocol.padded(sample.stack)
    assert sample.stack.size == (277, 347) and padded.size == (288, 352)
    np.testing.assert_array_equal(padded[7][:277, :347], sample.stack[7])
    assert not padded[7][277:].any() and not padded[7][:, 347:].any()


def test_a_model_under_a_padding_protocol(benchmark_data, tmp_path):
    data = benchmark_data("ddff12")
    command = ["evaluate", "classical", "--protocol", "ddff12/dfv-n5", "--data", str(data), "--limit", "1"]
    assert cli.main([*command, "-o", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "summary.json").read_text())["models"]["classical"]["mean"]
    protocol, sample = PROTOCOLS["ddff12/dfv-n5"], Ddff12(data, planes=5)[0]
    result = load_model("classical").predict(protocol.padded(sample.stack))
    disparity = BF / result.depth.astype(np.float64)
    truth = np.divide(BF, sample.truth, out=np.zeros(sample.truth.shape), where=sample.mask)
    error = (disparity[:383, :552] - truth)[sample.mask]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)
    spread = BF * result.std / result.depth.astype(np.float64) ** 2  # over the padding too
    assert found["avg_unc"] == pytest.approx(spread.mean(), rel=1e-4)
    assert 0 < found["avg_unc"] < 0.1


def test_ranges_and_spaces():
    ends = np.array([0.1, 0.5, 1.5])
    assert Range(0.1, 1.5).holds(ends).tolist() == [False, True, False]
    assert Range(0.1, 1.5, closed=True).holds(ends).all()
    dioptres = replace(PROTOCOLS["stacks"], inverse=1.0)
    np.testing.assert_array_equal(dioptres.carried(np.array([0.5, 4, np.inf])), [2, 0.25, 0])
    np.testing.assert_allclose(dioptres.carried_std(np.array([0.5, 4]), np.array([0.01, 0.1])), [0.04, 0.1 / 16])


def test_an_image_without_truth_counts_as_zeros_for_dfv_alone():
    stack = FocalStack(np.zeros((3, 8, 9), np.uint8), [2, 1, 0.5], "dioptre")
    nothing = np.zeros((8, 9), np.float32)
    sample = Sample("a", stack, nothing, nothing > 0)
    result = SimpleNamespace(depth=nothing + 1, valid=nothing == 0, confidence=nothing, std=nothing, unit="m")
    figures, _ = measure(sample, result, PROTOCOLS["ddff12/dfv-n5"])
    assert figures["mse"] == figures["delta1"] == figures["bump"] == 0
    figures, _ = measure(sample, result, PROTOCOLS["ddff12/hybriddepth-n5"])
    assert math.isnan(figures["mse"])  # and so leaves the mean


def test_leaking_protocols_follow_each_image_and_fixed_ones_do_not(benchmark_data):
    root = benchmark_data("nyu-bts")
    leaking, fixed = (open_dataset(PROTOCOLS[f"nyu/{name}"], root) for name in ("hybriddepth-n10", "fixed-n5"))
    assert [len(leaking[0].stack), len(fixed[0].stack)] == [10, 5]
    for index in range(2):
        sample = leaking[index]
        known = sample.truth[sample.mask]
        np.testing.assert_allclose(sample.stack.focus_distances[[0, -1]], [known.min(), known.max()], rtol=1e-6)
        np.testing.assert_array_equal(fixed[index].stack.focus_distances, FIXED_DISTANCES_M)
    for name, protocol in PROTOCOLS.items():
        leaking = name.startswith(("nyu/hybriddepth", "arkitscenes", "ibims-1", "diode", "hammer"))
        assert ("leaks" in protocol.focus_range) == leaking
