"""Small training runs for the tests: a configuration, its file, and what a run logged."""

import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from dualfocus.rendering.capture import render_stack

SMALL = {"encoder": [8, 8, 8, 12], "decoder": [8, 8, 12], "surfaces": 3}
TERMS = ("total", "depth", "spatial", "focal", "confidence")


def settings(folder: Path, source: dict, **changes) -> dict:
    content = {
        "output": str(folder / "run"),
        "checkpoint_minutes": 1e-6,
        "model": {"options": SMALL},
        "data": {"sources": [source], "crop": 32, "planes": [2, 4], "planes_per_batch": 6, "workers": 0},
        "optimiser": {"warmup_steps": 2},
        "budget": {"steps": 5},
        "validation": {"sources": [source], "stacks": 2, "every_steps": 2, "crop": 32, "pictures": 1},
    }
    return content | changes


def write(path: Path, content: dict) -> Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def logged(folder: Path, kind: str = "loss") -> list[dict]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def write_stack(folder: Path, seed: int, unit: str) -> None:
    """A rendered stack as users have them: PNG planes far to near, stack.json, truth in the unit."""
    folder.mkdir(parents=True)
    stack = render_stack(seed, size=40, planes=4, clean=True)
    inverse = 1 / stack.focus_distances
    truth = 1 / (inverse[0] + stack.truth * (inverse[-1] - inverse[0]))
    names = [f"img{n}.png" for n in range(4)]
    for name, image in zip(names, stack.images[::-1], strict=True):
        Image.fromarray(image).save(folder / name)
    distances = stack.focus_distances[::-1]
    if unit == "dioptre":
        distances, truth = 1 / distances, 1 / truth
    truth[:4] = np.nan
    np.save(folder / "depth.npy", truth.astype(np.float32))
    sidecar = {"images": names, "focus_distances": list(distances), "unit": unit, "ground_truth": "depth.npy"}
    (folder / "stack.json").write_text(json.dumps(sidecar))
