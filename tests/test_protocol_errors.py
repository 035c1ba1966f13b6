"""One line for data and predictions that a protocol cannot use."""

import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from known_predictions import fod_truths, predictions

from dualfocus import cli


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
