"""The paper's data sets, read from tiny ones in their layouts: values, units, and what is said of damaged ones."""

import json
import pickle
import shutil
import subprocess
import sys

import h5py
import numpy as np
import OpenEXR
import pytest
from PIL import Image

from dualfocus import cli
from dualfocus.datasets import (
    ArkitScenes,
    Ddff12,
    Fod500,
    NyuBts,
    NyuLabelled,
    NyuMat,
    StackFolders,
    checks,
    nyu_mat,
    open_nyu,
)
from dualfocus.datasets.ddff12 import plane_disparities, plane_selection
from dualfocus.datasets.fixtures import FIXTURES, write_fixture

BF = 2.708787058842817e-4 * 521.4052  # baseline in m times focal length in px


def sharpest(stack):
    """(H, W) index of the plane with the most contrast, from squared differences summed over 17 x 17."""
    energy = []
    for plane in stack:
        grey = plane.astype(np.float64).mean(axis=2)
        square = np.pad(np.diff(grey, axis=1)[1:] ** 2 + np.diff(grey, axis=0)[:, 1:] ** 2, ((9, 9), (9, 9)))
        sums = square.cumsum(0).cumsum(1)
        energy.append(sums[17:, 17:] - sums[:-17, 17:] - sums[17:, :-17] + sums[:-17, :-17])
    return np.argmax(energy, axis=0)


def test_all_forms_of_nyu_hold_the_same_rooms(benchmark_data):
    bts, mat, small = (open_nyu(benchmark_data(name), planes=5) for name in ("nyu-bts", "nyu-mat", "nyu-labelled"))
    assert [type(form) for form in (bts, mat, small)] == [NyuBts, NyuMat, NyuLabelled]
    assert bts.names == ["study_room_0001/rgb_00000", "study_room_0001/rgb_00001"] and mat.names == ["0002", "0003"]
    for index in range(2):
        (rgb, depth), (rgb_mat, depth_mat), (_, depth_small) = (form.rgbd(index) for form in (bts, mat, small))
        assert rgb.shape == (384, 512, 3) and depth.shape == (384, 512)
        np.testing.assert_allclose(depth_mat, depth, atol=6e-4)  # millimetres
        assert (depth == 0).any() and ((depth == 0) == (depth_mat == 0)).all()
        known = depth > 0
        assert np.abs(depth_small - depth)[known].max() < 0.04  # 8-bit steps of 39 mm
        assert np.abs(rgb.astype(int) - rgb_mat).mean() < 5  # JPEG against none
    assert len(open_nyu(benchmark_data("nyu-bts"), "train", planes=5)) == 2


def test_nyu_depth_against_the_files(benchmark_data):
    folder = benchmark_data("nyu-bts") / "official_splits" / "test" / "study_room_0001"
    level = np.array(Image.open(folder / "sync_depth_00000.png"))
    sample = open_nyu(benchmark_data("nyu-bts"), planes=10)[0]
    central = level[48:432, 64:576] / 1000
    np.testing.assert_array_equal(sample.truth, central.astype(np.float32))
    np.testing.assert_array_equal(sample.mask, central > 0)
    ends = central[central > 0].min(), central.max()
    np.testing.assert_allclose(sample.stack.focus_distances, np.linspace(*ends, 10))


def test_nyu_bts_without_lists_pairs_by_name(benchmark_data, tmp_path):
    root = tmp_path / "bts"
    shutil.copytree(benchmark_data("nyu-bts"), root)
    listed = NyuBts(root, planes=2).pairs
    (root / "nyu_test.txt").unlink()
    assert NyuBts(root, planes=2).pairs == listed
    (root / "nyu_test.txt").write_text("a b 1\nonly-one\n")
    with pytest.raises(ValueError, match=r"nyu_test\.txt: line 2 must be"):
        NyuBts(root, planes=2)


def test_the_official_split_of_nyu():
    test = nyu_mat.test_indices(nyu_mat.Path("nyu_depth_v2_labeled.mat"))
    assert len(test) == len(set(test)) == 654 and max(test) == 1448
    assert test[:6] == [0, 1, 8, 13, 14, 15]  # 1, 2, 9, 14, 15, 16 in MATLAB's count


def test_the_official_split_is_that_of_the_small_form(shared_data):
    record = json.loads((shared_data / "nyu_v2_labelled" / "splits.json").read_text())
    assert nyu_mat.test_indices(nyu_mat.Path("nyu_depth_v2_labeled.mat")) == record["test"]


