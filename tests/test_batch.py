"""Batches from start to end: their results, what replaces them, and what is refused before anything is."""

import sys
from pathlib import Path

import pytest
from batch_folders import MODEL, make_shelf, make_stack, read_record
from command_runs import names
from PIL import Image

from dualfocus.cli import main
from dualfocus.outputs.files import RESULT_FILES


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return make_shelf(tmp_path / "shelf")


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


@pytest.mark.parametrize("option", [["--resume"], ["--engine", "ray"], ["--cluster", "host:1"], ["--workers", "2"]])
def test_options_of_batches_are_refused_for_one_stack(option, tmp_path, capsys):
    assert main(["predict", str(make_stack(tmp_path / "one")), "-o", str(tmp_path / "out"), *option]) == 2
    assert f"{option[0]} is for several stacks, and this is one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
