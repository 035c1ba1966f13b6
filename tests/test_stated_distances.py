"""What files, names and sidecars say of focus distances, and which wins."""

import numpy as np
import pytest
from photo_folders import H, W, picture, write_folder, write_sidecar
from PIL import Image

from dualfocus.readers import load_stack
from dualfocus.readers.distances import from_names


@pytest.mark.parametrize(
    ("names", "values", "unit"),
    [
        (["image_1_0.35", "image_2_0.5", "image_3_0.80"], [0.35, 0.5, 0.8], "m"),
        (["0.50m", "1m", "2.25m"], [0.5, 1, 2.25], "m"),
        (["focus_350mm", "focus_500mm"], [350, 500], "mm"),
        (["35cm", "50 cm"], [0.35, 0.5], "m"),
        (["a_2.5D", "a_0.0D"], [2.5, 0], "dioptre"),
        (["4dpt", "1dpt"], [4, 1], "dioptre"),
        (["50mm_f1.8_0.35m_1", "50mm_f1.8_0.7m_2"], [0.35, 0.7], "m"),
        (["z_-12.5um", "z_0um", "z_12.5um"], [-12.5, 0, 12.5], "um"),
        (["img_0.3", "img_0.7"], [0.3, 0.7], "m"),
        (["0,35m", "0,60m", "1,80m"], [0.35, 0.6, 1.8], "m"),
        (["2,5 D", "0,5 D"], [2.5, 0.5], "dioptre"),
        (["0.5_dpt", "1.5_dpt", "2.5_dpt"], [0.5, 1.5, 2.5], "dioptre"),
        (["desk_2.5_D_01", "desk_0.5_D_02"], [2.5, 0.5], "dioptre"),
        (["0.5-Diopters", "1-DPT"], [0.5, 1], "dioptre"),
        (["focus_350.5_mm", "focus_500_mm"], [350.5, 500], "mm"),
        (["z_3.5_um_1", "z_-7.5_um_2"], [3.5, -7.5], "um"),
        (["z_-3.5µm", "z_−7µm"], [-3.5, -7], "um"),
        (["35.5-cm", "1,5_cm"], [0.355, 0.015], "m"),
        (["1.5_m", "2_m"], [1.5, 2], "m"),
        (["diopter_0.5", "diopter_2,5"], [0.5, 2.5], "dioptre"),
        (["dpt0.5", "focusDpt_1.5"], [0.5, 1.5], "dioptre"),
        (["mm_350", "distmm_500"], [350, 500], "mm"),
        (["01_dpt_1.5", "02_dpt_2.5"], [1.5, 2.5], "dioptre"),  # behind a counter
        (["350_mm_01", "500_mm_02"], [350, 500], "mm"),
        (["50_mm_0.35_m", "50_mm_0.7_m"], [0.35, 0.7], "m"),
        (["desk-0.5", "desk-0.7"], [0.5, 0.7], "m"),
        (["001-3.5um", "002-7um"], [3.5, 7], "um"),
        (["0.5_aligned", "0.7_aligned"], [0.5, 0.7], "m"),
        (["f_2.8_0.5", "f_4.0_0.7"], [0.5, 0.7], "m"),
        (["0.5_t_0.1", "0.7_t_0.2"], [0.5, 0.7], "m"),
        (["1.5ev_0.5m", "2.5ev_0.7m"], [0.5, 0.7], "m"),
    ],
)
def test_distances_in_file_names(names, values, unit):
    found, named = from_names(names)
    assert named == unit
    np.testing.assert_allclose(found, values)


