"""Predictions made elsewhere: what their numbers mean, and one line for whatever is wrong with a folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualfocus.benchmarks.evaluation.evaluate import evaluate
from dualfocus.benchmarks.evaluation.options import EvaluationOptions
from dualfocus.benchmarks.protocols import find_protocol, open_dataset
from dualfocus.benchmarks.protocols.files import NOTE, Files
from dualfocus.cli import main
from dualfocus.datasets import Sample
from dualfocus.datasets.fixtures.tools import write_exr
from dualfocus.inference.shipped import DEMO_STACK
from dualfocus.stack import FocalStack

NAMES = ("desk", "rooms/one")
TRUTH = np.random.default_rng(0).uniform(0.5, 4, (12, 16)).astype(np.float32)


def sample(unit: str = "m", name: str = "desk") -> Sample:
    images = np.random.default_rng(1).integers(0, 255, (3, 12, 16, 3), np.uint8)
    factor = 1000 if unit == "mm" else 1
    truth = (TRUTH * factor).astype(np.float32)
    distances = None if unit == "index" else [0.5 * factor, factor, 4 * factor]
    return Sample(name, FocalStack(images, distances, unit), truth, truth > 0)


def folder_of(path: Path, values: np.ndarray, note: dict | None = None, image: bool = False) -> Path:
    for name in NAMES:
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if image:
            Image.fromarray(values).save(f"{file}.png")
        else:
            np.save(f"{file}.npy", values)
    if note is not None:
        (path / NOTE).write_text(json.dumps(note))
    return path


def depth(folder: Path, protocol: str = "stacks", unit: str = "m", name: str = "desk") -> np.ndarray:
    return Files(folder, find_protocol(protocol), NAMES).predict_sample(sample(unit, name)).depth


def test_arrays_are_depth_in_the_result_unit(tmp_path):
    values = TRUTH.copy()
    values[0, :3] = 0, -1, np.nan
    found = depth(folder_of(tmp_path, values), name="rooms/one")
    np.testing.assert_array_equal(found.ravel()[3:], TRUTH.ravel()[3:])
    assert np.isnan(found[0, :3]).all()


@pytest.mark.parametrize("unit", ["m", "mm"])
def test_images_need_a_scale_and_may_name_their_unit(unit, tmp_path):
    levels = np.rint(TRUTH * 5000).astype(np.uint16)
    levels[0, 0] = 0
    note = {"scale": 0.2, "unit": "mm"} if unit == "m" else {"scale": 2e-4, "unit": "m"}
    found = depth(folder_of(tmp_path, levels, note, image=True), unit=unit)
    factor = 1000 if unit == "mm" else 1
    assert np.isnan(found[0, 0])
    np.testing.assert_allclose(found.ravel()[1:], TRUTH.ravel()[1:] * factor, atol=1.1e-4 * factor)


def test_values_in_the_space_of_a_protocol_and_depth_agree(tmp_path):
    disparity = 0.1412375658 / TRUTH
    in_disparity = depth(folder_of(tmp_path / "disparity", disparity), "ddff12/dfv-n5")
    in_metres = depth(folder_of(tmp_path / "metres", 1000 * TRUTH, {"scale": 1, "unit": "mm"}), "ddff12/dfv-n5")
    np.testing.assert_allclose(in_disparity, TRUTH, rtol=1e-5)
    np.testing.assert_allclose(in_metres, TRUTH, rtol=1e-5)


def test_what_depth_pro_and_moge_write_is_read(tmp_path):
    for name in NAMES:
        (tmp_path / "pro" / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(tmp_path / "pro" / name, depth=TRUTH)
        Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(tmp_path / "pro" / f"{name}.jpg")
        masked = np.where(TRUTH > 3.9, np.float32(np.inf), TRUTH)
        write_exr(tmp_path / "moge" / name / "depth.exr", {"Y": masked})
        Image.fromarray(np.zeros((12, 16), np.uint8)).save(tmp_path / "moge" / name / "mask.png")
    np.testing.assert_array_equal(depth(tmp_path / "pro", name="rooms/one"), TRUTH)
    found = depth(tmp_path / "moge", name="rooms/one")
    np.testing.assert_array_equal(found[TRUTH <= 3.9], TRUTH[TRUTH <= 3.9])
    assert np.isnan(found[TRUTH > 3.9]).all()
    np.savez(tmp_path / "pro" / "desk.npz", disparity=TRUTH)
    with pytest.raises(ValueError, match="desk.npz: cannot be read as a .npz file with an array `depth`"):
        depth(tmp_path / "pro")


def test_another_reading_is_another_system(tmp_path):
    folder = folder_of(tmp_path, TRUTH)
    plain = Files(folder, find_protocol("stacks"), NAMES).fingerprint()
    (folder / NOTE).write_text('{"scale": 2}')
    scaled = Files(folder, find_protocol("stacks"), NAMES)
    assert scaled.fingerprint() != plain
    np.testing.assert_allclose(scaled.predict_sample(sample()).depth, 2 * TRUTH)


@pytest.mark.parametrize(("unit", "distances"), [("um", [-3, -2, -1, 0]), ("index", None)])
def test_on_a_stage_and_in_planes_zero_and_less_is_depth(unit, distances, tmp_path):
    images = np.random.default_rng(2).integers(0, 255, (4, 12, 16, 3), np.uint8)
    truth = np.tile(np.arange(16, dtype=np.float32) % 4, (12, 1)) - (3 if unit == "um" else 0)
    data, mine = tmp_path / "data" / "one", tmp_path / "mine"
    data.mkdir(parents=True)
    mine.mkdir()
    for n, image in enumerate(images):
        Image.fromarray(image).save(data / f"{n}.png")
    np.save(data / "truth.npy", truth)
    np.save(mine / "one.npy", truth)
    note = {"images": [f"{n}.png" for n in range(4)], "unit": unit, "ground_truth": "truth.npy"}
    (data / "stack.json").write_text(json.dumps(note | ({"focus_distances": distances} if distances else {})))
    found = evaluate([f"files:{mine}"], "stacks", data.parent, tmp_path / "out")["models"]["files:mine"]["mean"]
    assert found["rmse"] == found["filled"] == 0


def test_a_run_over_some_samples_goes_on_over_all(benchmark_data, tmp_path):
    data, mine = benchmark_data("fod500"), tmp_path / "mine"
    mine.mkdir()
    dataset = open_dataset(find_protocol("fod500/dfv"), data)
    for index in range(len(dataset)):
        np.save(mine / f"{dataset.names[index]}.npy", dataset[index].truth)
    for limit, count in ((1, 1), (None, len(dataset))):
        figures = evaluate([f"files:{mine}"], "fod500/dfv", data, tmp_path / "out", EvaluationOptions(limit))
        assert figures["models"]["files:mine"]["images"] == count
    np.save(mine / f"{dataset.names[-1]}.npy", dataset[0].truth)
    with pytest.raises(ValueError, match="figures of other weights"):
        evaluate([f"files:{mine}"], "fod500/dfv", data, tmp_path / "out")


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "must be an object"),
        ('{"scales": 1}', "must be an object"),
        ('{"unit": "feet"}', "'feet' is not one of protocol, m, mm"),
        ('{"scale": 0}', "scale must be a number above 0"),
        ('{"scale": true}', "scale must be a number above 0"),
    ],
)
def test_a_bad_note_is_one_line(note, words, tmp_path):
    folder = folder_of(tmp_path, TRUTH)
    (folder / NOTE).write_text(note)
    with pytest.raises(ValueError, match=f"{NOTE}: .*{words}") as caught:
        Files(folder, find_protocol("stacks"), NAMES)
    assert "\n" not in str(caught.value)


def test_bad_files_are_one_line(tmp_path):
    levels = np.rint(TRUTH * 5000).astype(np.uint16)
    with pytest.raises(ValueError, match="images need a scale; write predictions.json"):
        depth(folder_of(tmp_path / "bare", levels, image=True))
    eight = folder_of(tmp_path / "eight", levels.astype(np.uint8), {"scale": 1}, image=True)
    with pytest.raises(ValueError, match="desk.png: must be a 16-bit image of one channel"):
        depth(eight)
    (eight / "desk.png").write_bytes(b"not a png")
    with pytest.raises(ValueError, match="desk.png: cannot be read as an image"):
        depth(eight)
    with pytest.raises(ValueError, match="unit 'm' for a stack in 'index'"):
        depth(folder_of(tmp_path / "metres", TRUTH, {"unit": "m"}), unit="index")
    with pytest.raises(ValueError, match=r"desk.npy: is \(16, 12\)"):
        depth(folder_of(tmp_path / "turned", TRUTH.T))


def test_missing_files_are_counted_on_the_command_line(tmp_path, capsys):
    (tmp_path / "made").mkdir()
    arguments = ["evaluate", f"files:{tmp_path / 'made'}", "--protocol", "stacks", "--data", str(DEMO_STACK)]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "1 of 1 predictions are missing, first desk.npy" in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_images_are_measured_like_any_system(tmp_path):
    truth = np.load(DEMO_STACK / "ground_truth.npy").astype(np.float64)
    (tmp_path / "made").mkdir()
    Image.fromarray(np.rint(np.nan_to_num(truth) * 1.1 * 5e3).astype(np.uint16)).save(tmp_path / "made" / "desk.png")
    (tmp_path / "made" / NOTE).write_text('{"scale": 2e-4, "unit": "m"}')
    out = tmp_path / "out"
    summary = evaluate([f"files:{tmp_path / 'made'}"], "stacks", DEMO_STACK, out)
    assert summary["models"]["files:made"]["mean"]["abs_rel"] == pytest.approx(0.1, abs=1e-4)
