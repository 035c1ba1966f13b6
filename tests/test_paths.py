"""Paths as people have them: links, `..`, long names, folders that cannot be read, and arguments that are empty."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_batch import MODEL, make_stack, names
from test_outputs import make_result

from dualfocus.cli import main
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


def test_an_output_path_that_leads_through_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        make_stack(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "in/one", "-o", "new/../single/out", *UNMOVED]) == 0
    assert main(["predict", "in", "-o", "new/../several/out", *UNMOVED]) == 0
    assert main(["predict", "in", "-o", "new/../several/out", *UNMOVED, "--resume"]) == 0
    assert names(tmp_path) == {"in", "single", "several"}
    assert names(tmp_path / "single" / "out") == names(tmp_path / "several" / "out" / "two") == set(RESULT_FILES)


@pytest.mark.parametrize("letter", ["い", "é", "n", "𝄞"])
def test_the_longest_names_are_output_folders(letter: str, tmp_path: Path) -> None:
    out = tmp_path / (letter * (255 // len(letter.encode())))
    for _ in range(2):
        make_result(12, 16).save(out)
    assert names(out) == set(RESULT_FILES) and names(tmp_path) == {out.name}
    check_output(out)
