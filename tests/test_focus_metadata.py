"""Focus distances that files state: XMP, EXIF and maker notes."""

import json
import sys

import numpy as np
import pytest
from camera_files import H, W, canon_jpeg, smooth, write_dng, xmp_packet
from PIL import Image

from dualfocus import load_model
from dualfocus.outputs.projection import projection
from dualfocus.readers import load_stack, metadata


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_xmp_focus_distance(tmp_path, suffix):
    stated = (
        'aux:ApproximateFocusDistance="53/100"/>',
        "><aux:ApproximateFocusDistance>106/100</aux:ApproximateFocusDistance></rdf:Description>",
        "aux:ApproximateFocusDistance='4294967295/1'/>",
    )
    for n, inner in enumerate(stated):
        Image.fromarray(smooth(n)).save(tmp_path / f"{n}.{suffix}", **xmp_keyword(suffix, xmp_packet(inner)))
    stack = load_stack(tmp_path)
    assert stack.unit == "dioptre"
    np.testing.assert_allclose(stack.focus_distances, [1 / 0.53, 1 / 1.06, 0])


@pytest.mark.parametrize("text", ["0/100", "0", "-5/10", "far", "1/" + "9" * 400, ""])
def test_xmp_without_a_distance(text):
    assert metadata.from_xmp(xmp_packet(f'aux:ApproximateFocusDistance="{text}"/>')) == {}
    assert metadata.from_xmp(xmp_packet('aux:ApproximateFocusDistance="5/10"/>')) == {metadata.XMP: 0.5}


def xmp_keyword(suffix, packet):
    if suffix != "png":
        return {"xmp": packet}
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet.decode())
    return {"pnginfo": info}


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
@pytest.mark.parametrize(("size", "orientation"), [((64, 96), 1), ((96, 64), 1), ((64, 96), 6)])
def test_the_field_of_view_of_photographs_taken_upright(tmp_path, suffix, size, orientation):
    for n in range(2):
        picture = Image.fromarray(np.resize(smooth(n), (*size, 3)))
        lens = {0x920A: 5.4, 0xA405: 26}  # the focal length, and that of 35 mm film
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif.get_ifd(34665).update(lens)
        stated = {"exif": exif} if suffix == "jpg" else {"tiffinfo": {0x0112: orientation, 34665: lens}}
        picture.save(tmp_path / f"{n}.{suffix}", **stated)
    stack = load_stack(tmp_path, focus=[0.5, 1])
    assert stack.camera.sensor_width_mm == pytest.approx(36 * 5.4 / 26)
    result = load_model("classical").predict(stack)
    found = projection(result, None)
    assert found.focal_px == pytest.approx(96 * 26 / 36, rel=1e-3) and "assumed" not in found.source


def test_distances_in_tiff_and_raw(tmp_path):
    for n in range(3):
        tags = {34665: {0x9206: 0.5 + n, 0x920A: 35.0}}  # the EXIF block
        Image.fromarray(smooth(n)).save(tmp_path / f"{n}.tif", tiffinfo=tags)
    stack = load_stack(tmp_path)
    np.testing.assert_allclose(stack.focus_distances, [0.5, 1.5, 2.5])
    assert (stack.unit, stack.camera.focal_length_mm) == ("m", 35)
    pytest.importorskip("rawpy")
    pytest.importorskip("exifread")
    raw = tmp_path / "raw"
    raw.mkdir()
    for n in range(2):
        packet = xmp_packet(f'aux:ApproximateFocusDistance="{n + 1}5/10"/>')
        write_dng(raw / f"{n}.dng", np.full((H, W), 1000, np.uint16), xmp=packet)
    stack = load_stack(raw)
    assert stack.unit == "m" and stack.focus_distances.tolist() == [1.5, 2.5]


def test_maker_note(tmp_path):
    pytest.importorskip("exifread")
    for n, centimetres in enumerate((45, 120, 65535)):
        canon_jpeg(tmp_path / f"{n}.jpg", centimetres)
    stack = load_stack(tmp_path)
    assert stack.unit == "dioptre"
    np.testing.assert_allclose(stack.focus_distances, [1 / 0.45, 1 / 1.2, 0])


def test_without_exifread_a_maker_note_is_pointed_to(tmp_path, monkeypatch):
    for n in range(2):
        canon_jpeg(tmp_path / f"{n}.jpg", 45 + n)
    monkeypatch.setitem(sys.modules, "exifread", None)
    stack = load_stack(tmp_path)
    assert stack.unit == "index" and '".[exif]"' in stack.warnings[-1]


def test_sources_that_disagree_are_both_named(tmp_path):
    pytest.importorskip("exifread")
    for n, (metres, centimetres) in enumerate(((0.5, 80), (1.0, 130))):
        canon_jpeg(tmp_path / f"focus_{0.5 * (n + 1):.2f}m.jpg", centimetres, metres)
    stack = load_stack(tmp_path)
    assert stack.focus_distances.tolist() == [0.5, 1]
    assert len(stack.warnings) == 1  # the file names agree
    assert "EXIF subject distance and the maker notes disagree: 0.5, 1 m is used, not 0.8, 1.3 m" in stack.warnings[0]
    (tmp_path / "stack.json").write_text(json.dumps({"focus_distances": [0.7, 2], "unit": "m"}))
    warnings = load_stack(tmp_path).warnings
    assert [text.partition(" disagree")[0] for text in warnings] == [
        f"stack.json and {source}" for source in ("the EXIF subject distance", "the maker notes", "the file names")
    ]
    assert load_stack(tmp_path, focus=[1, 2]).warnings == []


def test_incomplete_metadata_are_told(tmp_path):
    for n, distance in enumerate((0.5, None, 0.7)):
        exif = Image.Exif()
        if distance:
            exif.get_ifd(0x8769)[0x9206] = distance
        Image.fromarray(smooth(n)).save(tmp_path / f"{n}.jpg", exif=exif)
    assert "the EXIF subject distance is not used: only 2 of 3 images have one" in load_stack(tmp_path).warnings[0]
