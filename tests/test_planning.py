"""The calculator of focal stacks, against the package's own optics and by hand."""

import re
import subprocess
import sys

import numpy as np
import pytest

from dualfocus.optics import circle_of_confusion_px
from dualfocus.planning import plan_camera, plan_microscope

LENS = {"focal_length_mm": 50, "f_number": 2.8, "sensor_width_mm": 36, "columns": 6000}


def test_blur_between_neighbours_is_that_of_the_thin_lens():
    plan = plan_camera(**LENS, near=0.8, far=3.0, planes=6)
    for here, there in zip(plan.focus, plan.focus[1:], strict=False):
        blur = float(circle_of_confusion_px(there, here, 0.05, 2.8, 0.036 / 6000))
        assert blur == pytest.approx(plan.spacing_px, rel=1e-9) if here == 0.8 else blur < plan.spacing_px
    whole = circle_of_confusion_px(3.0, 0.8, 0.05, 2.8, 0.036 / 6000)
    assert plan.total_px == pytest.approx(float(whole), rel=1e-9)


def test_blur_at_life_size_is_twice_that_of_far_focus():
    far, macro = (plan_camera(**LENS, near=near, far=1 / (1 / near - 0.1), planes=2) for near in (5.0, 0.1))
    assert macro.total_px / far.total_px == pytest.approx(2 * (1 - 0.05 / 5), rel=1e-9)
    assert plan_camera(**LENS, near=0.1, far=0.102, spacing_px=3).spacing_px <= 3


@pytest.mark.parametrize("near", [0.05, 0.03])
def test_no_lens_focuses_within_its_focal_length(near):
    with pytest.raises(ValueError, match=f"near {near} m is within the focal length, 0.05 m"):
        plan_camera(**LENS, near=near, far=1.0)


def test_as_many_planes_as_the_spacing_asks_for():
    plan = plan_camera(**LENS, near=0.8, far=3.0, spacing_px=4)
    assert plan.spacing_px <= 4 < plan.total_px / (len(plan.focus) - 2)


def test_error_is_a_share_of_the_spacing_carried_to_depth():
    plan = plan_camera(**LENS, near=0.5, far=2.0, planes=4, error=0.2)
    step = (1 / 0.5 - 1 / 2.0) / 3
    for focus, error in zip(plan.focus, plan.depth_error, strict=True):
        moved = 1 / (1 / focus - 1e-6 * 0.2 * step)  # by the definition of the derivative
        assert error == pytest.approx((moved - focus) * 1e6, rel=1e-4)


def test_infinity_has_no_error_bound():
    plan = plan_camera(**LENS, near=1, far=float("inf"), planes=3)
    assert np.isinf(plan.focus[-1]) and np.isinf(plan.depth_error[-1]) and np.isfinite(plan.depth_error[:-1]).all()


def test_microscope_by_hand():
    plan = plan_microscope(0.25, pixel_um=0.5, depth_um=30, spacing_px=3, error=0.5)
    assert plan.total_px == 30  # 2 x 0.25 x 30 / 0.5
    np.testing.assert_allclose(plan.focus, np.linspace(0, 30, 11))
    np.testing.assert_allclose(plan.depth_error, 1.5)


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "dualfocus", "plan", *arguments], capture_output=True, text=True)


def test_command_line():
    camera = ["--focal-length", "50", "--f-number", "2.8", "--sensor-width", "36", "--pixels", "6000"]
    done = run(*camera, "--near", "0.5", "--far", "inf", "--planes", "5")
    assert done.returncode == 0, done.stderr
    assert "--focus 2,1.5,1,0.5,0 --unit dioptre" in done.stdout and "take more planes" in done.stdout
    done = run("--na", "0.4", "--pixel-um", "0.65", "--depth-um", "50")
    assert done.returncode == 0 and "--unit um" in done.stdout and "dioptres" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "describe either a camera"),
        (["--na", "0.4", "--near", "1"], "describe either a camera"),
        (["--na", "0.4"], "--pixel-um is missing"),
        (["--na", "0", "--pixel-um", "1", "--depth-um", "3"], "numerical aperture must be"),
        (["--na", "1", "--pixel-um", "1", "--depth-um", "3", "--spacing", "0"], "spacing must be"),
        (["--na", "1", "--pixel-um", "1", "--depth-um", "3", "--error", "-1"], "--error must be"),
        (["--na", "1", "--pixel-um", "6.5e-7", "--depth-um", "60"], "more than 10000 planes: check the units"),
        (["--na", "1", "--pixel-um", "1", "--depth-um", "60", "--spacing", "1e-320"], "more than 10000 planes"),
        (["--na", "1", "--pixel-um", "1", "--depth-um", "60", "--planes", "1000000000"], "more than 10000 planes"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_planes_a_hair_apart_are_told_apart():
    camera = ["--focal-length", "65", "--f-number", "2.8", "--sensor-width", "24", "--pixels", "6000"]
    done = run(*camera, "--near", "0.1", "--far", "0.102")
    (line,) = [line for line in done.stdout.splitlines() if "--focus" in line]
    printed = [float(value) for value in line.split("--focus ")[1].split()[0].split(",")]
    exact = plan_camera(65, 2.8, 24, 6000, 0.1, 0.102).focus
    assert len(printed) == len(exact) and np.abs(printed - exact).max() < 0.02 * np.diff(exact).min()


def test_far_planes_are_told_apart_in_dioptres_too():
    camera = ["--focal-length", "400", "--f-number", "2.8", "--sensor-width", "36", "--pixels", "6000"]
    done = run(*camera, "--near", "500", "--far", "2000", "--planes", "3")
    assert re.findall(r"\b(?:500|800|2000)\W+(0\.\d+)", done.stdout) == ["0.002", "0.00125", "0.0005"]


@pytest.mark.parametrize("error", [0, -0.25, float("nan"), float("inf")])
def test_an_error_that_is_none_is_refused(error):
    with pytest.raises(ValueError, match="error must be a finite number of plane spacings above zero"):
        plan_camera(50, 8, 36, 6000, 0.5, 2, error=error)
    with pytest.raises(ValueError, match="error must be a finite number of plane spacings above zero"):
        plan_microscope(0.5, 0.65, 50, error=error)
