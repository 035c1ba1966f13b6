import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from command_runs import assert_refused, names, run
from PIL import Image

from dualfocus.outputs.files import RESULT_FILES

COMMANDS = ("demo", "predict", "evaluate", "train", "render", "bench", "export", "info")


def test_help_lists_the_commands_in_order_and_imports_nothing_slow() -> None:
    done = run("--help")
    assert done.returncode == 0
    listed = [
        line.strip("│ ").split()[0] for line in done.stdout.splitlines() if line.startswith("│") and line[2] != " "
    ]
    assert [name for name in listed if name in COMMANDS] == list(COMMANDS)
    code = "import sys; from dualfocus.cli import main; main(['--help']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "typer" in loaded.split() and {"torch", "numpy", "cv2"}.isdisjoint(loaded.split())


@pytest.mark.parametrize("arguments", [["nonsense"], ["predict"], ["predict", "x", "--colour"], ["predict", "x"]])
def test_usage_errors(arguments: list[str]) -> None:
    assert_refused(run(*arguments))


def test_predict_writes_the_result(tiny_stack_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in tiny_stack_folder.iterdir()}
    distances = "0.5,0.6,0.75,1.0,1.5"
    done = run("predict", tiny_stack_folder, "-o", out, "--model", "classical", "--focus", distances, "--points")
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.splitlines()[-1].startswith("depth from 0.") and " m, " in done.stdout and str(out) in done.stdout
    )
    assert names(out) == {*RESULT_FILES, "points.ply"}
    depth = np.load(out / "depth.npy")
    assert depth.shape == (48, 64) and depth.dtype == np.float32
    assert np.median(depth[:, 6:26]) == pytest.approx(0.6, rel=0.05)
    assert np.median(depth[:, 38:58]) == pytest.approx(1.0, rel=0.05)
    record = json.loads((out / "result.json").read_text())
    assert record["unit"] == "m" and record["model"] == "classical" and record["focus_distances"][2] == 0.75
    assert {path.name: path.read_bytes() for path in tiny_stack_folder.iterdir()} == before

    again = tmp_path / "again"
    files = sorted(tiny_stack_folder.iterdir())
    done = run("predict", *files, "-o", again, "--model", "classical", "--focus", distances, "--unit", "m")
    assert done.returncode == 0 and np.array_equal(np.load(again / "depth.npy"), depth), (
        "files, and the same answer twice"
    )


def test_a_stack_without_distances_is_relative_and_says_so(tiny_stack_folder: Path, tmp_path: Path) -> None:
    done = run("predict", tiny_stack_folder, "-o", tmp_path / "out", "--model", "classical")
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines()) and "--focus" in done.stderr
    assert "plane" in done.stdout.splitlines()[-1]
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["unit"] == "index" and record["focus_distances"] is None and record["warnings"]


def test_demo_needs_no_arguments(tmp_path: Path) -> None:
    done = run("demo", "--model", "classical", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path) == {"dualfocus-demo"} and names(tmp_path / "dualfocus-demo") == set(RESULT_FILES)
    assert run("demo", "--model", "classical", cwd=tmp_path).returncode == 0, "an earlier result is replaced"


