"""The maintainers' scripts run on what the commands of this package write."""

import re
import subprocess
import sys
from pathlib import Path

import collect_textures
import numpy as np
import pytest
from alignment_benchmark import pathtraced_stacks
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("alignment_methods.py", ["{}", "--scenes", "1"], "this package   4 pairs: "),
        (
            "alignment_benchmark.py",
            ["--pathtraced", "{}", "--scenes", "1", "--model", "no", "--kinds", "pan"],
            "1 stack",
        ),
    ],
)
def test_alignment_is_measured_on_rendered_path_traced_stacks(name, arguments, words):
    folder = str(ROOT / "tests" / "data" / "pathtraced")
    command = [sys.executable, str(ROOT / "tools" / name), *(text.format(folder) for text in arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and words in done.stdout, done.stderr


def test_a_folder_named_by_a_number_keeps_it_as_its_seed(tmp_path):
    for name in ("0003", "0001", "general/007", "thin/lamp"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "stack.json").touch()
    found = [(path.relative_to(tmp_path).as_posix(), seed) for path, seed in pathtraced_stacks(tmp_path, 9)]
    assert found == [("0001", 1), ("0003", 3), ("general/007", 7), ("thin/lamp", 3)]
    assert len(pathtraced_stacks(tmp_path, 2)) == 2
    with pytest.raises(SystemExit, match=r"thin/none.*stack\.json"):
        pathtraced_stacks(tmp_path / "thin" / "none", 1)


def test_flat_faces_of_a_phone_stack_come_out_flat(shared_data):
    command = [sys.executable, str(ROOT / "tools" / "flat_faces.py"), str(shared_data / "stacks")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"1/z +([0-9.]+) %, +([0-9.]+) % valid", done.stdout)
    residuals, valid = zip(*((float(residual), float(share)) for residual, share in found), strict=True)
    assert len(found) == 6 and max(residuals) < 2.8 and min(valid) > 80  # per cent; 2.6 at most in docs/alignment.md


def test_the_pool_of_textures_is_made_from_unpacked_packages(tmp_path):
    table = collect_textures.read_table()
    assert len({texture.name for texture in table}) == len(table) == 347
    picture = Image.fromarray(np.arange(1024 * 768 * 3, dtype=np.uint32).reshape(768, 1024, 3).astype(np.uint8))
    part = collect_textures.square(picture, 100, 0)
    whole = picture.resize((683, 512), Image.Resampling.LANCZOS)
    assert part.size == (512, 512)
    np.testing.assert_array_equal(np.asarray(part), np.asarray(whole)[:, 100:612])
    command = [sys.executable, "tools/collect_textures.py", str(tmp_path), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "lacks files of gnome-backgrounds, lxqt-themes" in done.stderr
    assert not (tmp_path / "out").exists()
