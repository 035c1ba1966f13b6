"""Messages name an option in the words of who reads them: of Python, of the command line, of the page."""

import ast
import json
import re
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import tifffile
from PIL import Image

import dualfocus
from dualfocus import FocalStack, align
from dualfocus.batch import ray_engine
from dualfocus.cli import main
from dualfocus.commands.console import as_option
from dualfocus.outputs.projection import check_projection
from dualfocus.pipeline import Settings, predict, predict_to_folder
from dualfocus.readers import load_stack
from dualfocus.remedies import Remedy, current_phrasing, phrased

CLASSICAL = Settings(model="classical", align="none")
UNKNOWN = (
    "focus distances are unknown: depth is relative, the position between the planes; give one distance for each image "
)
COMMAND = (
    f"{UNKNOWN}with --focus, such as --focus 0.3,0.5,1 (metres; other units with --unit), with --z-step, in stack.json,"
    " or two known points with --calibrate",
    "which end of the stack is near cannot be told from the images; say it with --order near_to_far or far_to_near",
)
PYTHON = (
    f"{UNKNOWN}with focus=, such as focus=[0.3, 0.5, 1] (metres; other units with unit=), with z_step=, in stack.json,"
    " or two known points with dualfocus.calibration.calibrate",
    "which end of the stack is near cannot be told from the images; "
    'say it with order="near_to_far" or order="far_to_near"',
)


def written(folder: Path) -> list[str]:
    return json.loads((folder / "result.json").read_text())["warnings"]


def test_python_reads_of_arguments(tiny_stack_folder: Path, tmp_path: Path) -> None:
    assert tuple(predict(tiny_stack_folder, CLASSICAL).warnings) == PYTHON
    predict_to_folder(tiny_stack_folder, tmp_path / "out", CLASSICAL)
    assert tuple(written(tmp_path / "out")) == PYTHON


def test_the_command_line_says_its_options(
    tiny_stack_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", "classical", "--align", "none"]
    assert main(["predict", str(tiny_stack_folder), "-o", str(tmp_path / "out"), *options]) == 0
    assert capsys.readouterr().err.splitlines() == [f"warning: {text}" for text in COMMAND]
    assert tuple(written(tmp_path / "out")) == COMMAND
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    tiny_stack_folder.rename(shelf / "a")
    assert main(["predict", str(shelf), "-o", str(tmp_path / "batch"), *options]) == 0
    assert capsys.readouterr().err.splitlines() == [f"warning: a: {text}" for text in COMMAND]
    record = json.loads((tmp_path / "batch" / "batch.json").read_text())
    assert tuple(record["stacks"]["a"]["warnings"]) == COMMAND == tuple(written(tmp_path / "batch" / "a"))
    assert tuple(predict(shelf / "a", CLASSICAL).warnings) == PYTHON, "the words of the command are its own"


def test_words_go_along_to_another_process(tiny_stack_folder: Path, tmp_path: Path) -> None:
    """A thread is like a process: it begins with the words of Python."""
    found = []

    def work(phrasing):
        found.append(ray_engine.run_job_in(phrasing, tiny_stack_folder, tmp_path / "out", CLASSICAL, False))

    with phrased(as_option):
        thread = Thread(target=work, args=(current_phrasing(),))
    thread.start()
    thread.join()
    assert tuple(found[0]["warnings"]) == COMMAND


@pytest.mark.parametrize(
    ("fault", "python", "command"),
    [
        (
            lambda _: align(FocalStack(np.zeros((2, 1, 9), np.uint8)), "affine"),
            'leave them as they are with motion="none"',
            'leave them as they are with --align none (motion="none")',
        ),
        (
            lambda folder: load_stack(folder, focus="a,b"),
            "what they are in goes to unit=",
            "what they are in goes to --unit",
        ),
        (
            lambda _: check_projection("index", None),
            "two known points with dualfocus.calibration.calibrate, or",
            "two known points with --calibrate, or",
        ),
        (
            lambda _: check_projection("um", None),
            "give it with pixel_size=, or",
            "give it with --pixel-size (pixel_size=), or",
        ),
        (
            lambda folder: predict_to_folder(load_copy(folder), folder / "full", CLASSICAL),
            "or say overwrite=True to write among them",
            "or say --overwrite to write among them (in Python, overwrite=True)",
        ),
        (
            lambda folder: load_stack(folder / "two.tif"),
            "choose one with channel= (0 to 1)",
            "choose one with --channel 0 to 1 (channel=)",
        ),
    ],
)
def test_errors(fault, python, command, tmp_path: Path) -> None:
    planes = np.zeros((3, 2, 8, 8), np.uint8)
    tifffile.imwrite(tmp_path / "two.tif", planes, imagej=True, metadata={"axes": "ZCYX"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "theirs.txt").touch()
    with pytest.raises(ValueError, match=re.escape(python)) as said:
        fault(tmp_path)
    assert "--" not in str(said.value)
    with phrased(as_option), pytest.raises(ValueError, match=re.escape(command)):
        fault(tmp_path)


def load_copy(folder: Path) -> Path:
    stack = folder / "stack"
    stack.mkdir(exist_ok=True)
    for n in range(2):
        Image.fromarray(np.full((8, 8, 3), n, np.uint8)).save(stack / f"{n}.png")
    return stack


def test_warnings_that_name_a_value(tmp_path: Path) -> None:
    for n in (300, 500):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f"{n}mm.png")
    with phrased(as_option):
        assert load_stack(tmp_path).warnings[0].endswith("; --focus overrides them")
        said = load_stack(tmp_path, focus="300,500").warnings
    assert said == ["focus distances are taken as metres (300 to 500); if they are millimetres, say --unit mm"]
    assert load_stack(tmp_path, focus="300,500").warnings[0].endswith('say unit="mm"')


def test_the_default_words() -> None:
    assert str(Remedy("z-step")) == "z_step=" and f"{Remedy('order', 'auto')}" == 'order="auto"'


def test_no_message_of_the_library_spells_an_option() -> None:
    """Outside of a `Remedy`, where Python and the page would read of it, too."""
    library = Path(dualfocus.__file__).parent
    folders = ("alignment", "inference", "outputs", "readers", "stack")
    found = []
    for path in [*library.glob("*.py"), *(path for folder in folders for path in (library / folder).glob("*.py"))]:
        if path.name == "cli.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "command"}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            whole = re.sub(r"`dualfocus [^`]*`", "", text)  # a command to run, wherever it is read
            if re.search(r"(?<![`\w])--[a-z]", whole) and id(node) not in inside:
                found.append(f"{path.name}:{node.lineno}")
    assert found == []