def test_info(tmp_path: Path) -> None:
    done = run("info", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    models = {model["name"]: model for model in record["models"]}
    assert {"dualfocus-s", "dualfocus-xs", "classical", "dualfocus-paper", "dfv"} <= set(models)
    assert models["dualfocus-s"]["parameters"] <= 8e6 and models["dualfocus-s"]["gflop"] <= 45
    assert record["devices"][0]["name"] == "cpu" and record["libraries"]["torch"]


def test_evaluate_measures_stacks_with_truth(tiny_stack_folder: Path, tmp_path: Path) -> None:
    np.save(tiny_stack_folder / "truth.npy", np.repeat([[1.0, 3.0]], 32, axis=1).repeat(48, axis=0).astype(np.float32))
    images = [f"img{n}.png" for n in range(5)]
    sidecar = {"images": images, "unit": "index", "order": "near_to_far", "ground_truth": "truth.npy"}
    (tiny_stack_folder / "stack.json").write_text(json.dumps(sidecar))
    out = tmp_path / "figures"
    done = run("evaluate", "classical", "--protocol", "stacks", "--data", tiny_stack_folder, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "classical" in done.stdout and (out / "summary.json").is_file()
    assert_refused(run("evaluate", "classical", "--protocol", "nonsense", "-o", out), "nonsense")


def test_render_writes_stacks(tmp_path: Path) -> None:
    out = tmp_path / "stacks"
    done = run("render", "-o", out, "--count", 1, "--size", 32, "--planes", 2, 2)
    assert done.returncode == 0, done.stderr
    assert list(out.glob("shard_*.npy")) and "32 stacks" in done.stdout
    (tmp_path / "file").write_text("in the way")
    assert_refused(run("render", "-o", tmp_path / "file", "--count", 1, "--size", 32), "file", "another output folder")


def test_train_refuses_a_bad_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("colour: blue\n")
    assert_refused(run("train", tmp_path / "config.yaml", "-o", tmp_path / "run"), "config.yaml")
    assert_refused(run("train", tmp_path / "missing.yaml"), "missing.yaml")
    assert names(tmp_path) == {"config.yaml"}


def test_bench_compares_models() -> None:
    done = run("bench", "classical", "--planes", 2, "--size", "48x64", "--repeats", 1)
    assert done.returncode == 0, done.stderr
    assert "| classical |" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "kind", "unused"),
    [
        (["bench", "--projection", "--precision", "fp32"], "bench --projection", "--precision"),
        (["bench", "dfv", "--stream", "--repeats", 1], "bench --stream", "MODELS"),
        (["bench", "--stream", "-o", "out", "--stages"], "bench --stream", "--out, --stages"),
        (["bench", "--training", "c.yaml", "--stream", "--device", "cpu"], "bench --training", "--device, --stream"),
        (["render", "pathtraced", "-o", "out", "--split", "train"], "render pathtraced", "--split"),
        (
            ["render", "pathtraced", "-o", "out", "--workers", 8, "--textures", "t"],
            "pathtraced",
            "--textures, --workers",
        ),
        (["render", "rooms", "-o", "out", "--planes", 3, 5], "render rooms", "--planes"),
        (["render", "fod", "-o", "out", "--size", 512], "render fod", "--size"),
        (["render", "-o", "out", "--samples", 8], "render procedural", "--samples"),
        (["render", "rooms", "nyu-bts", "-o", "out"], "render rooms", "NAME"),
        (["render", "fixture", "stacks", "-o", "out", "--count", 2], "render fixture", "--count"),
    ],
)
def test_an_option_that_the_kind_does_not_use_is_refused(
    arguments: list[object], kind: str, unused: str, tmp_path: Path
) -> None:
    """Also one that says the default: it would have no effect."""
    assert_refused(run(*arguments, cwd=tmp_path), f"{kind} does not use {unused};")
    assert not names(tmp_path)


def empty(folder: Path) -> list[str]:
    for path in folder.iterdir():
        path.unlink()
    return []


def one_image(folder: Path) -> list[str]:
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    return []


def unequal(folder: Path) -> list[str]:
    Image.new("RGB", (40, 30)).save(folder / "img2.png")
    return []


