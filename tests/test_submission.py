"""Uploads for hidden test sets: what is written, and what is said of files that a server would refuse."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from dualfocus import cli
from dualfocus.datasets.uploads import UPLOADS


def fill_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def whole(name):
    upload = UPLOADS[name]
    members = dict.fromkeys((f"{sample}.npy" for sample in upload.names), npy(np.ones(upload.size, np.float32)))
    times = "".join(f"{sample} 0.25\n" for sample in upload.names)
    return members | ({"runtime.txt": times} if upload.runtime else {})


def refused(capsys, *arguments):
    assert cli.main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and all(line.startswith("error: ") for line in error.splitlines())
    return error


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("zedd", "zedd_output_0001.npy", "zedd_output_0050.npy"),
        ("ddff12", "lockeroom/DISP_0001.npy", "magistrale/DISP_0020.npy"),
    ],
)
def test_a_whole_upload_passes_and_a_spoilt_one_does_not(tmp_path, capsys, name, first, last):
    members, size = whole(name), UPLOADS[name].size
    assert first in members and last in members
    assert cli.main(["check-data", f"{name}-upload", str(fill_zip(tmp_path / "whole.zip", members))]) == 0
    hole = np.ones(size, np.float32)
    hole[3, 4] = np.nan
    spoilt = {k: v for k, v in members.items() if k != first} | {"outputs/": "", f"outputs/{first}": members[first]}
    spoilt |= {last: npy(hole)}
    error = refused(capsys, "check-data", f"{name}-upload", fill_zip(tmp_path / "spoilt.zip", spoilt))
    assert f"1 members are missing, first {first}" in error and f"not wanted, first outputs/{first}" in error
    assert f"{last} has 1 values that are not finite" in error and error.count("\n") == 3


def test_each_fault_of_a_map_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(UPLOADS, "ddff12", replace(UPLOADS["ddff12"], names=tuple("abcd")))
    maps = {
        "a.npy": npy(np.ones((1, 383, 552), np.float32)),
        "b.npy": npy(np.ones((383, 552), np.int16)),
        "c.npy": npy(np.array([{}], object)),
        "d.npy": b"not numpy",
        "runtime.txt": "a 0.1\nb fast\nc 1e-3\n",
    }
    error = refused(capsys, "check-data", "ddff12-upload", fill_zip(tmp_path / "maps.zip", maps))
    lines = error.splitlines()
    assert len(lines) == 5 and "a.npy is (1, 383, 552) float32" in lines[0] and "b.npy is (383, 552) int16" in lines[1]
    assert "c.npy cannot be read" in lines[2] and "d.npy cannot be read" in lines[3]
    assert "no line `NAME SECONDS` for 2 maps, first b" in lines[4]
    (tmp_path / "text.zip").write_text("not a zip")
    assert "text.zip: cannot be read as a ZIP" in refused(capsys, "check-data", "zedd-upload", tmp_path / "text.zip")
    assert "cannot be read as a ZIP" in refused(capsys, "check-data", "zedd-upload", tmp_path / "nowhere.zip")


@pytest.fixture
def two_maps(monkeypatch):
    """The servers as if their sets had the two samples of the fixtures."""
    for name, upload in list(UPLOADS.items()):
        monkeypatch.setitem(UPLOADS, name, replace(upload, names=upload.names[:2]))


@pytest.mark.usefixtures("two_maps")
def test_predictions_from_files_become_an_upload(benchmark_data, tmp_path):
    folder, out = tmp_path / "fossa", tmp_path / "out" / "zedd.zip"
    folder.mkdir()
    depth = np.random.default_rng(0).uniform(0.5, 9, (1216, 1824)).astype(np.float32)
    depth[0, :3] = np.nan, np.inf, 0
    for number in (1, 2):
        np.save(folder / f"zedd_output_{number:04d}.npy", number * depth)
    words = ["submit", f"files:{folder}", "--protocol", "zedd/f2.8-n5", "--data", str(benchmark_data("zedd"))]
    assert cli.main([*words, "-o", str(out)]) == 0 and not list(out.parent.glob(".*.tmp"))
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["zedd_output_0001.npy", "zedd_output_0002.npy"]
        written = np.load(io.BytesIO(archive.read("zedd_output_0002.npy")))
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written[1:], 2 * depth[1:])
    np.testing.assert_allclose(written[0, :3], 8.1, rtol=1e-6)  # the farthest plane, for what is missing
    assert cli.main(["check-data", "zedd-upload", str(out)]) == 0


@pytest.mark.usefixtures("two_maps")
def test_a_model_writes_disparity_and_times(benchmark_data, tmp_path):
    out = tmp_path / "ddff12.zip"
    data = benchmark_data("ddff12-test") / "ddff-dataset-test.h5"
    assert cli.main(["submit", "classical", "--protocol", "ddff12/dfv-n5", "--data", str(data), "-o", str(out)]) == 0
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist()[-1] == "runtime.txt"
        disparity = np.load(io.BytesIO(archive.read("lockeroom/DISP_0001.npy")))
        assert archive.read("runtime.txt").decode().startswith("lockeroom/DISP_0001 ")
    assert disparity.shape == (383, 552) and 0.019 < disparity.min() < disparity.max() < 0.29
    assert cli.main(["check-data", "ddff12-upload", str(out)]) == 0


def test_what_cannot_be_submitted_is_one_line(benchmark_data, tmp_path, capsys):
    def error(protocol, data, out="x.zip"):
        words = ["submit", "classical", "--protocol", protocol, "--data", data, "-o", tmp_path / out]
        text = refused(capsys, *words)
        assert text.count("\n") == 1 and not list(tmp_path.iterdir())
        return text

    assert "no hidden test set: use one of ddff12/dfv-n5, ddff12/dfv-n10, zedd/f2.8-n5" in error("nyu/fixed-n5", "x")
    assert "2 of the 50 test stacks" in error("zedd/f2.8-n5", benchmark_data("zedd"))
    assert "2 of the 120 test stacks" in error("ddff12/dfv-n10", benchmark_data("ddff12-test"))
    assert "an upload is a .zip file" in error("zedd/f2.8-n5", benchmark_data("zedd"), "x.npy")
    assert "no ddff-dataset-test.h5 in it" in error("ddff12/dfv-n5", benchmark_data("zedd"))
    (tmp_path / "x.zip").mkdir()
    words = ["submit", "classical", "--protocol", "zedd/f2.8-n5", "--data", benchmark_data("zedd")]
    assert "x.zip: is a folder; choose another name" in refused(capsys, *words, "-o", tmp_path / "x.zip")