def test_fod500(benchmark_data):
    folder = benchmark_data("fod500")
    data = Fod500(folder)
    assert data.names == ["000400", "000401"] and Fod500(folder / "fs_6", "train").names == ["000000", "000001"]
    sample = data[1]
    with OpenEXR.File(str(folder / "fs_6" / "000401Dpt.exr"), separate_channels=True) as file:
        depth = file.channels()["R"].pixels
    assert depth.dtype == np.float16 and depth.max() > 1.5
    np.testing.assert_array_equal(sample.truth, depth.astype(np.float32))
    assert sample.mask.all() and sample.stack.size == (256, 256)
    np.testing.assert_array_equal(sample.stack.focus_distances, [0.1, 0.15, 0.3, 0.7, 1.5])
    third = np.array(Image.open(folder / "fs_6" / "000401_03All.tif"))
    np.testing.assert_array_equal(sample.stack[2], third)
    # the renderer and the truth agree: the sharpest plane is one of the two around the true depth
    nearest = np.argmin(np.abs(1 / sample.truth[..., None] - 1 / sample.stack.focus_distances), axis=2)
    assert (np.abs(sharpest(sample.stack) - nearest) <= 1).mean() > 0.9


def test_ddff12_planes():
    exact, rounded = plane_disparities(False), plane_disparities(True)
    assert plane_selection(5).tolist() == [0, 2, 4, 6, 9] and plane_selection(10).tolist() == list(range(10))
    np.testing.assert_allclose(rounded[plane_selection(5)], [0.28, 0.2222, 0.1644, 0.1067, 0.02], atol=5e-5)
    depths = [0.500, 0.558, 0.630, 0.724, 0.851, 1.033, 1.313, 1.800, 2.864, 7.000]
    np.testing.assert_allclose(BF / exact, depths, atol=6e-4)
    with pytest.raises(ValueError, match="take from 2 to 10, not 11"):
        plane_selection(11)


@pytest.mark.parametrize("name", ["ddff12", "ddff12-official"])
def test_ddff12(benchmark_data, name):
    folder = benchmark_data(name)
    (path,) = folder.glob("*.h5")
    sample = Ddff12(folder, planes=5)[1]
    with h5py.File(path) as file:
        stack, disparity = file["stack_val"][1], file["disp_val"][1]
    for n, plane in enumerate([0, 2, 4, 6, 9]):
        np.testing.assert_array_equal(sample.stack[n], stack[plane])
    assert sample.stack.dtype == np.uint8 and sample.stack.result_unit == "m"
    np.testing.assert_array_equal(sample.mask, disparity > 0)
    assert 0 < sample.mask.mean() < 1
    np.testing.assert_allclose(BF / sample.truth[sample.mask], disparity[sample.mask], rtol=1e-6)
    np.testing.assert_allclose(sample.stack.focus_distances * BF, [0.28, 0.2222, 0.1644, 0.1067, 0.02], atol=5e-5)
    exact = Ddff12(folder, planes=10, rounded=False)[1]
    np.testing.assert_allclose(exact.stack.focus_distances[[0, -1]], [2, 1 / 7], rtol=1e-6)
    assert (sample.all_in_focus is not None) == (name == "ddff12")


def test_ddff12_reads_fractions_too(benchmark_data, tmp_path):
    stack = np.full((1, 10, 8, 9, 3), 12.5, np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["stack_val"], file["disp_val"] = stack, np.full((1, 8, 9), 0.1)
    sample = Ddff12(tmp_path / "a.h5")[0]
    np.testing.assert_allclose(sample.stack[0], 12.5 / 255, rtol=1e-6)


def test_an_hdf5_file_is_not_carried_into_another_process(benchmark_data):
    data = Ddff12(benchmark_data("ddff12"))
    first = data[0].truth
    assert data.file._handle is not None
    copy = pickle.loads(pickle.dumps(data))
    assert copy.file._handle is None
    np.testing.assert_array_equal(copy[0].truth, first)


def test_worker_processes_read_an_hdf5_file_that_is_open_already(benchmark_data):
    from torch.utils.data import DataLoader

    data = Ddff12(benchmark_data("ddff12-official"), "train")
    expected = [data[index].truth for index in range(2)]
    order = [0, 1] * 4
    loader = DataLoader(_Truths(data), sampler=order, batch_size=None, num_workers=2)
    for index, truth in zip(order, loader, strict=True):
        np.testing.assert_array_equal(truth, expected[index])


class _Truths:
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.data[index].truth


def test_arkitscenes(benchmark_data):
    folder = benchmark_data("arkitscenes")
    data = ArkitScenes(folder)
    assert data.names == ["40000001/40000001_101.250", "40000002/40000002_7.038"]
    sample = data[0]
    level = np.array(Image.open(folder / "Validation" / "40000001" / "highres_depth" / "40000001_101.250.png"))
    assert level.shape == (1440, 1920) and sample.stack.size == (480, 640)
    # antialiased bilinear to a third: the middle of a 5-pixel triangle 1 2 3 2 1
    triangle = np.array([1, 2, 3, 2, 1]) / 9
    window = level[3 * 100 - 1 : 3 * 100 + 4, 3 * 50 - 1 : 3 * 50 + 4] / 1000
    assert sample.truth[100, 50] == pytest.approx(triangle @ window @ triangle, rel=1e-5)
    assert np.array_equal(sample.mask, sample.truth != 0) and not sample.mask.all()
    smallest = level[level > 0].min() / 1000
    assert sample.truth[sample.mask].min() < 0.7 * smallest  # blended with holes, as the peers have it
    assert len(sample.stack) == 5 and sample.stack.focus_distances[-1] == pytest.approx(sample.truth.max())
    (folder / "Validation" / "Validation.txt").rename(folder / "listed.txt")
    try:
        assert ArkitScenes(folder / "Validation").names == data.names
    finally:
        (folder / "listed.txt").rename(folder / "Validation" / "Validation.txt")


def test_stack_folders_fixture(benchmark_data):
    data = StackFolders(benchmark_data("stacks"))
    assert data.names == ["dioptres", "metres"]
    for sample in (data[0], data[1]):
        assert sample.stack.result_unit == "m" and 0.39 < sample.truth[sample.mask].min() < sample.truth.max() < 2.01


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("nyu-bts", lambda root: shutil.rmtree(root / "official_splits"), "no folder official_splits/test or test"),
        ("nyu-bts", lambda root: next(root.rglob("sync_depth_00001.png")).unlink(), "sync_depth_00001.png: missing"),
        ("nyu-mat", lambda root: cut(root / "nyu_depth_v2_labeled.mat"), "not a whole HDF5 file"),
        ("fod500", lambda root: (root / "fs_6" / "000401_02All.tif").unlink(), "sample 000401 has 4 of 5 All.tif"),
        ("fod500", lambda root: cut(root / "fs_6" / "000401Dpt.exr"), "000401Dpt.exr: cannot be read as an EXR"),
        ("ddff12-official", lambda root: cut(root / "ddff-dataset-trainval.h5"), "not a whole HDF5 file"),
        ("ddff12-official", lambda root: forget(root / "ddff-dataset-trainval.h5", "disp_val"), "no key disp_val"),
        ("arkitscenes", lambda root: shutil.rmtree(root / "Validation" / "40000002" / "wide"), "7.038.png: missing"),
        ("stacks", lambda root: (root / "metres" / "3.png").write_bytes(b"no"), "3.png: not an image that can be read"),
    ],
)
def test_a_damaged_download_is_named(check_damaged, name, damage, message):
    assert message in check_damaged(name, damage, known_as=name.partition("-")[0])


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def forget(path, key):
    with h5py.File(path, "r+") as file:
        del file[key]


