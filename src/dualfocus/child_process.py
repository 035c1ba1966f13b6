"""Python in a process of its own, which finds this package where this process found it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence


def child_environment() -> dict[str, str]:
    """The environment of a child process whose Python searches for modules where this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def run_python(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments to its end; what it prints is kept, and a failure is not raised."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=child_environment())


def why_it_failed(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that a process said on stderr, or its exit code."""
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"exit code {done.returncode}"
