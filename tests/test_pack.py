"""Packs: the same data in one small file, and every reader takes it."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from test_datasets import make_nyu
from test_profiles import wide_profile
from training_runs import write_stack

from dualfocus.baselines.pictures import open_pictures
from dualfocus.benchmarks.protocols import find_protocol, open_dataset
from dualfocus.datasets import NyuLabelled, StackFolders, open_nyu
from dualfocus.datasets.files import read_image
from dualfocus.datasets.nyu_labelled import form_of
from dualfocus.datasets.pack import pack
from dualfocus.datasets.unpacked import unpacked
from dualfocus.readers import load_stack
from dualfocus.training.rgbd_source import RgbdSource, read_depth


def test_labelled_nyu(tmp_path):
    make_nyu(tmp_path / "nyu")
    assert pack(tmp_path / "nyu", tmp_path / "test.zip", split="test") == 3
    whole = NyuLabelled(tmp_path / "nyu", planes=2)
    packed = open_dataset(find_protocol("nyu/hybriddepth-n5"), tmp_path / "test.zip")
    assert packed.names == ["0007"]
    (rgb, depth), (packed_rgb, packed_depth) = whole.rgbd(0), packed.rgbd(0)
    assert np.abs(rgb.astype(int) - packed_rgb).mean() < 6  # WebP of blocks of loud colours
    inner = (slice(20, -20), slice(20, -20))  # smoothing knows the level beyond the crop only in the whole image
    np.testing.assert_allclose(packed_depth[inner], depth[inner], atol=0.002)
    with pytest.raises(ValueError, match="no split 'train'"):
        open_nyu(unpacked(tmp_path / "test.zip"), "train", planes=2)


def test_smooth_depth_of_an_unpacked_pack_is_kept(tmp_path):
    make_nyu(tmp_path / "nyu")
    pack(tmp_path / "nyu", tmp_path / "test.zip", split="test")
    folder = unpacked(tmp_path / "test.zip")
    first = open_nyu(folder, planes=2).rgbd(0)[1]
    (kept,) = (folder / "depth_smooth").iterdir()
    np.testing.assert_array_equal(open_nyu(folder, planes=2).rgbd(0)[1], first)
    Image.fromarray(np.zeros(first.shape, np.uint16)).save(kept)  # what is kept is what is read
    assert open_nyu(folder, planes=2).rgbd(0)[1].max() < first.min()


def test_nothing_is_written_where_people_unpacked_a_pack_themselves(tmp_path):
    make_nyu(tmp_path / "nyu")
    pack(tmp_path / "nyu", tmp_path / "test.zip", split="test")
    with zipfile.ZipFile(tmp_path / "test.zip") as archive:
        archive.extractall(tmp_path / "mine")
    before = sorted((tmp_path / "mine").rglob("*"))
    depth = open_nyu(tmp_path / "mine", planes=2).rgbd(0)[1]
    assert sorted((tmp_path / "mine").rglob("*")) == before
    np.testing.assert_array_equal(depth, open_nyu(unpacked(tmp_path / "test.zip"), planes=2).rgbd(0)[1])
    assert pack(tmp_path / "mine", tmp_path / "again.zip", split="test") == 3


def test_stacks(tmp_path):
    write_stack(tmp_path / "data" / "scene1", 1, "m")
    pack(tmp_path / "data", tmp_path / "stacks.zip", quality=95)
    given, found = StackFolders(tmp_path / "data")[0], StackFolders(unpacked(tmp_path / "stacks.zip"))[0]
    np.testing.assert_array_equal(found.truth, given.truth)
    np.testing.assert_array_equal(found.stack.focus_distances, given.stack.focus_distances)
    assert np.abs(found.stack[0].astype(int) - given.stack[0]).mean() < 4
    assert (tmp_path / "stacks.zip").stat().st_size < sum(f.stat().st_size for f in (tmp_path / "data").rglob("*.*"))


def test_deep_planes_are_not_touched(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    deep = np.random.default_rng(0).integers(0, 65535, (24, 32), dtype=np.uint16)
    for name in ("a.png", "b.png"):
        Image.fromarray(deep).save(folder / name)
    np.save(folder / "truth.npy", np.ones((24, 32), np.float32))
    sidecar = {"images": ["a.png", "b.png"], "focus_distances": [1, 2], "unit": "m", "ground_truth": "truth.npy"}
    (folder / "stack.json").write_text(json.dumps(sidecar))
    pack(folder, tmp_path / "p.zip")
    assert (unpacked(tmp_path / "p.zip") / "a.png").read_bytes() == (folder / "a.png").read_bytes()


def test_rgbd(tmp_path):
    for name in ("rgb", "depth"):
        (tmp_path / "d" / name).mkdir(parents=True)
    depth = np.random.default_rng(0).uniform(1, 2, (40, 40)).astype(np.float32)
    np.save(tmp_path / "d" / "depth" / "x.npy", depth)
    (tmp_path / "d" / "rgb" / "._x.jpg").write_bytes(b"what macOS puts beside a file on other disks")
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / "d" / "rgb" / "x.jpg")
    pack(tmp_path / "d", tmp_path / "d.zip")
    folder = unpacked(tmp_path / "d.zip")
    np.testing.assert_array_equal(np.load(folder / "depth" / "x.npy"), depth)
    assert (folder / "rgb" / "x.webp").is_file()


def test_same_data_same_bytes_and_a_new_pack_gets_a_new_folder(tmp_path):
    make_nyu(tmp_path / "nyu")
    for name in ("a.zip", "b.zip"):
        pack(tmp_path / "nyu", tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    folder = unpacked(tmp_path / "a.zip")
    (folder / "left_over").touch()
    assert unpacked(tmp_path / "a.zip") == folder and (folder / "left_over").exists()
    pack(tmp_path / "nyu", tmp_path / "a.zip", split="test")
    assert unpacked(tmp_path / "a.zip") != folder and folder.is_dir()


def test_unpacking_never_touches_the_data_it_was_made_from(tmp_path):
    root = make_nyu(tmp_path / "nyu")
    pack(root, tmp_path / "nyu.zip")
    before = sorted(path.name for path in root.rglob("*"))
    assert unpacked(tmp_path / "nyu.zip") != root
    assert sorted(path.name for path in root.rglob("*")) == before


def test_names_that_would_meet_are_refused(tmp_path):
    write_stack(tmp_path / "data", 1, "m")
    sidecar = json.loads((tmp_path / "data" / "stack.json").read_text())
    first = sidecar["images"][0]
    Image.open(tmp_path / "data" / first).save(tmp_path / "data" / (first.rsplit(".", 1)[0] + ".webp"))
    sidecar["images"].append(first.rsplit(".", 1)[0] + ".webp")
    (tmp_path / "data" / "stack.json").write_text(json.dumps(sidecar))
    with pytest.raises(ValueError, match="two files would both be"):
        pack(tmp_path / "data", tmp_path / "p.zip")
    del sidecar["images"]
    (tmp_path / "data" / "stack.json").write_text(json.dumps(sidecar))
    with pytest.raises(ValueError, match=r"stack\.json: names no images"):
        pack(tmp_path / "data", tmp_path / "p.zip")


def test_says_what_is_wrong_and_leaves_nothing(tmp_path):
    root = make_nyu(tmp_path / "nyu")
    with pytest.raises(ValueError, match=r"out: a pack is a \.zip"):
        pack(root, tmp_path / "out")
    with pytest.raises(ValueError, match="holds no data set to pack"):
        pack(root / "rgb", tmp_path / "out.zip")
    (root / "rgb" / "0003.jpg").write_text("text")
    with pytest.raises(ValueError, match=r"0003\.jpg: cannot be read"):
        pack(root, tmp_path / "out.zip")
    assert not list(tmp_path.glob("out.zip*"))
    (tmp_path / "bad.zip").write_text("text")
    with pytest.raises(ValueError, match=r"bad\.zip: cannot be unpacked"):
        unpacked(tmp_path / "bad.zip")
    assert not (tmp_path / "bad").exists()


def test_spoilt_packs_are_one_line_and_leave_nothing(tmp_path):
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("stack.json", json.dumps({"images": [f"{n}.png" for n in range(2000)]}))
    content = bytearray(whole.read_bytes())
    body = 30 + len("stack.json")
    spoilt = bytearray(content)
    spoilt[body + 20 : body + 60] = bytes(40)
    flagged = bytearray(content)
    for at in (6, content.index(b"PK\x01\x02") + 8):  # the flag of encryption, in both headers
        flagged[at] |= 1
    for name, data in (("spoilt", spoilt), ("encrypted", flagged), ("cut", content[: len(content) // 2])):
        (tmp_path / f"{name}.zip").write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}\.zip: cannot be unpacked"):
            unpacked(tmp_path / f"{name}.zip")
    assert {path.name for path in tmp_path.iterdir()} == {"whole.zip", "spoilt.zip", "encrypted.zip", "cut.zip"}


@pytest.mark.parametrize("record", ["[1, 2]", '{"train": ["a"], "test": []}', '{"train": null, "test": []}'])
def test_splits_of_another_form_are_named(tmp_path, record):
    root = make_nyu(tmp_path / "nyu")
    (root / "splits.json").write_text(record)
    for use in (lambda: pack(root, tmp_path / "out.zip"), lambda: form_of(root)(root, "train", planes=2)):
        with pytest.raises(ValueError, match=r"splits\.json: must be one JSON object in which train and test"):
            use()


@pytest.mark.parametrize("scale", [True, 0, 10**401])
def test_a_scale_of_depth_that_makes_no_sense_is_named(tmp_path, scale):
    for n in range(2):
        Image.fromarray(np.full((8, 8), 100 * n, np.uint8)).save(tmp_path / f"{n}.png")
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(tmp_path / "depth.png")
    record = {"images": ["0.png", "1.png"], "focus_distances": [1, 2], "unit": "m", "depth_png": "depth.png"}
    (tmp_path / "stack.json").write_text(json.dumps(record | {"depth_png_scale_m": scale}))
    with pytest.raises(ValueError, match=r"stack\.json: depth_png needs depth_png_scale_m"):
        StackFolders(tmp_path)[0]


def test_a_damaged_depth_image_is_named(tmp_path):
    path = tmp_path / "depth.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 60000, (64, 64)).astype(np.uint16)).save(path)
    content = path.read_bytes()
    at = content.rindex(b"IDAT")
    broken = bytearray(content)
    broken[at : at + 4] = b"\x01\x02\x03\x04"
    path.write_bytes(bytes(broken))
    for read in (read_image, read_depth):
        with pytest.raises(ValueError, match=r"depth\.png: cannot be read as"):
            read(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "must be a JSON object"),
        ("{", "not valid JSON"),
        ('{"images": [1, 2]}', "must be a list of file names"),
        ('{"images": "a.png"}', "must be a list of file names"),
        ('{"focus_distances": [1, 2], "unit": "m"}', "names no images"),
        ('{"images": ["a.png", "cut.png"]}', r"cut\.png: cannot be read"),
        ('{"images": ["a.png", "b.png"], "ground_truth": 5}', "ground_truth"),
        ('{"images": ["a.png", "b.png"], "depth_png": "none.png"}', "'none.png', which is not there"),
        ('{"images": ["a.png", "../other.png"]}', r"\.\./other\.png, outside its folder"),
    ],
)
def test_bad_sidecars_are_named(tmp_path, content, words):
    folder = tmp_path / "s"
    folder.mkdir()
    for path in (folder / "a.png", folder / "b.png", tmp_path / "other.png"):
        Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(path)
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:40])
    (folder / "stack.json").write_text(content)
    with pytest.raises(ValueError, match=words) as error:
        pack(folder, tmp_path / "p.zip")
    assert str(folder) in str(error.value) and not list(tmp_path.glob("p.zip*"))


def test_grey_photographs_of_sixteen_bits_keep_their_tones(tmp_path):
    for name in ("rgb", "depth"):
        (tmp_path / "d" / name).mkdir(parents=True)
    tones = np.linspace(0, 65535, 1600).astype(np.uint16).reshape(40, 40)
    Image.fromarray(tones).save(tmp_path / "d" / "rgb" / "x.png")
    np.save(tmp_path / "d" / "depth" / "x.npy", np.ones((40, 40), np.float32))
    pack(tmp_path / "d", tmp_path / "d.zip", quality=100)
    photo = np.array(Image.open(unpacked(tmp_path / "d.zip") / "rgb" / "x.webp").convert("L"))
    assert np.abs(photo - (tones / 257)).mean() < 2
    image, _ = open_pictures(tmp_path / "d", "rgbd").rgbd(0)
    assert np.abs(image[..., 1] - tones / 257).max() < 1 and image.shape == (40, 40, 3)


def test_a_colour_profile_is_kept(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    profile = wide_profile(gamma=1.0, name="linear")
    for n in range(2):
        Image.fromarray(np.full((20, 30, 3), 90 + n, np.uint8)).save(folder / f"{n}.png", icc_profile=profile)
    (folder / "stack.json").write_text('{"images": ["0.png", "1.png"], "focus_distances": [1, 2], "unit": "m"}')
    pack(folder, tmp_path / "s.zip")
    before, after = load_stack(folder)[0], load_stack(tmp_path / "s.zip")[0]
    assert before.mean() > 110  # a linear 90 is far brighter in sRGB
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("rgb/a.JPG", "depth/a.PNG", "rgb/b.png"), "b.png: no depth/b.npy or depth/b.png beside it"),
        (("rgb/a.JPG", "depth/a.PNG", "depth/b.PNG"), "depth: b has no picture in rgb"),
        (("rgb/a.JPG", "rgb/a.png", "depth/a.PNG"), "another picture has this name"),
        (("rgb/a.JPG", "depth/a.PNG"), None),
    ],
)
def test_pictures_and_depth_go_in_pairs(tmp_path, names, words):
    for name in names:
        path = tmp_path / "d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tones = np.full((20, 30), 900, np.uint16)
        Image.fromarray(tones if "depth" in name else tones.astype(np.uint8)).save(path)
    if words is None:
        pack(tmp_path / "d", tmp_path / "d.zip")
        assert len(RgbdSource(unpacked(tmp_path / "d.zip")).pairs) == len(RgbdSource(tmp_path / "d").pairs) == 1
    else:
        with pytest.raises(ValueError, match=words):
            pack(tmp_path / "d", tmp_path / "d.zip")


def test_command(tmp_path):
    make_nyu(tmp_path / "nyu")
    command = [sys.executable, "-m", "dualfocus.cli", "pack", "nyu", "-o", "train.zip", "--split", "train"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "3 files" in done.stdout
    with zipfile.ZipFile(tmp_path / "train.zip") as archive:
        assert archive.namelist() == ["splits.json", "rgb/0003.webp", "depth_u8/0003.png"]
    done = subprocess.run([*command[:4], "nowhere", "-o", "x.zip"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "nowhere" in done.stderr and "Traceback" not in done.stderr