def test_check_data_counts(benchmark_data, capsys, monkeypatch):
    folder = benchmark_data("fod500")
    assert cli.main(["check-data", "fod500", str(folder)]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: train: 2 samples, not 400\nerror: test: 2 samples, not 100\n"
    assert captured.out == "train: 2 samples\ntest: 2 samples\n"
    monkeypatch.setitem(checks.ddff12.COUNTS, "dfv", {"train": 2, "val": 2})
    assert cli.main(["check-data", "ddff12", str(benchmark_data("ddff12"))]) == 0
    assert capsys.readouterr().out.endswith("ddff12 is complete\n")
    assert cli.main(["check-data", "stacks", str(benchmark_data("stacks"))]) == 0


def test_check_data_lists_at_most_twenty_problems(benchmark_data, tmp_path):
    root = tmp_path / "bts"
    shutil.copytree(benchmark_data("nyu-bts"), root)
    (root / "nyu_test.txt").write_text("".join(f"a/rgb_{n:05d}.jpg a/d_{n}.png 518.9\n" for n in range(30)))
    _, problems = checks.check_data("nyu", root)
    assert len(problems) == 20 and problems[-1] == "and more; only the first 19 problems are listed"


def test_check_data_on_the_labelled_set(shared_data, capsys):
    assert cli.main(["check-data", "nyu", str(shared_data / "nyu_v2_labelled")]) == 0
    assert capsys.readouterr().out == "train: 795 samples\ntest: 654 samples\nnyu is complete\n"


@pytest.mark.parametrize("name", ["nyu", "fod500", "ddff12", "arkitscenes", "stacks"])
def test_a_wrong_path_is_one_line(name, tmp_path, capsys):
    assert cli.main(["check-data", name, str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "nowhere" in error


def test_a_fixture_is_written_whole_and_twice_the_same(tmp_path):
    for name in ("a", "b"):
        write_fixture("nyu-labelled", tmp_path / name)
    first, second = (sorted(p for p in (tmp_path / n).rglob("*") if p.is_file()) for n in "ab")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    with pytest.raises(ValueError, match="is there already"):
        write_fixture("stacks", tmp_path / "a")
    with pytest.raises(ValueError, match="use one of nyu-labelled"):
        write_fixture("nyu", tmp_path / "c")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_render_fixture_on_the_command_line(tmp_path):
    command = [sys.executable, "-m", "dualfocus", "render", "fixture"]
    done = subprocess.run([*command, "stacks", "-o", str(tmp_path / "s")], capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "s" / "metres" / "stack.json").is_file()
    assert set(FIXTURES) >= {"nyu-bts", "fod500", "ddff12", "arkitscenes"}
    assert cli.main(["render", "procedural", "fod500", "-o", str(tmp_path / "t")]) == 2
