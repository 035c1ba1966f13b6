"""Which paths are a batch of stacks, and what its stacks are called."""

import shutil
from pathlib import Path

import numpy as np
import tifffile
from batch_folders import make_shelf, make_stack
from PIL import Image

from dualfocus.batch.stacks import find_batch, name_stacks


def test_what_is_a_batch(tmp_path: Path) -> None:
    shelf = make_shelf(tmp_path / "shelf")
    photos = sorted((shelf / "a").iterdir())
    assert find_batch([shelf / "a"]) is None and find_batch(photos) is None, "one stack"
    assert find_batch([photos[0], shelf / "c"]) is None, "a mixture is refused by load_stack"
    assert find_batch([tmp_path / "missing"]) is None
    assert find_batch([shelf]) == [shelf / name for name in "abc"]
    assert find_batch([shelf, shelf / "c", tmp_path / "gone"])[-2:] == [shelf / "c", tmp_path / "gone"]
    shutil.copytree(shelf / "a", shelf / "a-depth")
    (shelf / "a-depth" / "result.json").write_text('{"dualfocus": "0.1"}')
    assert find_batch([shelf]) == [shelf / name for name in "abc"], "an earlier result is no stack"
    for name, pages in (("z10.tif", 3), ("z9.tif", 3), ("one.tif", 1)):
        tifffile.imwrite(tmp_path / name, np.zeros((pages, 8, 9), np.uint8), photometric="minisblack")
    stacks = [tmp_path / "z9.tif", tmp_path / "z10.tif"]
    assert find_batch(stacks) == stacks and find_batch([*stacks, tmp_path / "one.tif"]) is None
    (tmp_path / "one.tif").write_bytes(b"II*\0\x08\0\0\0\xff\xff")
    assert find_batch([*stacks, tmp_path / "one.tif"]) is None, "a damaged file is no stack"
    (tmp_path / "one.tif").unlink()
    assert find_batch([tmp_path]) == stacks, "a folder of z-stacks"
    assert find_batch([stacks[0], shelf / "a" / "stack.json"]) is not None


def test_a_folder_of_z_stacks_and_other_stacks_is_a_batch(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    make_stack(mixed / "d")
    tifffile.imwrite(mixed / "a.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    assert find_batch([mixed]) == [mixed / "a.tif", mixed / "d"]
    shutil.make_archive(str(mixed / "c"), "zip", mixed / "d")
    tifffile.imwrite(mixed / "b.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    assert find_batch([mixed]) == [mixed / name for name in ("a.tif", "b.tif", "c.zip", "d")]
    (mixed / "notes").mkdir()
    for name in ("b.tif", "c.zip"):
        (mixed / name).unlink()
    shutil.rmtree(mixed / "d")
    assert find_batch([mixed]) is None, "one z-stack is the stack of its folder"
    make_stack(mixed / "d")
    Image.new("RGB", (5, 5)).save(mixed / "photo.png")
    assert find_batch([mixed]) is None, "photographs side by side are planes"


def test_a_linked_stack_has_the_name_of_its_link(tmp_path: Path) -> None:
    real = tmp_path / "store" / "x" / "imgs"
    make_stack(real)
    (tmp_path / "week").mkdir()
    monday = tmp_path / "week" / "monday"
    monday.symlink_to(real)
    assert name_stacks([monday], {}) == {"monday": monday}
    assert list(name_stacks([monday, real], {})) == ["monday"], "one stack counts once"
    assert list(name_stacks([monday], {"imgs": str(real)})) == ["imgs"], "an earlier run's name stays"
    assert name_stacks([monday / ".." / "imgs"], {}) == {"imgs": real}, "what the system makes of it"


def test_names_are_distinct_and_stay(tmp_path: Path) -> None:
    stacks = [tmp_path / "x" / "desk", tmp_path / "y" / "Desk", tmp_path / "cells.tif", tmp_path / "v" / "stack.json"]
    named = name_stacks([*stacks, stacks[0]], {})
    assert list(named) == ["desk", "Desk-2", "cells", "v"] and list(named.values()) == stacks
    again = name_stacks(stacks[1:], {name: str(path) for name, path in named.items()})
    assert list(again) == ["Desk-2", "cells", "v"]
    for name in ("batch.json", "depth.npy", "Result.JSON"):
        (tmp_path / name).mkdir()
        assert list(name_stacks([tmp_path / name], {})) == [f"{name}-2"]
