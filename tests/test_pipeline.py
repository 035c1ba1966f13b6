"""The whole way from files to a result in Python, which the commands and the page take, too."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from batch_folders import make_stack
from command_runs import names
from PIL import Image
from test_ordering import sweep

from dualfocus import load_model
from dualfocus.cli import main
from dualfocus.commands.console import as_option
from dualfocus.outputs.files import RESULT_FILES
from dualfocus.pipeline import Settings, predict, predict_to_folder
from dualfocus.readers import Reading
from dualfocus.remedies import phrased

CALIBRATED = {"points": ((40.0, 100.0, 0.5), (280.0, 100.0, 2.0))}


@pytest.fixture
def shuffled(tmp_path: Path) -> Path:
    """Five photographs without distances, not in the order of focus."""
    (tmp_path / "in").mkdir()
    for n, plane in zip((3, 0, 4, 1, 2), sweep(5), strict=True):
        Image.fromarray(plane).save(tmp_path / "in" / f"{n}.png")
    return tmp_path / "in"


def assert_same_files(ours: Path, theirs: Path) -> None:
    """Byte for byte, and records that differ in their times alone."""
    assert names(ours) == names(theirs) >= set(RESULT_FILES)
    for name in names(ours) - {"result.json"}:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    records = [json.loads((folder / "result.json").read_text()) for folder in (ours, theirs)]
    assert [record.pop("timings") for record in records] and records[0] == records[1]


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ([], {}),
        (["--order", "auto", "--align", "translation"], {"order": "auto", "align": "translation"}),
        (["--focus", "1,2,3,4,5", "--unit", "mm"], {"reading": Reading([1, 2, 3, 4, 5], "mm")}),
        (["--order", "auto", "--calibrate", "40,100=0.5 280,100=2"], {"order": "auto", **CALIBRATED}),
    ],
)
def test_predict_gives_what_the_command_writes(
    options: list[str], settings: dict, shuffled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(shuffled), "-o", str(tmp_path / "theirs"), "--model", "classical", *options]
    assert main(command) == 0
    said = capsys.readouterr().err.splitlines()
    with phrased(as_option):
        result = predict(str(shuffled), Settings("classical", **settings))
    result.save(tmp_path / "ours")
    assert_same_files(tmp_path / "ours", tmp_path / "theirs")
    assert [f"warning: {' '.join(text.split())}" for text in result.warnings] == said


def test_the_defaults_are_those_of_the_command(tmp_path: Path) -> None:
    photographs = sorted(make_stack(tmp_path / "in").iterdir())
    assert main(["predict", *map(str, photographs), "-o", str(tmp_path / "theirs")]) == 0
    with phrased(as_option):
        predict([str(path) for path in photographs]).save(tmp_path / "ours")
    assert_same_files(tmp_path / "ours", tmp_path / "theirs")


def test_further_files_are_written_to_a_folder(shuffled: Path, tmp_path: Path) -> None:
    command = ["predict", str(shuffled), "-o", str(tmp_path / "theirs"), "--model", "classical", "--also", "html,tiff"]
    assert main(command) == 0
    reads = []
    predict_to_folder(
        *(str(shuffled), str(tmp_path / "ours"), Settings("classical", also=("html", "tiff"))),
        model=load_model("classical"),
        progress=lambda *read: reads.append(read),
    )
    assert reads[-1][0] == reads[-1][1] == len(reads)
    assert names(tmp_path / "ours") == names(tmp_path / "theirs") == {*RESULT_FILES, "report.html", "depth.tiff"}
    np.testing.assert_array_equal(*(np.load(tmp_path / folder / "depth.npy") for folder in ("ours", "theirs")))


def test_what_can_be_refused_is_before_anything_is_computed(shuffled: Path, tmp_path: Path) -> None:
    class Model:
        def predict(self, stack: object, progress: object = None) -> None:
            raise AssertionError("it was computed")

    for settings, words in (
        (Settings(align="rigid"), "'rigid'"),
        (Settings(order="up"), "'up'"),
        (Settings(reading=Reading([1, 2])), "2 focus distances for 5 images"),
        (Settings(points=((400, 1, 1), (2, 1, 2))), "400,1 is outside"),
        (Settings(reading=Reading([1, 2, 3, 4, 5]), points=((4, 1, 1), (2, 1, 2))), "index"),
    ):
        with pytest.raises(ValueError, match=words):
            predict(shuffled, settings, Model())
    with pytest.raises(ValueError, match="is the folder of the photographs"):
        predict_to_folder(shuffled, shuffled, model=Model())
    with pytest.raises(ValueError, match="holds files that are not an earlier result"):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").write_text("mine")
        predict_to_folder(shuffled, tmp_path / "out", model=Model())


def test_the_library_knows_no_command_line_and_imports_no_torch() -> None:
    code = (
        "import sys, dualfocus.pipeline, dualfocus.app.jobs, dualfocus.batch.folder, dualfocus.batch.ray_engine\n"
        "sys.exit(' '.join({'typer', 'rich', 'torch', 'dualfocus.commands'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
