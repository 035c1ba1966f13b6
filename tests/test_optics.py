"""Thin-lens optics against the golden table of the peers' renderer and against limits known by hand."""

import numpy as np
import pytest

from dualfocus import optics

LENS = {"focal_length": 0.05, "f_number": 8.0}
PITCH = 12e-6
DEPTHS = (0.5, 1, 2, 3, 5, 10)
GOLDEN_RADIUS_PX = {  # worked out apart from this code: f = 50 mm, f/8, 12 um, radius in pixels
    0.5: (0, 14.47, 21.70, 24.11, 26.04, 27.49),
    1.0: (13.71, 0, 6.85, 9.14, 10.96, 12.34),
    1.5: (17.96, 4.49, 2.24, 4.49, 6.29, 7.63),
    2.5: (21.26, 7.97, 1.33, 0.89, 2.66, 3.99),
    4.0: (23.07, 9.89, 3.30, 1.10, 0.66, 1.98),
    6.0: (24.07, 10.94, 4.38, 2.19, 0.44, 0.88),
    10.0: (24.86, 11.78, 5.23, 3.05, 1.31, 0),
}


def test_golden_table_of_radii():
    table = optics.circle_of_confusion_px(DEPTHS, np.array(list(GOLDEN_RADIUS_PX))[:, None], **LENS, pixel_pitch=PITCH)
    assert table.shape == (7, 6)
    np.testing.assert_allclose(table / 2, list(GOLDEN_RADIUS_PX.values()), atol=0.0051)


def test_golden_table_by_hand_written_formula():
    aperture, f = 0.05 / 8, 0.05
    for s in GOLDEN_RADIUS_PX:
        for d in DEPTHS:
            v = f * s / (s - f)
            by_vergence = aperture * v * abs(1 / f - 1 / v - 1 / d)
            assert optics.circle_of_confusion(d, s, **LENS) == pytest.approx(by_vergence, abs=1e-15)


def test_constant_field_of_view_is_the_path_tracers_formula():
    focal_px, aperture, d, s = 533.333, 0.05 / 2, 1.7, 0.838
    pitch = optics.pixel_pitch(0.036, 384)
    assert pytest.approx(focal_px, rel=1e-5) == 0.05 / pitch
    expected = focal_px * aperture * abs(d - s) / (d * s)
    got = optics.circle_of_confusion_px(d, s, 0.05, 2.0, pitch, breathing=False)
    assert got == pytest.approx(expected, rel=1e-5)


def test_conventions_differ_by_the_magnification():
    s = np.array([0.3, 1.0, 4.0])
    with_breathing = optics.circle_of_confusion(2.0, s, **LENS)
    constant = optics.circle_of_confusion(2.0, s, **LENS, breathing=False)
    np.testing.assert_allclose(with_breathing / constant, s / (s - 0.05))


@pytest.mark.parametrize("breathing", [True, False])
def test_infinity(breathing):
    aperture = 0.05 / 8
    at_infinity = optics.circle_of_confusion(np.array([2.0, np.inf]), np.inf, **LENS, breathing=breathing)
    np.testing.assert_allclose(at_infinity, [aperture * 0.05 / 2, 0])
    assert np.isfinite(optics.circle_of_confusion(np.inf, 1.0, **LENS, breathing=breathing))


def test_unknown_depth_stays_unknown():
    coc = optics.circle_of_confusion(np.array([np.nan, 1.0], np.float32), 1.0, **LENS)
    assert np.isnan(coc[0]) and coc[1] == pytest.approx(0, abs=1e-9)


def test_image_distance_and_aperture():
    assert optics.aperture_diameter(0.05, 8) == 0.00625
    assert optics.image_distance(np.inf, 0.05) == pytest.approx(0.05)
    assert optics.image_distance(0.1, 0.05) == pytest.approx(0.1)  # 1:1


def test_dioptres_and_back():
    np.testing.assert_array_equal(optics.to_dioptre([0.5, 2, np.inf]), [2, 0.5, 0])
    np.testing.assert_array_equal(optics.from_dioptre([2, 0.5, 0]), [0.5, 2, np.inf])
    assert optics.from_dioptre(0) == np.inf


def test_schedules():
    np.testing.assert_allclose(optics.planes_even_in_depth(1, 3, 5), [1, 1.5, 2, 2.5, 3])
    np.testing.assert_allclose(optics.planes_even_in_dioptres(0.5, 2, 4), 1 / np.array([2, 1.5, 1, 0.5]))
    np.testing.assert_allclose(optics.planes_even_in_dioptres(0.5, np.inf, 3), [0.5, 1, np.inf])


@pytest.mark.parametrize("kappa", [0.1, 0.37, 1.0])
def test_power_inverse_is_even_in_its_power(kappa):
    planes = optics.planes_power_inverse(0.7, 9, 6, kappa)
    np.testing.assert_allclose(np.diff(planes**-kappa, n=2), 0, atol=1e-12)
    assert (planes[0], planes[-1]) == (0.7, 9)
    assert (np.diff(planes) > 0).all()


def test_power_inverse_has_the_geometric_limit():
    geometric = optics.planes_power_inverse(0.5, 8, 5, 0)
    np.testing.assert_allclose(geometric, [0.5, 1, 2, 4, 8])
    np.testing.assert_allclose(optics.planes_power_inverse(0.5, 8, 5, 1e-13), geometric)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optics.circle_of_confusion(0.0, 1.0, **LENS), "depth 0 m"),
        (lambda: optics.circle_of_confusion(-2.0, 1.0, **LENS), "depth -2 m"),
        (lambda: optics.circle_of_confusion(1.0, 0.04, **LENS), "0.04 m must be beyond the focal length, 0.05"),
        (lambda: optics.circle_of_confusion(1.0, 1.0, 0.05, 0), "f-number"),
        (lambda: optics.circle_of_confusion_px(1.0, 1.0, 0.05, 8, np.nan), "pixel pitch"),
        (lambda: optics.from_dioptre([-1.0]), "-1 dioptre"),
        (lambda: optics.planes_even_in_depth(1, np.inf, 3), "finite far"),
        (lambda: optics.planes_even_in_depth(2, 1, 3), "near 2 and far 1"),
        (lambda: optics.planes_even_in_dioptres(1, 2, 1), "at least 2 planes, not 1"),
        (lambda: optics.planes_power_inverse(1, np.inf, 3, 0), "kappa 0"),
        (lambda: optics.planes_power_inverse(1, 2, 3, -1), "kappa -1"),
    ],
)
def test_errors_name_the_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()
