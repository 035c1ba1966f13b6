"""Small stacks, batches of them and the records of these."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

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


def read_record(out: Path) -> dict:
    return json.loads((out / "batch.json").read_text(encoding="utf-8"))
