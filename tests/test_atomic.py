"""What is written is whole or absent, and errors name the place that was asked for."""

import errno
import os
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dualfocus import FocalStack, load_model
from dualfocus.atomic import is_temporary, remove_leftovers, replacing, temporary_name


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as temporary:
        assert temporary.parent == path.parent and is_temporary(temporary.name)
        temporary.write_text("first")
        assert not path.exists()
    with replacing(path) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_what_fails_leaves_the_earlier_file_alone(error: type[BaseException], kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("first")
    with pytest.raises(error), replacing(path) as temporary:
        if kind == "file":
            temporary.write_text("half")
        elif kind == "folder":
            temporary.mkdir()
            (temporary / "b").touch()
        raise error
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_the_place_of_an_empty_one(tmp_path: Path) -> None:
    for _ in range(2):
        with replacing(tmp_path / "set" / "a") as temporary:
            temporary.mkdir()
            (temporary / "b.txt").write_text("b")
        (tmp_path / "set" / "a" / "b.txt").unlink()
    (tmp_path / "set" / "a" / "c.txt").touch()
    with pytest.raises(OSError) as caught, replacing(tmp_path / "set" / "a") as temporary:
        temporary.mkdir()
    assert caught.value.filename == str(tmp_path / "set" / "a")
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["a"]


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first", "the block that ends last"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_it_has_the_permissions_of_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with replacing(tmp_path / "a") as temporary:
        temporary.touch()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "a").symlink_to(tmp_path / "kept")
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "kept").read_text() == "kept" and (tmp_path / "a").read_text() == "new"
    assert not (tmp_path / "a").is_symlink()


def test_errors_name_the_target(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(OSError, match="a'$") as caught, replacing(tmp_path / "a") as temporary:
        temporary.touch()
    assert caught.value.filename == str(tmp_path / "a") and caught.value.filename2 is None
    with pytest.raises(PermissionError) as refused, replacing(tmp_path / "c") as temporary:
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary / "d.png"))
    assert refused.value.filename == os.path.join(tmp_path, "c", "d.png")
    with pytest.raises(FileNotFoundError) as missing, replacing(tmp_path / "c"):
        (tmp_path / "other").read_bytes()
    assert missing.value.filename == str(tmp_path / "other")


def test_leftovers_of_one_file_are_told_from_those_of_others(tmp_path: Path) -> None:
    names = [temporary_name(tmp_path / name) for name in ("a", "a", "a.b", "b")]
    for name in (*names, ".a.tmp", ".a.0123.tmp", "a"):
        (tmp_path / name).touch()
    (tmp_path / names[0]).unlink()
    (tmp_path / names[0]).mkdir()
    remove_leftovers(tmp_path / "a")
    assert {path.name for path in tmp_path.iterdir()} == {*names[2:], ".a.tmp", ".a.0123.tmp", "a"}
    remove_leftovers(tmp_path / "none" / "a")


def test_a_result_takes_old_leftovers_of_its_folder_away(tmp_path: Path) -> None:
    """Of a killed run; a folder that is being written at the same time is left alone."""
    old, other, fresh = (tmp_path / temporary_name(tmp_path / name) for name in ("out", "another", "out"))
    for folder in (old, other, fresh):
        folder.mkdir()
        (folder / "depth.npy").touch()
    for folder in (old, other):
        os.utime(folder, (time.time() - 2 * 24 * 3600,) * 2)
    stack = FocalStack(np.random.default_rng(0).integers(0, 255, (3, 16, 16), dtype=np.uint8), [1, 2, 3])
    load_model("classical", device="cpu").predict(stack).save(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", other.name, fresh.name}


def test_the_name_fits_where_the_target_does(tmp_path: Path) -> None:
    with replacing(tmp_path / ("ü" * 120)) as temporary:  # 240 bytes
        temporary.touch()
    assert len(list(tmp_path.iterdir())) == 1
