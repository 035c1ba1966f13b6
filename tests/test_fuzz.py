"""Broken and odd files: whatever comes, a stack or one sentence. DUALFOCUS_FUZZ=5000 is the full run."""

import contextlib
import faulthandler
import io
import json
import os
import string
import tempfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from camera_files import canon_jpeg, write_dng, write_video, write_zip, xmp_packet
from PIL import Image, features
from PIL.TiffImagePlugin import IFDRational

from dualfocus.cli import main
from dualfocus.outputs.files import RESULT_FILES
from dualfocus.readers import load_stack

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # numpy's would be a second line on stderr
COUNT = int(os.environ.get("DUALFOCUS_FUZZ", "300"))
LONGEST_S = 10
H, W = 24, 32
STACKS = ("pages.tif", "float.tif", "one.tif", "imagej.tif", "a.ome.tif", "a.avi", "a.zip")  # each is a stack alone


def budget(share):
    """A share of all examples; the same ones every time, but for the full run."""
    return hypothesis.settings(
        max_examples=max(5, int(COUNT * share)),
        deadline=None,
        derandomize="DUALFOCUS_FUZZ" not in os.environ,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def picture(seed=0, dtype=np.uint8, channels=3):
    top = 255 if dtype == np.uint8 else 65535
    return np.random.default_rng(seed).integers(0, top, (H, W, channels)).astype(dtype)


def rarely(strategy):
    """None nine times out of ten."""
    return st.integers(0, 9).flatmap(lambda n: st.none() if n else strategy)


@cache
def samples():
    """One good file of every kind, by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = Image.fromarray(picture())
        exif = Image.Exif()
        exif[0x0112] = 6
        exif.get_ifd(0x8769).update({0x9206: 0.5, 0x920A: 6.8, 0x829D: 1.8, 0xA405: 24})
        image.save(folder / "a.jpg", exif=exif, xmp=xmp_packet('aux:ApproximateFocusDistance="53/100"/>'))
        canon_jpeg(folder / "canon.jpg", 45, 0.5)
        for suffix in ("png", "bmp", "webp"):
            image.save(folder / f"a.{suffix}")
        image.convert("P").save(folder / "palette.png")
        (folder / "sixteen.png").write_bytes(cv2.imencode(".png", picture(dtype=np.uint16))[1].tobytes())
        image.save(folder / "a.tif")
        image.save(folder / "lzw.tif", compression="tiff_lzw")
        image.save(folder / "jpeg.tif", compression="jpeg")
        planes = np.stack([picture(n, np.uint16)[..., 0] for n in range(6)])
        tifffile.imwrite(folder / "pages.tif", planes, photometric="minisblack", compression="zlib")
        tifffile.imwrite(folder / "float.tif", (planes / 65535).astype(np.float32), photometric="minisblack")
        tifffile.imwrite(folder / "one.tif", planes, photometric="minisblack", truncate=True)
        described = {"axes": "ZCYX", "spacing": 2.5, "unit": "um"}
        tifffile.imwrite(folder / "imagej.tif", planes.reshape(3, 2, H, W), imagej=True, metadata=described)
        described = {"axes": "TZCYX", "PhysicalSizeZ": 2, "PhysicalSizeX": 0.3, "Channel": {"Name": ["a"]}}
        tifffile.imwrite(folder / "a.ome.tif", planes.reshape(2, 3, 1, H, W), metadata=described)
        if features.check("avif"):
            image.save(folder / "a.avif")
        with contextlib.suppress(ImportError):
            import pillow_heif

            pillow_heif.from_pillow(image).save(folder / "a.heic")
        with contextlib.suppress(ImportError):
            import rawpy  # noqa: F401

            write_dng(folder / "a.dng", picture(dtype=np.uint16)[..., 0] // 16, 6)
        write_video(folder / "a.avi", np.linspace(0, 1, 12), (64, 48))
        png = (folder / "a.png").read_bytes()
        write_zip(folder / "a.zip", {"a.png": png, "b.png": png, "stack.json": '{"images": ["b.png", "a.png"]}'})
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@st.composite
def damaged(draw, data):
    """A file with bytes changed, taken out, repeated or cut off: anywhere, or near its ends, where headers are."""
    damaged_bytes = bytearray(data)
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        size = len(damaged_bytes)
        if not size:
            break
        near = min(size, 400)
        at = draw(st.one_of(st.integers(0, near - 1), st.integers(0, size - 1), st.integers(size - near, size - 1)))
        length = draw(st.integers(1, 64))
        kind = draw(st.sampled_from(["flip", "flip", "set", "set", "zero", "ones", "cut", "drop", "repeat", "insert"]))
        if kind == "flip":
            damaged_bytes[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            damaged_bytes[at : at + 4] = draw(st.binary(min_size=1, max_size=4))
        elif kind == "zero":
            damaged_bytes[at : at + length] = bytes(len(damaged_bytes[at : at + length]))
        elif kind == "ones":
            damaged_bytes[at : at + 4] = b"\xff" * len(damaged_bytes[at : at + 4])
        elif kind == "cut":
            del damaged_bytes[at:]
        elif kind == "drop":
            del damaged_bytes[at : at + length]
        elif kind == "repeat":
            damaged_bytes[at:at] = damaged_bytes[at : at + length]
        else:
            damaged_bytes[at:at] = draw(st.binary(max_size=32))
    return bytes(damaged_bytes)


@contextlib.contextmanager
def watched():
    """A folder to work in; the whole run dies, and says where, if one example takes longer than it may."""
    with tempfile.TemporaryDirectory() as folder:
        faulthandler.dump_traceback_later(LONGEST_S, exit=True)
        try:
            yield Path(folder)
        finally:
            faulthandler.cancel_dump_traceback_later()


def load_or_say(source, **options):
    """Load and decode everything, or get one line."""
    try:
        stack = load_stack(source, **options)
        for plane in stack:
            assert plane.shape == (*stack.size, 3) and plane.dtype == stack.dtype
        _ = stack.ground_truth
    except ValueError as error:
        text = str(error)
        assert type(error) is ValueError and text and "\n" not in text and len(text) < 2000, text
        return None
    return stack


@hypothesis.given(st.data())
@budget(0.5)
def test_damaged_files(data):
    name = data.draw(st.sampled_from(sorted(samples())))
    suffix = "".join(Path(name).suffixes)
    content = data.draw(damaged(samples()[name]))
    if data.draw(st.integers(0, 9)) == 0:  # another kind than the name says
        suffix = data.draw(st.sampled_from([".jpg", ".png", ".tif", ".heic", ".dng", ".avi", ".zip", ".webp"]))
    options = {}
    if suffix.endswith(".tif"):
        options["channel"] = data.draw(rarely(st.sampled_from([0, 1, -1])))
        options["time"] = data.draw(rarely(st.sampled_from([0, 1])))
    with watched() as folder:
        path = folder / f"b{suffix}"
        path.write_bytes(content)
        if name in STACKS:
            load_or_say(path, **options)
        else:
            (folder / f"a{suffix}").write_bytes(samples()[name])
            load_or_say(folder, **options)


NUMBERS = st.one_of(st.integers(-3, 3), st.integers(), st.floats(), st.sampled_from([1e300, -0.0, 5e-324, 10**400]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8), st.sampled_from(["m", "a.png", "b.png", ".."])),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
GOOD = {
    "images": ["a.png", "b.png"],
    "focus_distances": [0.5, 1.0],
    "unit": "m",
    "order": "near_to_far",
    "camera": {"model": "c", "focal_length_mm": 50, "f_number": 2, "sensor_width_mm": 36},
    "aligned": True,
    "ground_truth": "truth.npy",
    "all_in_focus": "c.png",
}


@st.composite
def sidecars(draw):
    """A good sidecar with some values replaced, or other text."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=200))
    if kind == 1:
        return draw(damaged(json.dumps(GOOD).encode()))
    if kind == 2:
        return json.dumps(draw(JSON)).encode()
    if kind == 3:
        return b"[" * draw(st.integers(1, 100_000))
    content = dict(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from([*GOOD, "imagse", "units", "focus"]))
        if key == "camera" and draw(st.booleans()):
            field = draw(st.sampled_from(list(GOOD["camera"])))
            content["camera"] = {**GOOD["camera"], field: draw(JSON)}
        elif draw(st.booleans()):
            content.pop(key, None)
        else:
            content[key] = draw(st.one_of(JSON, st.lists(NUMBERS, min_size=2, max_size=2)))
    return json.dumps(content).encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])), "surrogatepass")


