"""One sentence for each bad file, folder, size and distance, which names it."""

import io
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from photo_folders import H, W, picture, write_folder
from PIL import Image

from dualfocus import FocalStack, load_model
from dualfocus.readers import load_stack


def test_bad_folders_and_lists(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=rf"{tmp_path.name}: no images .*\.jpg, .*\.tif"):
        load_stack(tmp_path)
    with pytest.raises(ValueError, match="gone: no such file"):
        load_stack(tmp_path / "gone")
    with pytest.raises(ValueError, match="notes.txt: not a supported image"):
        load_stack(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="no files were given"):
        load_stack([])
    for source in (None, 5, [None], [tmp_path, 5]):
        with pytest.raises(ValueError, match="not a path or a list of paths"):
            load_stack(source)
    with pytest.raises(ValueError, match="aaa: no such file"):
        load_stack("a" * 300)
    write_folder(tmp_path, ["only.jpg"])
    with pytest.raises(ValueError, match="only.jpg: this file is given twice"):
        load_stack([tmp_path / "only.jpg", tmp_path / ".." / tmp_path.name / "only.jpg"])
    for source in (tmp_path, tmp_path / "only.jpg"):
        with pytest.raises(ValueError, match="one photograph alone: a focal stack is at least two photographs"):
            load_stack(source)
    with pytest.raises(ValueError, match="a folder among the files"):
        load_stack([tmp_path / "only.jpg", tmp_path])
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((5, H, W), np.uint8))
    with pytest.raises(ValueError, match="z.tif: holds 5 pages beside other files"):
        load_stack(tmp_path)


def test_images_in_memory_are_pointed_to_focal_stack():
    planes = np.zeros((3, H, W, 3), np.uint8)
    for source in (planes, list(planes), iter(planes), planes[0, ..., 0]):
        with pytest.raises(ValueError, match=r"images in memory make a stack by FocalStack\(images\)$") as caught:
            load_stack(source)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="is not a path or a list of paths") as caught:
        load_stack(["a.png", {"images": "\n" * 500}])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@contextmanager
def limited(folder, rights):
    """In a folder whose sub-folders have these rights, as a user for whom rights count: not as the administrator."""
    before, is_root = Path.cwd(), os.geteuid() == 0
    for name in rights:
        (folder / name).chmod(rights[name])
    folder.chmod(0o755)
    os.chdir(folder)
    if is_root:
        os.seteuid(65534)  # nobody
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        os.chdir(before)
        for name in rights:
            (folder / name).chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no rights as in Unix")
@pytest.mark.parametrize("rights", [0o000, 0o111, 0o444])
def test_a_folder_that_cannot_be_read_is_not_called_empty(tmp_path, rights):
    write_folder(tmp_path / "desk", ["a.png", "b.png"])
    (tmp_path / "all").mkdir()
    write_folder(tmp_path / "all" / "desk", ["a.png"])
    with limited(tmp_path, {"desk": rights, "all/desk": 0}):
        with pytest.raises(ValueError, match=r"^desk: the folder cannot be read \(Permission denied\)$"):
            load_stack("desk")
        with pytest.raises(ValueError, match=r"^all: no images in this folder, and its sub-folder desk cannot be read"):
            load_stack("all")


@pytest.mark.parametrize(
    ("focus", "words"),
    [
        ("1,2", "2 focus distances for 3 images"),
        ("1,2,far", "'far' is not a number"),
        ("1,,2", "'' is not a number"),
        ("0,3 0,5 1", "'3 0' is not a number: .* a point for decimals"),
        ("1m,2m,3m", "'1m' is not a number: .* unit="),
        ("1,2,nan", "nan of image 2"),
        ("1,-2,3", "-2 m of image 1"),
        ([1, 1, 2], "images 0 and 1 have the same"),
        (0.5, "for 3 images"),
        ([], "0 focus distances for 3 images"),
        (["a", "b", "c"], "must be numbers"),
    ],
)
def test_bad_focus(tmp_path, focus, words):
    write_folder(tmp_path, ["a.png", "b.png", "c.png"])
    with pytest.raises(ValueError, match=words):
        load_stack(tmp_path, focus=focus)
    with pytest.raises(ValueError, match="unknown unit 'furlong'"):
        load_stack(tmp_path, unit="furlong")


