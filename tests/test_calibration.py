"""A relative result made metric by points of known distance."""

import json
from dataclasses import replace

import numpy as np
import pytest
from command_runs import assert_refused, names, run
from PIL import Image
from test_ordering import sweep

from dualfocus.alignment import align
from dualfocus.calibration import calibrate, metric_stack, parse_points
from dualfocus.outputs import DepthResult
from dualfocus.outputs.summary import residuals as residuals_line
from dualfocus.stack import FocalStack

H, W, N = 30, 40, 9


def relative(order=None):
    """A result whose plane index runs from 0 to 8 along the columns."""
    index = np.broadcast_to(np.linspace(0, N - 1, W, dtype=np.float32), (H, W)).copy()
    valid = np.ones((H, W), bool)
    valid[:5, :5] = False
    return DepthResult(
        depth=index,
        valid=valid,
        confidence=np.ones((H, W), np.float32),
        std=np.full((H, W), 0.25, np.float32),
        all_in_focus=np.zeros((H, W, 3), np.uint8),
        unit="index",
        order=order,
        images=[f"{n}.png" for n in range(N)],
    )


def index_at(x):
    return (N - 1) * x / (W - 1)


def test_two_points_in_inverse_depth():
    """Against the lens law: planes at equal steps of 1/z, from 0.5 m to 4 m."""
    result = relative()
    near, far = 1 / 0.5, 1 / 4
    dioptres = near + (far - near) * result.depth.astype(np.float64) / (N - 1)
    points = [(x, 20, float(1 / dioptres[20, x])) for x in (5, 33)]
    found = calibrate(result, points)
    assert (found.unit, found.focus_unit, found.order) == ("m", "dioptre", None)
    np.testing.assert_allclose(found.depth, 1 / dioptres, rtol=1e-5)
    np.testing.assert_allclose(found.focus_distances, np.linspace(near, far, N), rtol=1e-6)
    step = abs(far - near) / (N - 1)
    np.testing.assert_allclose(found.std, 0.25 * step / dioptres**2, rtol=1e-5)
    np.testing.assert_array_equal(found.valid, result.valid)
    assert found.calibration["rms_residual"] is None and result.unit == "index"
    in_dioptres = calibrate(result, [(x, y, 1 / z) for x, y, z in points], "dioptre")
    np.testing.assert_allclose(in_dioptres.depth, found.depth, rtol=1e-6)
    in_mm = calibrate(result, [(x, y, 1000 * z) for x, y, z in points], "mm")
    np.testing.assert_allclose(in_mm.depth, 1000 * found.depth, rtol=1e-5)
    np.testing.assert_allclose(in_mm.focus_distances, found.focus_distances, rtol=1e-6)


def test_numbers_of_numpy_are_saved(tmp_path):
    points = [(x, y, d) for (y, x), d in zip(np.array([[9, 3], [9, 36]]), np.array([0.5, 4], np.float32), strict=True)]
    calibrate(relative(), points, "m").save(tmp_path / "out")
    said = json.loads((tmp_path / "out" / "result.json").read_text())["calibration"]
    assert [(point["x"], point["y"]) for point in said["points"]] == [(3, 9), (36, 9)]