@hypothesis.given(sidecars(), st.binary(max_size=60))
@budget(0.2)
def test_odd_sidecars(content, truth):
    with watched() as folder:
        for name in ("a.png", "b.png"):
            (folder / name).write_bytes(samples()["a.png"])
        header = io.BytesIO()
        np.save(header, np.ones((H, W)))
        (folder / "truth.npy").write_bytes(header.getvalue()[:80] + truth if truth else header.getvalue())
        (folder / "stack.json").write_bytes(content)
        load_or_say(folder)


DISTANCES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "focus_", "img-3 ", "50mm_f1.8_"]),
    st.one_of(st.integers(0, 500), st.decimals(-1, 99, places=2), st.sampled_from(["0.0", "1e5", "9" * 200, "٣.٥"])),
    st.sampled_from(["", "m", "cm", "mm", "um", "µm", "D", "dpt", " m"]),
    st.sampled_from(["", "", "_1", "(2)"]),
)
STEMS = st.one_of(
    st.text(st.sampled_from(string.ascii_letters + string.digits + "._- =()µÅ"), min_size=1, max_size=14), DISTANCES
)
WORDS = st.one_of(st.sampled_from(["m", "mm", "um", "dioptre", "index", "D", "km", ""]), st.text(max_size=5), NUMBERS)