def truncated(folder: Path) -> list[str]:
    image = Image.open(folder / "img3.png")
    image.save(folder / "img3.jpg", quality=95)
    (folder / "img3.png").unlink()
    data = (folder / "img3.jpg").read_bytes()
    (folder / "img3.jpg").write_bytes(data[: len(data) // 2])
    return []


def text_file(folder: Path) -> list[str]:
    (folder / "img1.png").write_text("this is no picture")
    return []


BAD_INPUT: dict[str, tuple[Callable[[Path], list[str]], list[str]]] = {
    "empty folder": (empty, ["tiny"]),
    "one image": (one_image, ["focal stack"]),
    "unequal sizes": (unequal, ["img2.png"]),
    "truncated JPEG": (truncated, ["img3.jpg"]),
    "text named .png": (text_file, ["img1.png"]),
    "NaN distance": (lambda _: ["--focus", "0.5,nan,0.7,0.8,0.9"], ["nan"]),
    "negative distance": (lambda _: ["--focus", "0.5,-0.6,0.7,0.8,0.9"], ["-0.6"]),
    "duplicate distance": (lambda _: ["--focus", "0.5,0.6,0.6,0.8,0.9"], ["0.6"]),
    "wrong count": (lambda _: ["--focus", "0.5,0.6"], ["2", "5"]),
    "not a number": (lambda _: ["--focus", "near,far"], ["near"]),
    "unknown unit": (lambda _: ["--focus", "1,2,3,4,5", "--unit", "furlong"], ["furlong"]),
    "points without distances": (lambda _: ["--points"], ["point cloud"]),
    "unknown model": (lambda _: ["--model", "nonsense"], ["nonsense"]),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input(name: str, tiny_stack_folder: Path, tmp_path: Path) -> None:
    spoil, words = BAD_INPUT[name]
    options = spoil(tiny_stack_folder)
    # The model last given counts, so that the case of an unknown one is refused for that.
    done = run("predict", tiny_stack_folder, "-o", tmp_path / "out" / "deep", "--model", "classical", *options)
    assert_refused(done, *words)
    assert names(tmp_path) == {"tiny"}, "nothing half written"


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_results_never_go_among_the_photographs_they_are_made_from(
    overwrite: list[str], tiny_stack_folder: Path
) -> None:
    photo = tiny_stack_folder / "img1.png"
    photo.rename(tiny_stack_folder / "depth.png")
    before = {path.name: path.read_bytes() for path in tiny_stack_folder.iterdir()}
    files = sorted(tiny_stack_folder.iterdir())
    for stack in ([tiny_stack_folder], files):
        done = run("predict", *stack, "-o", tiny_stack_folder, "--model", "classical", *overwrite)
        assert_refused(done, "folder of the photographs", "another output folder")
    assert {path.name: path.read_bytes() for path in tiny_stack_folder.iterdir()} == before


def test_a_stack_named_like_a_result_is_not_replaced(tmp_path: Path) -> None:
    stack = tmp_path / "depth.tiff"
    tifffile.imwrite(stack, np.random.default_rng(0).integers(0, 255, (3, 32, 32), np.uint8), photometric="minisblack")
    before = stack.read_bytes()
    done = run("predict", stack, "-o", tmp_path, "--model", "classical", "--overwrite")
    assert_refused(done, "folder of the photographs")
    assert stack.read_bytes() == before and names(tmp_path) == {"depth.tiff"}


def test_a_result_is_no_focal_stack(tiny_stack_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("predict", tiny_stack_folder, "-o", out, "--model", "classical").returncode == 0
    assert_refused(run("predict", out, "-o", tmp_path / "again", "--model", "classical"), "holds a result")


def test_a_file_name_that_the_terminal_cannot_show(tiny_stack_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "深"
    done = run("predict", tiny_stack_folder, "-o", out, "--model", "classical", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr
    assert "written to" in done.stdout and r"\u6df1" in done.stdout and names(out) == set(RESULT_FILES)


def test_a_stack_that_is_not_there(tmp_path: Path) -> None:
    assert_refused(run("predict", tmp_path / "missing", "-o", tmp_path / "out"), "missing")
    assert not names(tmp_path)


def test_unwritable_output(tiny_stack_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert_refused(run("predict", tiny_stack_folder, "-o", out), "file")
    assert names(tmp_path) == {"tiny", "file"} and (tmp_path / "file").read_text() == "in the way"


def test_foreign_files_in_the_output(tiny_stack_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert_refused(run("predict", tiny_stack_folder, "-o", out, "--model", "classical"), "thesis.txt", "--overwrite")
    assert names(out) == {"thesis.txt"} and names(tmp_path) == {"tiny", "out"}
    done = run("predict", tiny_stack_folder, "-o", out, "--model", "classical", "--overwrite")
    assert done.returncode == 0, done.stderr
    assert names(out) == {*RESULT_FILES, "thesis.txt"} and (out / "thesis.txt").read_text() == "years of work"
