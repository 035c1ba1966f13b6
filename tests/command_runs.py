"""Commands run as a user runs them, and what they leave."""

import os
import subprocess
import sys
from pathlib import Path

import dualfocus


def run(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """`dualfocus` with these arguments, in a process of its own, to its end."""
    search = os.pathsep.join([str(Path(dualfocus.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "PYTHONPATH": search,
        **variables,
    }
    command = [sys.executable, "-m", "dualfocus", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def started(*arguments: object) -> subprocess.Popen[str]:
    """The same, still running."""
    environment = {**os.environ, "PYTHONPATH": str(Path(dualfocus.__file__).parents[1])}
    command = [sys.executable, "-m", "dualfocus", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2 and exactly one line on stderr, which says all of the words."""
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    for word in words:
        assert word in lines[0], lines[0]
    assert "Traceback" not in done.stderr + done.stdout


def names(folder: Path) -> set[str]:
    """What lies in a folder, without the lock of a batch."""
    return {path.name for path in folder.iterdir()} - {".dualfocus.lock"}
