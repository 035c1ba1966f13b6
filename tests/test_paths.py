"""Paths as people have them: links, `..`, long names, folders that cannot be read, and arguments that are empty."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from batch_folders import MODEL, make_stack
from command_runs import names
from test_bad_files import limited
from test_outputs import make_result

import dualfocus
from dualfocus.batch.stacks import find_batch
from dualfocus.benchmarks.evaluation.systems import load_models
from dualfocus.benchmarks.protocols import find_protocol
from dualfocus.cli import main
from dualfocus.commands.options import output_path
from dualfocus.outputs import check_output
from dualfocus.outputs.files import RESULT_FILES

UNMOVED = (*MODEL, "--align", "none")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of photographs, one of which is called like a file of ours."""
    make_stack(tmp_path / "lo")
    (tmp_path / "lo" / "0.png").rename(tmp_path / "lo" / "depth.png")
    return tmp_path / "lo"


def sidecar(folder: Path, **keys: object) -> Path:
    folder.mkdir()
    (folder / "stack.json").write_text(json.dumps(keys))
    return folder


@pytest.mark.parametrize("kind", ["sidecar", "folder of links", "list of links"])
def test_photographs_elsewhere_are_never_replaced(
    kind: str, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(photographs)
    if kind == "sidecar":
        images = [f"../lo/{name}" for name in sorted(before)]
        stack = [sidecar(tmp_path / "in", images=images, focus_distances=[1, 2, 3], unit="m")]
    else:
        (tmp_path / "in").mkdir()
        for n, name in enumerate(sorted(before)):
            (tmp_path / "in" / f"{n}.png").symlink_to(photographs / name)
        stack = [tmp_path / "in"] if kind == "folder of links" else sorted((tmp_path / "in").iterdir())
    assert main(["predict", *map(str, stack), "-o", str(photographs), *UNMOVED, "--overwrite"]) == 2
    said = capsys.readouterr().err
    assert "depth.png, of which the stack is made" in said and len(said.splitlines()) == 1
    assert contents(photographs) == before


@pytest.mark.parametrize(
    ("key", "name", "options"),
    [
        ("ground_truth", "depth.npy", []),
        ("ground_truth", "depth.npy", ["--unit", "mm"]),  # then the truth is not used
        ("all_in_focus", "all_in_focus.png", []),
    ],
)
def test_what_a_sidecar_names_beside_planes_is_never_replaced(
    key: str, name: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, out = make_stack(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    np.save(out / "depth.npy", np.ones((24, 32), np.float32))
    (out / "depth.npy").rename(out / name)
    before = contents(out)
    (stack / "stack.json").write_text(json.dumps({"focus_distances": [1, 2, 3], "unit": "m", key: f"../out/{name}"}))
    assert main(["predict", str(stack), "-o", str(out), *UNMOVED, "--overwrite", *options]) == 2
    assert f"{name}, of which the stack is made" in capsys.readouterr().err and contents(out) == before


def test_a_link_among_the_results_that_is_a_plane_is_never_replaced(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "valid.png").symlink_to(photographs / "1.png")
    images = ["../out/valid.png", "../lo/depth.png", "../lo/2.png"]
    stack = sidecar(tmp_path / "in", images=images, focus_distances=[1, 2, 3], unit="m")
    assert main(["predict", str(stack), "-o", str(tmp_path / "out"), *UNMOVED, "--overwrite"]) == 2
    assert names(tmp_path / "out") == {"valid.png"} and (tmp_path / "out" / "valid.png").is_symlink()
    assert main(["predict", str(stack), "-o", str(tmp_path / "other"), *UNMOVED]) == 0


def test_a_plane_behind_a_link_that_leads_nowhere_is_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = make_stack(tmp_path / "in" / "one")
    make_stack(tmp_path / "in" / "two")
    (stack / "stack.json").unlink(missing_ok=True)
    (stack / "9.png").symlink_to(tmp_path / "gone.png")
    assert main(["predict", str(stack), "-o", str(tmp_path / "out"), *UNMOVED]) == 2
    said = capsys.readouterr().err
    assert "9.png: a link to a file that is not there" in said and len(said.splitlines()) == 1
    assert main(["predict", str(tmp_path / "in"), "-o", str(tmp_path / "batch"), *UNMOVED]) == 1
    entries = json.loads((tmp_path / "batch" / "batch.json").read_text())["stacks"]
    assert entries["two"]["status"] == "done" and "9.png: a link to a file" in entries["one"]["error"]


def test_an_output_path_that_leads_through_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        make_stack(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "in/one", "-o", "new/../single/out", *UNMOVED]) == 0
    assert main(["predict", "in", "-o", "new/../several/out", *UNMOVED]) == 0
    assert main(["predict", "in", "-o", "new/../several/out", *UNMOVED, "--resume"]) == 0
    assert names(tmp_path) == {"in", "single", "several"}
    assert names(tmp_path / "single" / "out") == names(tmp_path / "several" / "out" / "two") == set(RESULT_FILES)


def test_other_outputs_leave_no_folder_that_was_only_led_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["render", "fixture", "nyu-labelled", "-o", "new/../nyu"]) == 0
    assert main(["pack", "nyu", "-o", "new/deep/../../nyu.zip"]) == 0
    assert names(tmp_path) == {"nyu", "nyu.zip"}


def test_what_is_there_is_led_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    monkeypatch.chdir(tmp_path / "a")
    for given, found in (("../new/out", "../new/out"), ("b/../out", "b/../out"), ("b/new/../out", "b/out")):
        assert output_path(given) == Path(found)
    for given, found in (("../link/../out", "../link/../out"), ("new/../../out", "../out"), ("..", ".."), (".", ".")):
        assert output_path(given) == Path(found)
    assert output_path(f"{tmp_path}/new/../out") == tmp_path / "out"


@pytest.mark.parametrize("letter", ["い", "é", "n", "𝄞"])
def test_the_longest_names_are_output_folders(letter: str, tmp_path: Path) -> None:
    out = tmp_path / (letter * (255 // len(letter.encode())))
    for _ in range(2):
        make_result(12, 16).save(out)
    assert names(out) == set(RESULT_FILES) and names(tmp_path) == {out.name}
    check_output(out)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no rights as in Unix")
@pytest.mark.parametrize("rights", [0o000, 0o111, 0o444])
def test_a_folder_that_cannot_be_read_is_left_out_of_a_batch(rights: int, tmp_path: Path) -> None:
    for name in ("a", "c", "lost+found"):
        make_stack(tmp_path / "shelf" / name)
    (tmp_path / "shelf").chmod(0o755)
    warnings: list[str] = []
    with limited(tmp_path, {"shelf/lost+found": rights}):
        assert find_batch([Path("shelf")], warnings) == [Path("shelf/a"), Path("shelf/c")]
        given = [Path("shelf/a"), Path("shelf/lost+found"), Path("shelf/lost+found/deeper")]
        assert find_batch(given) == given, "what was asked for by its name fails by itself"
        assert find_batch([Path("shelf/lost+found")]) is None
    assert warnings == ["shelf/lost+found: left out, the folder cannot be read (Permission denied)"]


@pytest.fixture
def limited_run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs the command in `tmp_path` as somebody for whom rights count: not as the administrator."""
    command = [sys.executable, "-m", "dualfocus"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("the administrator may read everything, and there is no setpriv to give that up")
        rights = "-dac_override,-dac_read_search"
        command = ["setpriv", "--bounding-set", rights, "--inh-caps", rights, *command]
    environment = {**os.environ, "PYTHONPATH": str(Path(dualfocus.__file__).parents[1])}

    def limited_run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment)

    return limited_run


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no rights as in Unix")
def test_a_folder_that_cannot_be_read_stops_no_other(
    limited_run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    for name in ("a", "c", "lost+found"):
        make_stack(tmp_path / "shelf" / name)
    closed = tmp_path / "shelf" / "lost+found"
    closed.chmod(0)
    try:
        found = limited_run("predict", "shelf", "-o", "found", *UNMOVED)
        listed = limited_run("predict", "shelf/lost+found", "shelf/a", "-o", "listed", *UNMOVED)
        measured = limited_run("evaluate", "--protocol", "stacks", "--data", "shelf/lost+found", "-o", "figures")
    finally:
        closed.chmod(0o755)
    assert found.returncode == 0 and "2 done, 0 failed" in found.stdout, found.stderr
    assert "warning: shelf/lost+found: left out, the folder cannot be read (Permission denied)" in found.stderr
    assert listed.returncode == 1 and "1 done, 1 failed" in listed.stdout, listed.stderr
    assert "the folder cannot be read" in " ".join(listed.stdout.split())
    assert measured.returncode == 2
    assert measured.stderr == "error: shelf/lost+found: the folder cannot be read (Permission denied)\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["predict", "", "-o", "out"], "stack"),
        (["predict", "in", "", "-o", "out"], "stack"),
        (["predict", "in", "-o", ""], "--out"),
        (["demo", "--out="], "--out"),
        (["evaluate", "--protocol", "stacks", "--data", "in", "-o", ""], "--out"),
        (["evaluate", "--protocol", "stacks", "--data", "", "-o", "out"], "--data"),
        (["evaluate", "--protocol", "stacks", "--data", "stacks=", "-o", "out"], "--data stacks="),
        (["submit", "-o", "out.zip", "--protocol", "zedd/f2.8-n5", "--data", ""], "--data"),
        (["train", ""], "config"),
        (["train", "config.yaml", "-o", ""], "--out"),
        (["compare", "", "-o", "out"], "config"),
        (["analyse", "-o", ""], "--out"),
        (["analyse", "-o", "out", "--data", "nyu="], "--data nyu="),
        (["render", "-o", ""], "--out"),
        (["render", "-o", "out", "--textures", ""], "--textures"),
        (["pack", "", "-o", "out.zip"], "folder"),
        (["bench", "--training", ""], "--training"),
        (["export", "-o", ""], "--out"),
        (["check-data", "stacks", ""], "path"),
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_stack(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert named in said and "is empty" in said and len(said.splitlines()) == 1 and names(tmp_path) == {"in"}


def test_a_pack_is_not_written_over_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dir.zip").mkdir()
    stack = make_stack(tmp_path / "in" / "one")
    (stack / "stack.json").write_text(json.dumps({"images": ["0.png", "1.png", "2.png"]}))
    assert main(["pack", str(tmp_path / "in"), "-o", str(tmp_path / "dir.zip")]) == 2
    assert "dir.zip: is a folder" in capsys.readouterr().err and names(tmp_path) == {"in", "dir.zip"}


def test_predictions_in_an_empty_path_are_not_those_in_the_current_folder() -> None:
    with pytest.raises(ValueError, match="files: is empty"):
        load_models(["files:"], "cpu", find_protocol("stacks"), [])


@pytest.mark.parametrize("source", ["", ["a.png", ""]])
def test_an_empty_path_is_no_folder_in_python_either(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="the path of the stack is empty"):
        dualfocus.load_stack(source)