@pytest.mark.parametrize(
    "names",
    [
        ["000", "001"],
        ["img2", "img10"],
        ["DSC_0350", "DSC_0500"],
        ["image_1_0.35", "image_2"],  # one has none
        ["0.5m", "500mm"],  # two units
        ["0.5_0.7", "0.6_0.8"],  # two numbers each
        ["a_0.5", "b_0.5"],  # not distinct
        ["v1.1", "v1.2"],
        ["f2.8", "f4.0"],
        ["2024.05.01", "2024.05.02"],
        ["scan_2D", "scan_3D"],
        ["0.0", "0.5"],
        ["3months", "4months"],
        ["9" * 400 + "um", "8um"],
        ["depth-12bit", "depth-13bit"],
        ["0,35", "0,60"],
        ["1,2,3m", "1,2,4m"],
        ["f_2.8", "f_4.0"],
        ["f-2.8", "f-4.0"],
        ["F(2.8)", "F(4.0)"],
        ["fnumber_2.8", "fnumber_4.0"],
        ["aperture_2.8", "aperture_4.0"],
        ["iso_100.5", "iso_200.5"],
        ["t_0.1", "t_0.2"],
        ["ExposureTime_0.1", "ExposureTime_0.2"],
        ["exp_0.1", "exp_0.2"],
        ["ev_-0.5", "ev_0.5"],
        ["zoom_1.5", "zoom_2.5"],
        ["temp_20.5", "temp_21.5"],
        ["f_350mm", "f_500mm"],  # a focal length
        ["0.5_s", "0.7_s"],
        ["0.5_ft", "0.7_ft"],
        ["inch_5.5", "inch_7.5"],
        ["0.5_M", "0.7_M"],
        ["D2.5", "D1.5"],  # dioptres or a distance
        ["D_2.5", "D_1.5"],
        ["z_3.5", "z_7.0"],  # a stage, in its own unit
        ["lens_0.35", "lens_0.5"],
        ["stackmm_350.5", "stackmm_500.5"],
        ["z-3.5um", "z-7um"],  # a hyphen or a sign: near and far would be exchanged
        ["um-3.5", "um-7.5"],
        ["minus3.5um", "minus7um"],
        ["1_mm_350", "2_mm_500"],  # before or behind
        ["0.5_mm_3.5", "0.7_mm_4.5"],
        ["0001_m", "0002_m"],
        ["scan_2_D", "scan_3_D"],
        ["focus.5", "focus.6"],
        ["0.5,0.8", "0.6,0.9"],
    ],
)
def test_doubtful_file_names_are_no_distances(names):
    assert from_names(names) is None


def test_names_with_a_unit_apart_and_names_of_other_quantities_on_disk(tmp_path):
    dioptres = load_stack(write_folder(tmp_path / "a", ["0.5_dpt.png", "1.5_dpt.png", "2.5_dpt.png"]))
    assert (dioptres.unit, dioptres.focus_distances.tolist()) == ("dioptre", [0.5, 1.5, 2.5])
    assert dioptres.near_to_far.tolist() == [2, 1, 0]
    apertures = load_stack(write_folder(tmp_path / "b", ["f_2.8.png", "f_4.0.png"]))
    assert apertures.unit == "index" and "focus=" in apertures.warnings[0]


def test_file_names_give_distances_and_say_so(tmp_path):
    write_folder(tmp_path, ["image_1_0.35.png", "image_2_0.80.png"])
    stack = load_stack(tmp_path)
    assert stack.unit == "m" and stack.focus_distances.tolist() == [0.35, 0.8]
    assert "file names: 0.35, 0.8 m" in stack.warnings[0]
    np.testing.assert_allclose(load_stack(tmp_path, unit="mm").focus_distances, [350, 800])
    np.testing.assert_allclose(load_stack(tmp_path, unit="D").focus_distances, [1 / 0.35, 1.25])
    assert load_stack(tmp_path, unit="index").focus_distances is None
    assert load_stack(tmp_path, focus="2,1").focus_distances.tolist() == [2, 1]


def write_exif(path, distance, seed=0):
    exif = Image.Exif()
    exif[0x0110] = "Camera X"
    ifd = exif.get_ifd(0x8769)
    ifd.update({0x920A: 6.8, 0x829D: 1.85, 0xA405: 24})
    if distance is not None:
        ifd[0x9206] = distance
    Image.fromarray(picture(seed)).save(path, exif=exif)