def test_depth_itself_for_a_stage_and_by_choice():
    points = [(4, 10, -20.0), (35, 10, 60.0)]
    found = calibrate(relative(), points, "um")
    slope = 80 / (index_at(35) - index_at(4))
    np.testing.assert_allclose(found.depth, -20 + slope * (relative().depth - index_at(4)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.std, 0.25 * slope, rtol=1e-5)
    assert found.unit == found.focus_unit == "um" and found.valid.sum() == relative().valid.sum()
    linear = calibrate(relative(), [(4, 10, 1.0), (35, 10, 2.0)], "m", "depth")
    assert linear.depth[10, 20] == pytest.approx(
        1 + (index_at(20) - index_at(4)) / (index_at(35) - index_at(4)), rel=1e-4
    )


def test_beyond_infinity_is_not_valid():
    found = calibrate(relative(), [(4, 10, 2.0), (20, 10, 0.0)], "dioptre")
    assert np.isinf(found.depth[10, 30]) and not found.valid[10, 30] and found.valid[10, 15]
    assert found.focus_distances[-1] == 0 and found.calibration["points"][1]["given"] is None
    (text,) = [text for text in found.warnings if "infinity" in text]
    assert f"{N - int(np.ceil(index_at(20)))} of {N} planes" in text


def test_planes_behind_the_camera_are_named():
    """Depth itself, extrapolated from two points, can be negative; no focus distance is."""
    found = calibrate(relative(), [(20, 10, 0.01), (35, 10, 5.0)], "m", "depth")
    (text,) = [text for text in found.warnings if "behind the camera" in text]
    per_plane = 4.99 / (index_at(35) - index_at(20))
    behind = sum(0.01 + per_plane * (n - index_at(20)) <= 0 for n in range(N))
    assert f"{behind} of {N} planes" in text and behind > 0
    assert found.focus_distances is None and found.depth[found.valid].min() > 0
    stage = calibrate(relative(), [(20, 10, 0.01), (35, 10, 5.0)], "um")
    assert stage.focus_distances.min() < 0 and not any("camera" in text for text in stage.warnings)


def test_depth_just_before_infinity_does_not_hide_the_scene():
    """Of pixels a hair before the plane at infinity the distance is unknown; kilometres would be the range of all."""
    result = relative()
    result.depth[10, 20] = index_at(20) - 1e-5
    found = calibrate(result, [(4, 10, 2.0), (20, 20, 0.0)], "dioptre")
    assert np.isinf(found.depth[10, 20]) and not found.valid[10, 20]
    per_plane = 2 / (index_at(20) - index_at(4))
    assert found.depth[found.valid].max() <= 1 / (0.02 * per_plane)


def test_residuals_of_three_points():
    points = [(5, 10, 1.0), (20, 10, 1.5), (35, 10, 2.9)]
    found = calibrate(relative(), points)
    a = np.stack([np.ones(3), [index_at(x) for x, _, _ in points]], axis=1)
    wanted = 1 / np.array([z for _, _, z in points])
    solution = np.linalg.lstsq(a, wanted, rcond=None)[0]
    residual = a @ solution - wanted
    assert found.calibration["rms_residual"] == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-4)
    fitted = [point["fitted"] for point in found.calibration["points"]]
    np.testing.assert_allclose(fitted, 1 / (a @ solution), rtol=1e-4)


def test_zero_micrometres_are_not_infinity():
    found = calibrate(relative(), [(5, 10, 0.0), (35, 10, 5.0)], "um")
    assert " for 0," in residuals_line(found.calibration) and "inf" not in residuals_line(found.calibration)


def test_points_close_together_warn():
    assert calibrate(relative(), [(5, 10, 1), (35, 10, 2)]).warnings == []
    (text,) = calibrate(relative(), [(20, 10, 1), (26, 10, 1.2)]).warnings
    assert "extrapolated" in text


@pytest.mark.parametrize("unit", ["m", "mm", "um"])
def test_planes_get_the_distances_too(unit):
    """What shows the planes (report.html) needs their depth in the unit of the result."""
    stack = FocalStack(np.zeros((N, H, W), np.uint8))
    found = calibrate(relative(), [(4, 10, 1.0), (35, 10, 3.0)], unit)
    metric = metric_stack(stack, found)
    assert metric.result_unit == unit and stack.unit == "index"
    at_planes = [metric.depth_from_coordinate(u) for u in metric.coordinates]
    columns = np.arange(N) * (W - 1) / (N - 1)
    rows = [np.interp(column, np.arange(W), found.depth[10].astype(float)) for column in columns]
    np.testing.assert_allclose(at_planes[1:-1], rows[1:-1], rtol=0.02)


