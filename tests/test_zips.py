"""ZIPs of a stack, whatever program made them; bad ones do no harm."""

import gc
import io
import json
import pickle
import shutil
import struct
import subprocess
import tracemalloc
import unicodedata
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from camera_files import H, W, encoded, smooth, write_zip

from dualfocus.readers import load_stack


def test_zip_of_images(tmp_path):
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, smooth(2), photometric="rgb")
    files = {"desk/img10.png": encoded(1), "desk/img2.png": encoded(0), "desk/img11.tif": tiff.getvalue()}
    litter = {"__MACOSX/desk/._img2.png": b"x", "desk/.DS_Store": b"x", "desk/notes.txt": b"x"}
    stack = load_stack(write_zip(tmp_path / "desk.zip", {**files, **litter}))
    assert stack.names == ["img2.png", "img10.png", "img11.tif"] and stack.unit == "index"
    for n in range(3):
        np.testing.assert_array_equal(stack[n], smooth(n))
    sidecar = json.dumps({"images": ["img10.png", "img2.png"], "focus_distances": [1, 2], "unit": "m"})
    stack = load_stack(write_zip(tmp_path / "desk.zip", {**files, "desk/stack.json": sidecar}))
    assert stack.names == ["img10.png", "img2.png"] and stack.focus_distances.tolist() == [1, 2]
    above = json.dumps({"images": ["desk/img10.png", "desk/img2.png"], "order": "near_to_far"})
    stack = load_stack(write_zip(tmp_path / "desk.zip", {**files, "stack.json": above, "other.json": "{}"}))
    assert stack.names == ["img10.png", "img2.png"] and stack.order == "near_to_far"


def write_spelled_zip(path, files):
    """A ZIP whose members' names are these very bytes, as other programs write them, without saying which encoding."""
    marks = [(bytes([65 + n]) * len(name), name) for n, name in enumerate(files)]
    write_zip(path, {mark.decode(): data for (mark, _), data in zip(marks, files.values(), strict=True)})
    data = path.read_bytes()
    for mark, name in marks:
        assert data.count(mark) == 2
        data = data.replace(mark, name)
    path.write_bytes(data)
    return path


# what the same folder "Büro" becomes: its members' names, and what is put beside the files
ZIP_PROGRAMS = {
    "Linux": (lambda name: f"Büro/{name}".encode(), {}),
    "a program that starts at the working folder": (lambda name: f"./Büro/{name}".encode(), {}),
    "Explorer": (
        lambda name: f"Büro/{name}".encode("cp437"),
        {b"B\x81ro/Thumbs.db": b"x", b"B\x81ro/desktop.ini": b"x"},
    ),
    "an old .NET": (lambda name: f"Büro\\{name}".encode("cp437"), {}),
    "Finder": (
        lambda name: unicodedata.normalize("NFD", f"Büro/{name}").encode(),
        {b"Bu\xcc\x88ro/.DS_Store": b"x", b"__MACOSX/._Bu\xcc\x88ro": b"x", b"__MACOSX/._Thumb.png": b"x"},
    ),
}


@pytest.mark.parametrize("with_sidecar", [True, False])
@pytest.mark.parametrize("program", ZIP_PROGRAMS)
def test_a_zip_of_a_folder_is_read_like_the_folder(tmp_path, program, with_sidecar):
    files = {f"Fläche {n}_0.{n}.png": encoded(n) for n in (3, 5, 4)}
    if with_sidecar:
        keys = {"images": sorted(files, reverse=True), "focus_distances": [5, 4, 3], "unit": "mm"}
        files["stack.json"] = json.dumps(keys, ensure_ascii=False).encode()
    folder = tmp_path / "Büro"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    spell, beside = ZIP_PROGRAMS[program]
    zipped = load_stack(
        write_spelled_zip(tmp_path / "desk.zip", {**{spell(name): files[name] for name in files}, **beside})
    )
    expected = load_stack(folder)
    assert zipped.names == expected.names
    assert zipped.unit == expected.unit == ("mm" if with_sidecar else "m")
    np.testing.assert_array_equal(zipped.focus_distances, expected.focus_distances)
    for n in range(3):
        np.testing.assert_array_equal(zipped[n], expected[n])


@pytest.mark.skipif(shutil.which("zip") is None, reason="no zip command")
@pytest.mark.parametrize("what", ["desk", "./desk", "desk/a.png desk/b.png", "."])
def test_zips_of_the_zip_command(tmp_path, what):
    (tmp_path / "desk").mkdir()
    for n, name in enumerate("ab"):
        (tmp_path / "desk" / f"{name}.png").write_bytes(encoded(n))
    subprocess.run(["zip", "-rq", "desk.zip", *what.split()], cwd=tmp_path, check=True)
    stack = load_stack(tmp_path / "desk.zip")
    assert stack.names == ["a.png", "b.png"]
    np.testing.assert_array_equal(stack[1], smooth(1))


def test_a_folder_around_the_folder_is_named(tmp_path):
    images = {"a.png": encoded(0), "b.png": encoded(1)}
    for folder in ("desk10", ".hidden", "empty"):
        (tmp_path / "all" / folder).mkdir(parents=True)
    for folder in ("desk10", ".hidden"):
        for name, data in images.items():
            (tmp_path / "all" / folder / name).write_bytes(data)
    with pytest.raises(
        ValueError, match=r"all: no images in this folder, but in its sub-folder desk10: give \S+all.desk10$"
    ):
        load_stack(tmp_path / "all")
    shutil.copytree(tmp_path / "all" / "desk10", tmp_path / "all" / "desk9")
    with pytest.raises(ValueError, match=r"but in its sub-folders desk9, desk10: give one of them$"):
        load_stack(tmp_path / "all")