def test_unequal_sizes_name_both_files(tmp_path):
    write_folder(tmp_path, ["a.png"])
    write_folder(tmp_path, ["b.png"], size=(W, H + 1))
    with pytest.raises(ValueError, match=f"b.png is {W} x {H + 1} pixels but a.png is {W} x {H}"):
        load_stack(tmp_path)


def test_text_named_png(tmp_path):
    write_folder(tmp_path, ["a.png"])
    (tmp_path / "b.png").write_text("this is no picture")
    with pytest.raises(ValueError, match="b.png: not an image that can be read"):
        load_stack(tmp_path)
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(ValueError, match="b.png: not an image that can be read"):
        load_stack(tmp_path)


@pytest.mark.parametrize("kind", ["jpg", "png", "png16", "bmp", "webp", "tif", "zlib.tif", "lzw.tif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_off_files_are_named(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    suffix = "png" if kind == "png16" else kind.split(".")[-1]
    buffer = io.BytesIO()
    if kind == "png16":
        buffer.write(cv2.imencode(".png", noise.astype(np.uint16) * 257)[1].tobytes())
    elif suffix == "tif":
        compression = {"zlib.tif": "tiff_adobe_deflate", "lzw.tif": "tiff_lzw"}.get(kind)
        Image.fromarray(noise).save(buffer, "TIFF", compression=compression)
    else:
        Image.fromarray(noise).save(buffer, {"jpg": "JPEG"}.get(suffix, suffix))
    data = buffer.getvalue()
    (tmp_path / f"a.{suffix}").write_bytes(data)
    (tmp_path / f"b.{suffix}").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=rf"b\.{suffix}") as caught:
        load_stack(tmp_path)[1]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.4, 0.7, 0.98])
@pytest.mark.parametrize("imagej", [False, True])
def test_cut_off_z_stack(tmp_path, share, imagej):
    pages = np.stack([picture(n)[..., 0] for n in range(8)])
    tifffile.imwrite(tmp_path / "z.tif", pages, imagej=imagej)
    data = (tmp_path / "z.tif").read_bytes()
    (tmp_path / "z.tif").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match="z.tif"):
        load_stack(tmp_path / "z.tif")
    call = f"load_stack({str(tmp_path / 'z.tif')!r})"
    code = f"from dualfocus.readers import load_stack\ntry: {call}\nexcept ValueError: pass"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr == b""


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("axes", ["ZYX", "ZYXS", None])
def test_cut_off_stack_under_a_single_header(tmp_path, share, axes):
    planes = np.stack([picture(n) if axes == "ZYXS" else picture(n)[..., 0] for n in range(8)])
    kind = {"imagej": True, "metadata": {"axes": axes}} if axes else {"photometric": "minisblack"}
    path = tmp_path / "z.tif"
    tifffile.imwrite(path, planes, truncate=True, **kind)
    data = path.read_bytes()
    before = len(data) - planes.nbytes  # the header, and what follows the planes
    path.write_bytes(data[: before + int(share * planes.nbytes)])
    with pytest.raises(ValueError, match=rf"z.tif: the file is cut off after {int(share * 8)} of 8 planes; copy"):
        load_stack(path)


def test_unsupported_samples(tmp_path):
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((5, H, W), np.int32))
    with pytest.raises(ValueError, match="z.tif: samples of type int32"):
        load_stack(tmp_path / "z.tif")


def test_numbers_given_as_text_are_refused_in_one_line(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    stack = load_stack(tmp_path, focus=[1, 2])
    planes = np.stack(list(stack))
    for wrong, words in (
        (lambda: FocalStack(planes, pixel_size_um="a"), "pixel size .* not 'a'"),
        (lambda: load_stack(tmp_path, pixel_size="a"), "pixel size .* not 'a'"),
        (lambda: load_stack(tmp_path, z_step="2"), "z step .* not '2'"),
        (lambda: load_model("classical").predict(stack).save(tmp_path / "out", fov="a"), "field of view of 'a'"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    assert not (tmp_path / "out").exists()