def test_planes_left_out_by_alignment_keep_their_place():
    planes = sweep(5)
    planes[2] = np.random.default_rng(0).integers(0, 255, planes[2].shape)  # another scene
    aligned = align(FocalStack(planes), "translation")
    assert aligned.kept == [0, 1, 3, 4]
    result = replace(relative(), images=aligned.index_names)
    found = calibrate(result, [(5, 10, 1.0), (19, 10, 2.0)])
    metric = metric_stack(aligned, found)
    np.testing.assert_allclose(metric.focus_distances, np.delete(found.focus_distances, 2))
    assert metric.near_to_far.tolist() == [0, 1, 2, 3] and metric[3].shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("points", "options", "words"),
    [
        ([(5, 10, 1)], {}, "1 calibration points: two or more"),
        ([(5, 10, 1), (40, 10, 2)], {}, "40,10 is outside the image of 40 x 30"),
        ([(5, 10, 1), (-1, 10, 2)], {}, "outside"),
        ([(5, 10, 1), (float("nan"), 10, 2)], {}, "outside"),
        ([(5, 10, 1), (2, 2, 2)], {}, "2,2: nothing is in focus there"),
        ([(5, 10, 1), (5, 20, 2)], {}, "all at the same plane"),
        ([(5, 10, 1), (35, 10, 1)], {}, "5,10=1 and 35,10=1 .* contradicts the other points"),
        ([(5, 10, 1), (20, 10, 3), (35, 10, 2)], {}, "20,10=3 and 35,10=2 .* contradicts the other points"),
        ([(5, 10, 2), (35, 10, 1)], {"order": "near_to_far"}, "contradicts the order near_to_far"),
        ([(5, 10, 0), (35, 10, 1)], {}, "0 is no distance in m"),
        ([(5, 10, 1), (35, 10, float("inf"))], {}, "inf is no distance"),
        ([(5, 10, 1), (35, 10, 2)], {"unit": "index"}, "unit 'index' is none"),
        ([(5, 10, 1), (35, 10, 2)], {"unit": "um", "coordinate": "inverse_depth"}, "no inverse"),
        ([(5, 10, 1), (35, 10, 2)], {"coordinate": "log"}, "'log' is not one of"),
    ],
)
def test_bad_points(points, options, words):
    options = dict(options)
    result = relative(options.pop("order", None))
    with pytest.raises(ValueError, match=words) as caught:
        calibrate(result, points, **options)
    assert "\n" not in str(caught.value)


def test_a_metric_result_is_refused():
    metric = calibrate(relative(), [(5, 10, 1), (35, 10, 2)])
    with pytest.raises(ValueError, match="in m already"):
        calibrate(metric, [(5, 10, 1), (35, 10, 2)])


def test_points_as_text():
    assert parse_points(["1,2=3", "4,5=0.6  7,8=9e1"]) == [(1, 2, 3), (4, 5, 0.6), (7, 8, 90)]
    for text in ("1,2", "1=2", "1,2=x", "1,2,3=4", "1,2=3=4", "=", ","):
        with pytest.raises(ValueError, match="is not x,y=distance"):
            parse_points([text])


def test_command_line(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n, plane in enumerate(sweep(9)):
        Image.fromarray(plane).save(folder / f"{n}.png")
    columns = (40, 160, 280)
    dioptres = 4 - 3.5 * np.arange(320) / 319  # column x is in focus at the plane 8 x / 319
    points = [f"{x},120={1 / dioptres[x]:.5f}" for x in columns]
    out = tmp_path / "out"
    arguments = ("predict", folder, "-o", out, "--model", "classical")
    done = run(*arguments, "--calibrate", points[0], "--calibrate", " ".join(points[1:]), "--also", "ply")
    assert done.returncode == 0, done.stderr
    assert "calibration: the fit gives" in done.stdout and "points.ply" in names(out)
    record = json.loads((out / "result.json").read_text())
    assert done.stderr == "" and record["warnings"] == []  # nothing is unknown any more
    assert record["unit"] == "m" and record["focus_unit"] == "dioptre" and len(record["calibration"]["points"]) == 3
    depth = np.load(out / "depth.npy")
    assert np.median(np.abs(depth - 1 / dioptres) * dioptres) < 0.08
    (folder / "stack.json").write_text('{"focus_distances": [1, 2, 3, 4, 5, 6, 7, 8, 9], "unit": "m"}')
    known = run(*arguments, "--calibrate", " ".join(points))
    assert known.returncode == 0 and "the photographs state are not used" in known.stderr
    for extra, words in (
        (["--calibrate", f"{points[0]} 999,1=2"], "999,1 is outside"),
        (["--calibrate", " ".join(points), "--focus", "1,2,3,4,5,6,7,8,9"], "both given"),
        (["--calibrate", " ".join(points), "--unit", "yards"], "unknown unit 'yards'"),
        (["--calibrate", ""], "holds no point"),
    ):
        assert_refused(run(*arguments[:2], "-o", tmp_path / "no", *arguments[4:], *extra), words)
        assert not (tmp_path / "no").exists()
