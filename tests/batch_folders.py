"""Small stacks, batches of them, what lies in the folder of a batch, and a command that can be interrupted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import dualfocus

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


def make_shelf(folder: Path) -> Path:
    """A folder of two good stacks, a and c, and a bad one, b."""
    for seed, name in enumerate(("a", "c")):
        make_stack(folder / name, seed)
    bad = make_stack(folder / "b")
    Image.new("RGB", (5, 5)).save(bad / "1.png")
    return folder


def names(folder: Path) -> set[str]:
    """What lies in a folder, without the lock of a batch."""
    return {path.name for path in folder.iterdir()} - {".dualfocus.lock"}


def read_record(out: Path) -> dict:
    return json.loads((out / "batch.json").read_text(encoding="utf-8"))


def started(*arguments: object) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(dualfocus.__file__).parents[1])}
    command = [sys.executable, "-m", "dualfocus", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
