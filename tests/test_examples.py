"""The examples run, on the packaged stack and on others, and say what is right."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dualfocus

ROOT = Path(__file__).parents[1]
TRUTH = np.load(Path(dualfocus.__file__).parent / "samples" / "desk" / "ground_truth.npy").astype(float)


def run(name: str, *arguments: object, cwd: Path) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("arguments", "pixel"), [([], (144, 192)), (["--row", 250, "--column", 60], (250, 60))])
def test_depth_at_a_pixel(arguments, pixel, tmp_path):
    said = run("depth_at_pixel.py", *arguments, cwd=tmp_path)
    row, column, depth, std = re.match(r"row (\d+), column (\d+): ([\d.]+) \+- ([\d.]+) m\n", said).groups()
    assert (int(row), int(column)) == pixel
    assert float(depth) == pytest.approx(TRUTH[pixel], rel=0.05) and 0 < float(std) < 0.3
    assert re.search(r"confidence (0\.\d\d|1\.00), valid$", said)


def test_planes_one_by_one(tmp_path):
    said = run("stream_planes.py", cwd=tmp_path).splitlines()
    assert said[0] == "plane 1: nothing yet" and len(said) == 5
    depths = [float(re.fullmatch(r"plane \d: ([\d.]+) m", line)[1]) for line in said[1:]]
    assert depths[-1] == pytest.approx(TRUTH[144, 192], rel=0.05)  # by then within the last three planes


def test_planes_without_distances_one_by_one(tmp_path):
    folder = tmp_path / "relative"
    folder.mkdir()
    for n in range(3):
        noise = np.random.default_rng(n).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{n}.png")
    assert re.search(r"plane 3: [\d.]+ index\n", run("stream_planes.py", folder, cwd=tmp_path))


def test_points_of_the_confident_part(tmp_path):
    said = run("confident_points.py", "-o", "points", "--least", 0.9, cwd=tmp_path)
    kept, of = map(int, re.match(r"(\d+) of (\d+) pixels", said).groups())
    assert of == TRUTH.size and 0.2 * of < kept < 0.95 * of
    header, _, body = (tmp_path / "points" / "points.ply").read_bytes().partition(b"end_header\n")
    assert f"element vertex {kept}\n".encode() in header
    points = np.frombuffer(body, np.dtype([("place", "<f4", 3), ("colour", "u1", 3), ("confidence", "<f4")]))
    assert len(points) == kept and points["confidence"].min() >= 0.9
    assert np.abs(np.median(points["place"][:, 2]) / np.median(TRUTH) - 1) < 0.1