@hypothesis.given(
    st.lists(STEMS, min_size=2, max_size=4, unique=True),
    rarely(st.one_of(st.text(max_size=20), st.lists(NUMBERS, max_size=4), NUMBERS)),
    rarely(WORDS),
    st.fixed_dictionaries(
        {"z_step": rarely(NUMBERS), "pixel_size": rarely(NUMBERS), "frames": rarely(st.integers(-1, 3))}
    ),
)
@budget(0.1)
def test_odd_names_and_options(stems, focus, unit, options):
    with watched() as folder:
        for stem in stems:
            with contextlib.suppress(OSError):
                (folder / f"{stem}.png").write_bytes(samples()["a.png"])
        load_or_say(folder, focus=focus, unit=unit, **options)


FRACTIONS = st.tuples(st.sampled_from([0, 1, 7, 10**6, 2**32 - 1]), st.sampled_from([0, 1, 3, 10**6, 2**32 - 1]))
FRACTION_TEXTS = st.one_of(
    FRACTIONS.map("{0[0]}/{0[1]}".format), st.sampled_from(["1/" + "9" * 400, "9" * 400, "0.0", "-1", "1e5", "./.", ""])
)


@hypothesis.given(st.lists(st.tuples(FRACTIONS, FRACTION_TEXTS, FRACTIONS), min_size=2, max_size=3), DISTANCES, WORDS)
@budget(0.1)
def test_odd_metadata(stated, stem, unit):
    with watched() as folder:
        for n, (distance, text, length) in enumerate(stated):
            exif = Image.Exif()
            exif.get_ifd(0x8769).update({0x9206: IFDRational(*distance), 0x920A: IFDRational(*length), 0xA405: n})
            packet = xmp_packet(f'aux:ApproximateFocusDistance="{text}"/>')
            Image.fromarray(picture(n)).save(folder / f"{n} {stem}.jpg", exif=exif, xmp=packet)
        load_or_say(folder)
        load_or_say(folder, unit=unit)


@hypothesis.given(st.data())
@budget(0.1)
def test_predict_writes_all_or_nothing(data):
    name = data.draw(st.sampled_from([n for n in sorted(samples()) if n.endswith((".png", ".jpg", ".tif", ".zip"))]))
    content = data.draw(damaged(samples()[name]))
    sidecar = data.draw(st.one_of(st.none(), sidecars()))
    with watched() as folder:
        source, out = folder / "in", folder / "out"
        source.mkdir()
        (source / f"a{Path(name).suffix}").write_bytes(samples()[name])
        (source / f"b{Path(name).suffix}").write_bytes(content)
        if sidecar is not None:
            (source / "stack.json").write_bytes(sidecar)
        given = source / f"b{Path(name).suffix}" if name in STACKS else source  # a folder of stacks is a batch
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = main(["predict", str(given), "-o", str(out), "--model", "classical"])
        assert code in (0, 2)
        if code == 2:
            assert not out.exists() and len(said.getvalue().splitlines()) == 1, said.getvalue()
        else:
            assert set(RESULT_FILES) <= {path.name for path in out.iterdir()}
        assert {path.name for path in folder.iterdir()} <= {"in", "out"}
