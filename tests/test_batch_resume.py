"""Batches that are gone on with: resumed, interrupted, killed, or of an earlier version."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest
from batch_folders import MODEL, make_shelf, make_stack, read_record
from command_runs import names, started

from dualfocus.cli import main
from dualfocus.outputs.files import RESULT_FILES


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return make_shelf(tmp_path / "shelf")


def test_resume_skips_what_is_finished(shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    main(["predict", str(shelf), "-o", str(out), *MODEL])
    before = (out / "a" / "result.json").stat().st_mtime_ns
    (out / ".c.0123abcd.tmp").mkdir()  # what a killed run leaves
    for photo in (shelf / "b").iterdir():
        photo.unlink()
    make_stack(shelf / "b" / "new")
    (shelf / "b" / "new").rename(tmp_path / "new")
    for photo in (tmp_path / "new").iterdir():
        photo.rename(shelf / "b" / photo.name)
    capsys.readouterr()
    assert main(["predict", str(shelf), "-o", str(out), "--resume", *MODEL]) == 0
    assert "1 done, 0 failed, 2 kept" in capsys.readouterr().out
    assert names(out) == {"a", "b", "c", "batch.json"}
    assert (out / "a" / "result.json").stat().st_mtime_ns == before
    assert main(["predict", str(shelf), "-o", str(out), "--resume", *MODEL, "--also", "tiff"]) == 2
    said = capsys.readouterr().err
    assert "also" in said and len(said.splitlines()) == 1


def test_resume_takes_a_record_without_a_setting_that_is_not_set(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(["predict", str(shelf), "-o", str(out), *MODEL])
    record = read_record(out)
    assert record["settings"].pop("fov", 0) is None  # as an earlier version, which did not know it, left it
    (out / "batch.json").write_text(json.dumps(record))
    before = (out / "a" / "result.json").stat().st_mtime_ns
    assert main(["predict", str(shelf), "-o", str(out), *MODEL, "--resume"]) == 1, "the bad stack is tried again"
    assert (out / "a" / "result.json").stat().st_mtime_ns == before


def test_a_damaged_record_is_no_reason_to_lose_results(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    main(["predict", str(shelf), "-o", str(out), *MODEL])
    record = read_record(out)
    del record["stacks"]["a"]["source"]
    (out / "batch.json").write_text(json.dumps(record))
    before = (out / "a" / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["predict", str(shelf), "-o", str(out), *MODEL, "--resume"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "not an earlier result" in said and "--overwrite" in said
    assert (out / "a" / "result.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (["--focus", "1,2,3"], [], "had --focus 1,2,3:"),
        ([], ["--focus", "1,2,3"], "had no --focus:"),
        (["--focus", "1,2,3", "--unit", "mm"], ["--focus", "1,2,3"], "had --unit mm:"),
        ([], ["--channel", "1"], "had no --channel:"),
        (["--pixel-size", "0.5"], [], "had --pixel-size 0.5:"),
        (["--also", "html"], [], "had another --also:"),
        ([], ["--calibrate", "9,9=1 20,9=2"], "had no --calibrate:"),
        (["--calibrate", "9,9=1 20,9=2"], ["--calibrate", "9,9=1 20,9=3"], "had another --calibrate:"),
    ],
)
def test_resume_names_the_option_that_differs(
    before: list[str], now: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stack(tmp_path / "in" / "a")
    command = ["predict", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *MODEL]
    main([*command, *before])  # whether it can be calibrated there or not, its record is kept
    capsys.readouterr()
    assert main([*command, *now, "--resume"]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1


def test_batches_of_earlier_versions_are_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_stack(tmp_path / "in" / "a")
    command = ["predict", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *MODEL]
    record = tmp_path / "out" / "batch.json"
    for options, unit in (["--focus", "1,2,3", "--unit", "mm"], "mm"), (["--calibrate", "9,9=1 20,9=2"], "index"):
        main([*command, *options])
        content = json.loads(record.read_text())
        reading = content["settings"].pop("reading")
        content["settings"]["load"] = {**reading, "unit": unit}  # as it was called, and what a calibration made of it
        record.write_text(json.dumps(content))
        assert main([*command, *options, "--resume"]) != 2, capsys.readouterr().err
        record.write_text(json.dumps(content))
        capsys.readouterr()
        assert main([*command, "--resume"]) == 2
        assert f"had {options[0]}" in capsys.readouterr().err.replace("another ", "")


def test_resume_is_for_a_batch(shelf: Path, tmp_path: Path) -> None:
    assert main(["predict", str(shelf / "a"), "-o", str(tmp_path / "out"), "--resume", *MODEL]) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C goes to a whole console there")
def test_an_interrupted_batch_says_so_and_goes_on(tmp_path: Path) -> None:
    for seed in range(12):
        make_stack(tmp_path / "shelf" / f"{seed}", seed)
    out = tmp_path / "out"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child inherits that it is ignored
    try:
        process = started("predict", tmp_path / "shelf", "-o", out, *MODEL)
    finally:
        signal.signal(signal.SIGINT, before)
    with process as first:
        while not (out / "0").exists() and first.poll() is None:
            time.sleep(0.005)
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=60)
    assert first.returncode == 130 and said.splitlines()[-1] == "error: interrupted" and "Traceback" not in said
    assert main(["predict", str(tmp_path / "shelf"), "-o", str(out), "--resume", *MODEL]) == 0
    assert names(out) == {*(str(seed) for seed in range(12)), "batch.json"}


def test_two_runs_never_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(12):
        make_stack(tmp_path / "shelf" / f"{seed}", seed)
    out = tmp_path / "out"
    with started("predict", tmp_path / "shelf", "-o", out, *MODEL) as first:
        while not (out / "batch.json").exists() and first.poll() is None:
            time.sleep(0.005)
        assert main(["predict", str(tmp_path / "shelf"), "-o", str(out), *MODEL]) == 2
        said = capsys.readouterr().err
        assert "another run is writing there" in said and len(said.splitlines()) == 1
        first.kill()
    assert 0 < len(names(out)) < 13
    assert main(["predict", str(tmp_path / "shelf"), "-o", str(out), "--resume", *MODEL]) == 0, "its lock died with it"
    assert names(out) == {*(str(seed) for seed in range(12)), "batch.json"}
    assert all(names(out / str(seed)) == set(RESULT_FILES) for seed in range(12))
