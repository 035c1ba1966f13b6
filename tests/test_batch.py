import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import dualfocus
from dualfocus.batch.stacks import find_batch, name_stacks
from dualfocus.cli import main
from dualfocus.outputs.files import RESULT_FILES

MODEL = ("--model", "classical")


def make_stack(folder: Path, seed: int = 0) -> Path:
    """Three small planes; where each is sharp depends on the seed."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    sharp = rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    for n in range(3):
        plane = np.array(Image.fromarray(sharp).resize((8, 6)).resize((32, 24)))
        plane[:, 10 * n : 10 * n + 12] = sharp[:, 10 * n : 10 * n + 12]
        Image.fromarray(plane).save(folder / f"{n}.png")
    return folder


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder of two good stacks and a bad one."""
    for seed, name in enumerate(("a", "c")):
        make_stack(tmp_path / "shelf" / name, seed)
    bad = make_stack(tmp_path / "shelf" / "b")
    Image.new("RGB", (5, 5)).save(bad / "1.png")
    return tmp_path / "shelf"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".dualfocus.lock"}


def read_record(out: Path) -> dict:
    return json.loads((out / "batch.json").read_text(encoding="utf-8"))


def started(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(dualfocus.__file__).parents[1])}
    command = [sys.executable, "-m", "dualfocus", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_is_a_batch(shelf: Path, tmp_path: Path) -> None:
    photos = sorted((shelf / "a").iterdir())
    assert find_batch([shelf / "a"]) is None and find_batch(photos) is None, "one stack"
    assert find_batch([photos[0], shelf / "c"]) is None, "a mixture is refused by load_stack"
    assert find_batch([tmp_path / "missing"]) is None
    assert find_batch([shelf]) == [shelf / name for name in "abc"]
    assert find_batch([shelf, shelf / "c", tmp_path / "gone"])[-2:] == [shelf / "c", tmp_path / "gone"]
    shutil.copytree(shelf / "a", shelf / "a-depth")
    (shelf / "a-depth" / "result.json").write_text('{"dualfocus": "0.1"}')
    assert find_batch([shelf]) == [shelf / name for name in "abc"], "an earlier result is no stack"
    for name, pages in (("z10.tif", 3), ("z9.tif", 3), ("one.tif", 1)):
        tifffile.imwrite(tmp_path / name, np.zeros((pages, 8, 9), np.uint8), photometric="minisblack")
    stacks = [tmp_path / "z9.tif", tmp_path / "z10.tif"]
    assert find_batch(stacks) == stacks and find_batch([*stacks, tmp_path / "one.tif"]) is None
    (tmp_path / "one.tif").write_bytes(b"II*\0\x08\0\0\0\xff\xff")
    assert find_batch([*stacks, tmp_path / "one.tif"]) is None, "a damaged file is no stack"
    (tmp_path / "one.tif").unlink()
    assert find_batch([tmp_path]) == stacks, "a folder of z-stacks"
    assert find_batch([stacks[0], shelf / "a" / "stack.json"]) is not None


def test_a_folder_of_z_stacks_and_other_stacks_is_a_batch(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    make_stack(mixed / "d")
    tifffile.imwrite(mixed / "a.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    assert find_batch([mixed]) == [mixed / "a.tif", mixed / "d"]
    shutil.make_archive(str(mixed / "c"), "zip", mixed / "d")
    tifffile.imwrite(mixed / "b.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    assert find_batch([mixed]) == [mixed / name for name in ("a.tif", "b.tif", "c.zip", "d")]
    (mixed / "notes").mkdir()
    for name in ("b.tif", "c.zip"):
        (mixed / name).unlink()
    shutil.rmtree(mixed / "d")
    assert find_batch([mixed]) is None, "one z-stack is the stack of its folder"
    make_stack(mixed / "d")
    Image.new("RGB", (5, 5)).save(mixed / "photo.png")
    assert find_batch([mixed]) is None, "photographs side by side are planes"


def test_a_linked_stack_has_the_name_of_its_link(tmp_path: Path) -> None:
    real = tmp_path / "store" / "x" / "imgs"
    make_stack(real)
    (tmp_path / "week").mkdir()
    monday = tmp_path / "week" / "monday"
    monday.symlink_to(real)
    assert name_stacks([monday], {}) == {"monday": monday}
    assert list(name_stacks([monday, real], {})) == ["monday"], "one stack counts once"
    assert list(name_stacks([monday], {"imgs": str(real)})) == ["imgs"], "an earlier run's name stays"
    assert name_stacks([monday / ".." / "imgs"], {}) == {"imgs": real}, "what the system makes of it"


def test_names_are_distinct_and_stay(tmp_path: Path) -> None:
    stacks = [tmp_path / "x" / "desk", tmp_path / "y" / "Desk", tmp_path / "cells.tif", tmp_path / "v" / "stack.json"]
    named = name_stacks([*stacks, stacks[0]], {})
    assert list(named) == ["desk", "Desk-2", "cells", "v"] and list(named.values()) == stacks
    again = name_stacks(stacks[1:], {name: str(path) for name, path in named.items()})
    assert list(again) == ["Desk-2", "cells", "v"]
    for name in ("batch.json", "depth.npy", "Result.JSON"):
        (tmp_path / name).mkdir()
        assert list(name_stacks([tmp_path / name], {})) == [f"{name}-2"]


def test_one_bad_stack_does_not_stop_the_rest(shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(shelf), "-o", str(out), *MODEL]) == 1
    said = capsys.readouterr()
    assert names(out) == {"a", "c", "batch.json"} and names(out / "a") == set(RESULT_FILES)
    assert "1.png" in said.out and "2 done, 1 failed, 0 kept" in said.out and "a: focus distances" in said.err
    alone = tmp_path / "alone"
    assert main(["predict", str(shelf / "c"), "-o", str(alone), *MODEL]) == 0
    assert (alone / "depth.npy").read_bytes() == (out / "c" / "depth.npy").read_bytes()
    stacks = read_record(out)["stacks"]
    assert [stacks[name]["status"] for name in "abc"] == ["done", "failed", "done"] and "1.png" in stacks["b"]["error"]


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


def test_an_earlier_batch_is_replaced_as_a_whole(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(["predict", str(shelf), "-o", str(out), *MODEL])
    assert main(["predict", str(shelf / "c"), str(shelf / "c"), str(shelf / "a"), "-o", str(out), *MODEL]) == 0
    assert names(out) == {"a", "c", "batch.json"} and set(read_record(out)["stacks"]) == {"a", "c"}
    assert main(["predict", str(shelf / "c"), "-o", str(out), *MODEL]) == 2, "a batch is not a result of one stack"
    (out / "c" / "notes.txt").write_text("mine")
    assert main(["predict", str(shelf), "-o", str(out), *MODEL]) == 2
    assert names(out / "c") == {*RESULT_FILES, "notes.txt"} and names(out / "a") == set(RESULT_FILES)
    assert main(["predict", str(shelf), "-o", str(out), *MODEL, "--overwrite"]) == 1
    assert (out / "c" / "notes.txt").read_text() == "mine" and names(out / "c") == {*RESULT_FILES, "notes.txt"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "nonsense"], "nonsense"),
        (["--engine", "cloud"], "cloud"),
        (["--workers", "2"], "--engine ray"),
    ],
)
def test_what_is_wrong_for_every_stack_is_refused_at_once(
    options: list[str], words: str, shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(shelf), "-o", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1 and names(tmp_path) == {"shelf"}


@pytest.fixture
def finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, Path, dict[Path, int]]:
    """Two stacks, the folder of their finished batch, and its files with their times."""
    for seed, name in enumerate("ab"):
        make_stack(tmp_path / "two" / name, seed)
    assert main(["predict", str(tmp_path / "two"), "-o", str(tmp_path / "out"), *MODEL]) == 0
    capsys.readouterr()
    return tmp_path / "two", tmp_path / "out", times(tmp_path / "out")


def times(folder: Path) -> dict[Path, int]:
    """When the files of a batch were written; the lock is not one of its files."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--also", "gbl"], "unknown output 'gbl'"),
        (["--also", "glb"], "leave the point cloud and mesh out"),
        (["--align", "hommography"], "'hommography'"),
        (["--order", "sideways"], "'sideways'"),
        (["--fov", "190"], "190"),
        (["--unit", "yard"], "'yard'"),
        (["--unit", "mm"], "needs focus distances"),
        (["--focus", "1,x,2"], "'x'"),
        (["--focus", "0.5"], "two planes or more"),
        (["--focus", "0.5,0.5,1"], "same focus distance"),
        (["--focus", "0.5,1"], "2 focus distances for 3 images"),
        (["--focus", "0.5,1,2", "--unit", "index"], "index"),
        (["--z-step", "0"], "z step"),
        (["--pixel-size", "-1"], "pixel size"),
        (["--calibrate", "99,3=1 2,3=2"], "outside the image"),
        (["--engine", "ray", "--device", "tpu"], "'tpu'"),
    ],
)
def test_a_batch_that_cannot_start_leaves_the_earlier_one(
    options: list[str],
    words: str,
    finished: tuple[Path, Path, dict[Path, int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shelf, out, before = finished
    assert main(["predict", str(shelf), "-o", str(out), *MODEL, *options]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1
    assert times(out) == before


def test_without_ray_the_earlier_batch_stays(
    finished: tuple[Path, Path, dict[Path, int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shelf, out, before = finished
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    # the GPU is the workers', so that this machine lacks one is not what stops it
    for options in ([], ["--device", "cuda"]):
        assert main(["predict", str(shelf), "-o", str(out), *MODEL, "--engine", "ray", *options]) == 2
        said = capsys.readouterr().err
        assert "needs ray, which is not installed" in said and len(said.splitlines()) == 1
        assert times(out) == before


def test_one_good_stack_is_enough_to_begin(shelf: Path, tmp_path: Path) -> None:
    Image.new("RGB", (5, 5)).save(shelf / "a" / "1.png")
    assert main(["predict", str(shelf), "-o", str(tmp_path / "out"), *MODEL]) == 1
    assert [entry["status"] for entry in read_record(tmp_path / "out")["stacks"].values()] == ["failed"] * 2 + ["done"]


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


def test_one_stack_does_not_go_among_the_results_of_several(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    main(["predict", str(shelf), "-o", str(out), *MODEL])
    capsys.readouterr()
    assert main(["predict", str(shelf / "a"), "-o", str(out), *MODEL]) == 2
    assert "holds the results of several stacks" in capsys.readouterr().err
    assert names(out) == {"a", "c", "batch.json"}


def test_results_never_go_among_the_stacks(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out in (shelf, shelf / "a"):
        for overwrite in ([], ["--overwrite"]):
            assert main(["predict", str(shelf), "-o", str(out), *MODEL, *overwrite]) == 2
            said = capsys.readouterr().err
            assert f"{out} is the folder of the stacks" in said and len(said.splitlines()) == 1
    assert {path.name for path in shelf.iterdir()} == {"a", "b", "c"}, "not even a lock"
    assert {path.name for path in (shelf / "a").iterdir()} == {"0.png", "1.png", "2.png"}


def test_a_stack_called_like_a_result_leaves_the_way_free(tmp_path: Path) -> None:
    for name in ("depth.npy", "result.json"):
        make_stack(tmp_path / "in" / name)
    command = ["predict", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *MODEL]
    for options in ([], ["--resume"], []):
        assert main([*command, *options]) == 0
    assert names(tmp_path / "out") == {"depth.npy-2", "result.json-2", "batch.json"}


def test_the_table_shows_long_names_to_their_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = "the_garden_behind_the_house_and_the_street_in_the_evening_of_"
    for day in ("monday", "tuesday"):
        make_stack(tmp_path / "in" / f"{start}{day}")
    assert main(["predict", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *MODEL]) == 0
    table = capsys.readouterr().out.splitlines()[:-1]
    shown = "".join(line.partition(" ")[0] for line in table)  # the first column, which has no spaces in it
    assert f"{start}monday" in shown and f"{start}tuesday" in shown


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


@pytest.mark.parametrize("option", [["--resume"], ["--engine", "ray"], ["--cluster", "host:1"], ["--workers", "2"]])
def test_options_of_batches_are_refused_for_one_stack(option, tmp_path, capsys):
    assert main(["predict", str(make_stack(tmp_path / "one")), "-o", str(tmp_path / "out"), *option]) == 2
    assert f"{option[0]} is for several stacks, and this is one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