def test_exif_subject_distance_and_camera(tmp_path):
    for n, distance in enumerate((0.5, 0.25, 2.0)):
        write_exif(tmp_path / f"{n}.jpg", distance)
    stack = load_stack(tmp_path)
    assert (stack.unit, stack.warnings) == ("m", [])
    np.testing.assert_allclose(stack.focus_distances, [0.5, 0.25, 2])
    assert stack.camera.model == "Camera X" and stack.camera.f_number == pytest.approx(1.85)
    assert stack.camera.sensor_width_mm == pytest.approx(36 * 6.8 / 24)
    write_exif(tmp_path / "2.jpg", 4294967295)  # infinity
    stack = load_stack(tmp_path)
    assert stack.unit == "dioptre"
    np.testing.assert_allclose(stack.focus_distances, [2, 4, 0])
    for unusable in (None, 0, 0.25):
        write_exif(tmp_path / "2.jpg", unusable)
        assert load_stack(tmp_path).unit == "index"


def test_sidecar(tmp_path):
    write_folder(tmp_path, ["x.png", "y.png", "z.png", "other.png"])
    np.save(tmp_path / "truth.npy", np.ones((H, W)))
    path = write_sidecar(
        tmp_path,
        images=["z.png", "x.png"],
        focus_distances=[0.5, 2],
        unit="m",
        order="near_to_far",
        camera={"model": "K", "focal_length_mm": 50, "f_number": None, "sensor_width_mm": 36},
        aligned=True,
        ground_truth="truth.npy",
        ground_truth_unit="m",
        licence="CC0",
        seed=7,
    )
    for source in (tmp_path, path, str(path), [tmp_path]):
        stack = load_stack(source)
        assert stack.names == ["z.png", "x.png"] and stack.focus_distances.tolist() == [0.5, 2]
        assert (stack.unit, stack.order, stack.aligned, stack.warnings) == ("m", "near_to_far", True, [])
        assert (stack.camera.focal_length_mm, stack.camera.f_number) == (50, None)
        assert stack.ground_truth.mean() == 1
        assert stack.extra == {"ground_truth_unit": "m", "licence": "CC0", "seed": 7}


