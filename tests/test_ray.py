"""Batches on Ray, an extra too heavy for every developer: skipped where it is not installed."""

import signal
import time
from pathlib import Path

import pytest
from batch_folders import MODEL, make_stack, read_record
from command_runs import names, started

from dualfocus.cli import main
from dualfocus.outputs.files import RESULT_FILES

pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")


def kill_one_worker(pid: int) -> None:
    """Kill the first process below that works on a stack."""
    while True:
        for child in psutil.Process(pid).children(recursive=True):
            if "ray::run_job" in " ".join(child.cmdline()):
                child.send_signal(signal.SIGKILL)
                return
        time.sleep(0.01)


def test_ray_gives_the_same_and_retries_the_stack_of_a_killed_worker(tmp_path: Path) -> None:
    for seed in range(4):
        make_stack(tmp_path / "shelf" / f"{seed}", seed)
    (tmp_path / "shelf" / "1" / "2.png").write_text("no picture")
    here, out = tmp_path / "here", tmp_path / "ray"
    with started(
        "predict", tmp_path / "shelf", "-o", out, "--engine", "ray", "--workers", 2, *MODEL, "--also", "tiff"
    ) as run:
        kill_one_worker(run.pid)
        said, errors = run.communicate(timeout=300)
    assert run.returncode == 1, errors
    assert "Traceback" not in errors and "3 done, 1 failed" in said and "2.png" in said
    assert main(["predict", str(tmp_path / "shelf"), "-o", str(here), *MODEL, "--also", "tiff"]) == 1
    assert names(out) == names(here) == {"0", "2", "3", "batch.json"}, "and nothing half done"
    for name in ("0", "2", "3"):
        assert names(out / name) == {*RESULT_FILES, "depth.tiff"}
        for file in (*RESULT_FILES, "depth.tiff"):
            if file != "result.json":  # it holds times
                assert (out / name / file).read_bytes() == (here / name / file).read_bytes(), file
    ours, theirs = (read_record(folder)["stacks"] for folder in (here, out))
    assert [ours[name].get("error") for name in ours] == [theirs[name].get("error") for name in ours]


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--cluster", "nonsense"], "--cluster nonsense: cannot connect"), (["--device", "cuda"], "has a GPU")],
)
def test_a_cluster_that_cannot_be_used_leaves_the_earlier_batch(
    options: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # Ray counts no GPU of this machine then
    for seed in range(2):
        make_stack(tmp_path / "shelf" / f"{seed}", seed)
    command = ["predict", str(tmp_path / "shelf"), "-o", str(tmp_path / "out"), *MODEL]
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command, "--engine", "ray", *options]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1
    assert names(tmp_path / "out") == {"0", "1", "batch.json"}
    assert names(tmp_path / "out" / "0") == names(tmp_path / "out" / "1") == set(RESULT_FILES)
