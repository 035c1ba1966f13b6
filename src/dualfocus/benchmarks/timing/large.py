"""Large focal stacks on disk, and what `dualfocus predict` takes for them in time and memory.

`python -m dualfocus.benchmarks.timing.large FOLDER [MODEL ...]` writes 20 frames of 24 megapixels and 200 of two to
FOLDER (750 MB), runs `dualfocus predict` on each in a process of its own, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.benchmarks.writing import write_json
from dualfocus.child_process import run_python, why_it_failed
from dualfocus.messages import ending_in_one_line
from dualfocus.readers.sidecar import SIDECAR

_BLUR_STEP = 0.7  # pixels of Gaussian sigma between prepared pictures
_BLURS = 8
_ROWS = 256  # worked on at once
_NEAR, _FAR = 2.0, 0.5  # dioptres
CASES = ((20, 4000, 6000), (200, 1200, 1667))  # planes, height, width

_CHILD = """
import json, os, sys
from dualfocus.benchmarks.timing.machine import peak_memory_mib
from dualfocus.cli import main
code = main(sys.argv[1:])
print(json.dumps({"code": code, "peak_mib": peak_memory_mib(), "cpu_s": sum(os.times()[:2])}))
"""


def write_large_stack(folder: Path, planes: int, height: int, width: int, suffix: str = ".jpg") -> None:
    """Write the photographs of a made scene, and its `stack.json` with the true depth.

    A textured ground that rises from left to right, discs of all distances in front of it: every window of planes is
    needed everywhere, and depth has sharp edges. Blur is Gaussian and each pixel's own, which is enough for time and
    memory, and for looking at seams.

    Args:
        folder: the folder to write to; made if missing.
        planes: N, even in inverse depth.
        height: rows.
        width: columns.
        suffix: .jpg, .png or .tif.
    """
    folder.mkdir(parents=True, exist_ok=True)
    coordinate, texture = scene(height, width)
    cv2.setRNGSeed(0)
    names = [f"{n:03d}{suffix}" for n in range(planes)]
    for name, plane in zip(names, photographs(coordinate, texture, planes), strict=True):
        if not cv2.imwrite(str(folder / name), plane, [cv2.IMWRITE_JPEG_QUALITY, 92]):
            raise ValueError(f"{folder / name}: cannot be written")
    dioptres = _NEAR + (_FAR - _NEAR) * np.linspace(0, 1, planes)
    np.save(folder / "ground_truth.npy", 1 / (_NEAR + (_FAR - _NEAR) * coordinate))
    sidecar = {"images": names, "focus_distances": [float(v) for v in 1 / dioptres], "unit": "m", "aligned": True}
    write_json(folder / SIDECAR, {**sidecar, "ground_truth": "ground_truth.npy"})


def scene(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Normalised coordinate (H, W), 0 near to 1 far, and the sharp picture (H, W, 3); always the same."""
    rng = np.random.default_rng(0)
    texture = np.zeros((height, width, 3), np.float32)
    for cell in (2, 5, 16, 64, 256):
        noise = rng.normal(0, 1, (-(-height // cell) + 1, -(-width // cell) + 1, 3)).astype(np.float32)
        texture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    coordinate = np.broadcast_to(np.linspace(0.95, 0.3, width, dtype=np.float32), (height, width)).copy()
    for _ in range(24):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.uniform(0.02, 0.08) * width)
        mask = np.zeros((height, width), np.uint8)
        cv2.circle(mask, centre, radius, 1, -1)
        coordinate[mask == 1] = np.float32(rng.uniform(0.02, 0.3))
        texture[mask == 1] += rng.normal(0, 1.5, 3).astype(np.float32)
    return coordinate, np.clip(128 + 28 * texture, 0, 255).astype(np.uint8)


def photographs(
    coordinate: NDArray[np.float32], texture: NDArray[np.uint8], planes: int
) -> Iterator[NDArray[np.uint8]]:
    """The planes near to far, (H, W, 3): blur grows linearly with the distance in the coordinate."""
    blurred = np.stack([cv2.GaussianBlur(texture, (0, 0), max(_BLUR_STEP * k, 0.1)) for k in range(_BLURS + 1)])
    for u in np.linspace(0, 1, planes):
        plane = np.empty_like(texture)
        for top in range(0, len(texture), _ROWS):
            rows = slice(top, top + _ROWS)
            level = np.abs(coordinate[rows] - np.float32(u)) * _BLURS
            lower = np.minimum(level.astype(np.intp), _BLURS - 1)[None, ..., None]
            share = level[..., None] - lower[0]
            less, more = (np.take_along_axis(blurred[:, rows], lower + k, axis=0)[0] for k in (0, 1))
            plane[rows] = np.rint((1 - share) * less + share * more)
        yield plane


def measure(stack: Path, out: Path, model: str) -> dict[str, float]:
    """Wall and processor seconds and peak resident MiB of `dualfocus predict`, files to files.

    Raises:
        ValueError: the command failed.
    """
    arguments = ["predict", str(stack), "-o", str(out), "--model", model, "--device", "cpu"]
    started = time.perf_counter()
    done = run_python(["-c", _CHILD, *arguments])
    seconds = time.perf_counter() - started
    found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"code": done.returncode}
    if found["code"]:
        raise ValueError(f"dualfocus predict {stack}: {why_it_failed(done)}")
    return {"wall_s": seconds, "cpu_s": found["cpu_s"], "peak_mib": found["peak_mib"]}


def main(folder: Path, models: list[str]) -> None:
    """Write both stacks, measure every model on them, and print the table."""
    print("| planes | size | model | wall s | processor s | peak MiB |\n|---|---|---|---|---|---|")
    for planes, height, width in CASES:
        stack = folder / f"{planes}x{height}x{width}"
        write_large_stack(stack, planes, height, width)
        for model in models:
            row = measure(stack, folder / f"{stack.name}-{model}", model)
            figures = " | ".join(f"{row[key]:.0f}" for key in ("wall_s", "cpu_s", "peak_mib"))
            print(f"| {planes} | {height} x {width} | {model} | {figures} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for stacks and results, 750 MB and more")
    parser.add_argument("models", nargs="*", default=["dualfocus-s", "classical"])
    options = parser.parse_args()
    with ending_in_one_line():
        main(options.folder, options.models)