def test_command_line_wins_over_the_sidecar(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    write_sidecar(tmp_path, images=["a.png", "b.png"], focus_distances=[10, 20], unit="mm")
    assert load_stack(tmp_path).unit == "mm"
    stack = load_stack(tmp_path, focus="5, 6")
    assert (stack.focus_distances.tolist(), stack.unit) == ([5, 6], "mm")
    assert load_stack(tmp_path, focus=[5, 6], unit="um").unit == "um"
    assert load_stack(tmp_path, unit="um").unit == "um"
    assert load_stack(tmp_path, unit="index").focus_distances is None
    write_sidecar(tmp_path, order="far_to_near")
    stack = load_stack(tmp_path, focus=np.array([5, 6]))
    assert stack.unit == "m" and "far_to_near" in stack.warnings[0]


def test_ground_truth_is_dropped_when_the_unit_changes(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    np.save(tmp_path / "truth.npy", np.ones((H, W)))
    write_sidecar(tmp_path, ground_truth="truth.npy")
    assert load_stack(tmp_path).ground_truth is not None
    stack = load_stack(tmp_path, focus=[1, 2])
    assert stack.ground_truth is None and "truth.npy is not used" in stack.warnings[0]


def test_sidecar_without_distances_is_relative_and_keeps_order(tmp_path):
    write_folder(tmp_path, ["img_0.3.png", "img_0.7.png", "aif.png"])
    write_sidecar(tmp_path, order="far_to_near", focus_distances=None, unit=None, all_in_focus="aif.png")
    stack = load_stack(tmp_path)
    assert (stack.unit, stack.order, len(stack)) == ("index", "far_to_near", 2)
    assert "focus=" in stack.warnings[-1]


def test_misspelt_keys_are_named(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    write_sidecar(tmp_path, focus_distance=[1, 2], camera={"fnumber": 2}, orders=None, anything="else")
    text = " ".join(load_stack(tmp_path).warnings)
    for wrong, right in (("focus_distance", "focus_distances"), ("fnumber", "f_number"), ("orders", "order")):
        assert f'"{wrong}" is ignored; did you mean "{right}"?' in text
    assert "anything" not in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ('{"images": "a.png"}', '"images" must be a list'),
        ('{"images": []}', '"images" must be a list'),
        ('{"images": ["a.png", "gone.png"]}', "gone.png"),
        (f'{{"images": ["a.png", "{"a" * 300}.png"]}}', "which is not there"),
        ('{"images": ["a.png"]}', "one photograph alone.*a focal stack is"),
        ('{"images": ["a.png", "stack.json"]}', "not a supported image"),
        ('{"focus_distances": [1, 2]}', 'need a "unit"'),
        ('{"focus_distances": [1, 2], "unit": "index"}', "'index' has no focus distances"),
        ('{"focus_distances": [1, 2], "unit": "yards"}', "unknown unit 'yards'"),
        ('{"focus_distances": [1, 2], "unit": 3}', '"unit" must be text'),
        ('{"unit": "m"}', 'no "focus_distances"'),
        ('{"unit": "m", "focus_distance": [1, 2]}', 'no "focus_distances".*did you mean "focus_distances"'),
        ('{"focus_distances": [1, 2], "units": "m"}', 'need a "unit".*did you mean "unit"'),
        ('{"images": ["a.png", "./a.png"]}', "a.png: this file is given twice"),
        ('{"focus_distances": 1, "unit": "m"}', "must be a list"),
        ('{"focus_distances": [1, "2"], "unit": "m"}', "must be numbers, not '2'"),
        ('{"focus_distances": [1, NaN], "unit": "m"}', "nan of image 1"),
        (f'{{"focus_distances": [1, 1{"0" * 400}], "unit": "m"}}', "too large"),
        (f'{{"camera": {{"f_number": 1{"0" * 400}}}}}', "f_number"),
        ('{"focus_distances": [1, 2, 3], "unit": "m"}', "3 focus distances for 2 images"),
        ('{"focus_distances": [2, 2], "unit": "m"}', "same focus distance, 2 m"),
        ('{"order": "up"}', "order.*'up'"),
        ('{"aligned": 1}', "aligned.*1"),
        ('{"camera": "Canon"}', "camera.*'Canon'"),
        ('{"camera": {"f_number": 0}}', "f_number.*0"),
        ('{"ground_truth": "gone.npy"}', "ground_truth.*gone.npy"),
        ('{"ground_truth": 3}', "ground_truth"),
    ],
)
def test_bad_sidecars_are_named(tmp_path, text, words):
    write_folder(tmp_path, ["a.png", "b.png"])
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        load_stack(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_unit_that_is_not_the_sidecars_wins_and_is_said(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    (tmp_path / "stack.json").write_text('{"focus_distances": [1, 2], "unit": "m"}')
    stack = load_stack(tmp_path, unit="mm")
    assert stack.unit == "mm" and any("are in m, and taken in mm" in text for text in stack.warnings)
    for unit in (None, "m", "metres"):
        assert load_stack(tmp_path, unit=unit).warnings == []


def test_distances_without_a_unit_of_length_beside_names_that_state_some(tmp_path):
    write_folder(tmp_path, ["0.5m.png", "1m.png"])
    (tmp_path / "stack.json").write_text('{"focus_distances": [1, 2], "unit": "index"}')
    with pytest.raises(ValueError, match="'index' has no focus distances"):
        load_stack(tmp_path)