def test_bad_zips(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK no")
    with pytest.raises(ValueError, match=r"a.zip: not a ZIP file that can be read"):
        load_stack(path)
    with pytest.raises(ValueError, match=r"a.zip: no images in this ZIP"):
        load_stack(write_zip(path, {"notes.txt": b"x"}))
    with pytest.raises(ValueError, match=r"a.zip: holds images in several folders \(x, y\)"):
        load_stack(write_zip(path, {"x/a.png": encoded(), "y/a.png": encoded()}))
    with pytest.raises(ValueError, match=r"a.zip: holds images in several folders \(its top, x\)"):
        load_stack(write_zip(path, {"x\\a.png": encoded(), "./a.png": encoded()}))
    with pytest.raises(ValueError, match=r"one photograph alone"):
        load_stack(write_zip(path, {"x/a.png": encoded()}))
    with pytest.raises(ValueError, match=r"give it alone"):
        load_stack([path, tmp_path / "a.zip.zip"])


def test_a_zip_cannot_lead_outside(tmp_path):
    outside = tmp_path / "secret.png"
    outside.write_bytes(encoded())
    folder = tmp_path / "in"
    folder.mkdir()
    inside = {"a.png": encoded(0), "b.png": encoded(1)}
    outwards = ["../secret.png", "x/../../b.png", "..\\secret.png", "x\\..\\..\\b.png", "./../b.png"]
    with pytest.raises(ValueError, match="no images in this ZIP"):
        load_stack(write_zip(folder / "z.zip", dict.fromkeys(outwards, encoded())))
    for name in ("../secret.png", str(outside), "../../secret.png"):
        sidecar = json.dumps({"images": ["a.png", name]})
        with pytest.raises(ValueError, match="which is not there"):
            load_stack(write_zip(folder / "z.zip", {**inside, "stack.json": sidecar}))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "secret.png", "z.zip"]


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = write_zip(tmp_path / "z.zip", {"a.png": encoded(0), "b.png": encoded(1)})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")  # the last entry of the directory: its unpacked size
    data[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"z.zip/b.png: unpacks to 4.0 GiB"):
        load_stack(path)


def test_nothing_is_left_beside_the_files(tmp_path):
    path: Path = write_zip(tmp_path / "z.zip", {"a.png": encoded(0), "b.png": encoded(1)})
    stack = load_stack(path)
    assert stack[1].shape == (H, W, 3) and [p.name for p in tmp_path.iterdir()] == ["z.zip"]


@pytest.mark.parametrize("damaged", ["stack.json", "a.png"])
def test_a_damaged_member_is_named(tmp_path, damaged):
    path = tmp_path / "z.zip"
    sidecar = json.dumps({"images": ["a.png", "b.png"], "focus_distances": [1, 2], "unit": "m"}).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {"a.png": encoded(0), "b.png": encoded(1), "stack.json": sidecar}.items():
            archive.writestr(name, data)
        start = archive.getinfo(damaged).header_offset + 30 + len(damaged)
    data = bytearray(path.read_bytes())
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"z\.zip/{damaged}: ") as caught:
        load_stack(path)[0]
    assert "\n" not in str(caught.value)


def zip_of_pages(path, pages=6, seed=0, beside=()):
    """A ZIP of one TIFF of noise, (pages, 256, 512) of 8 bits, and those planes."""
    planes = np.random.default_rng(seed).integers(0, 256, (pages, 256, 512), dtype=np.uint8)
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, planes, photometric="minisblack")
    write_zip(path, {"z.tif": tiff.getvalue(), **dict(beside)})
    return path, planes


def test_a_tiff_is_unpacked_once_for_all_its_pages(tmp_path, monkeypatch):
    unpacked, read = [], zipfile.ZipFile.read
    monkeypatch.setattr(
        zipfile.ZipFile, "read", lambda archive, member: unpacked.append(member.filename) or read(archive, member)
    )
    path, planes = zip_of_pages(tmp_path / "z.zip")
    stack = load_stack(path)
    for n in (0, 1, 2, 3, 4, 5, 2):
        np.testing.assert_array_equal(stack[n][..., 0], planes[n])
    assert unpacked == ["z.tif"]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: stack[n][..., 0], [*range(6)] * 3))
    np.testing.assert_array_equal(np.stack(found), np.concatenate([planes] * 3))
    path, planes = zip_of_pages(path, seed=1, beside={"notes.txt": b"another ZIP by the same name"}.items())
    np.testing.assert_array_equal(stack[3][..., 0], planes[3])
    assert unpacked == ["z.tif"] * 2


def test_what_was_unpacked_goes_with_the_stack(tmp_path):
    path, planes = zip_of_pages(tmp_path / "z.zip", pages=20)
    tracemalloc.start()
    try:
        stack = load_stack(path)
        assert tracemalloc.get_traced_memory()[0] > planes.nbytes  # the TIFF, for the pages to come
        other = load_stack(write_zip(tmp_path / "a.zip", {"a.png": encoded(0), "b.png": encoded(1)}))
        assert len(pickle.dumps(stack)) < planes.nbytes / 10
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(stack))[19], stack[19])
        del stack
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < planes.nbytes / 4
        np.testing.assert_array_equal(other[0], smooth(0))
    finally:
        tracemalloc.stop()
