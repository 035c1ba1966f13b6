"""Registration: the algebra of motions, known warps recovered, frames left out, untouched stacks, the command line."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from moving_stacks import KINDS, draw_motions, render_moving, residuals

import dualfocus
from dualfocus import FocalStack
from dualfocus.alignment import align, exposure
from dualfocus.alignment.motion import (
    MOTIONS,
    apply,
    compose,
    from_parameters,
    in_pixels,
    inverse,
    normaliser,
    to_parameters,
)
from dualfocus.alignment.pairs import _Basis, best_shift, pyramid, register
from dualfocus.alignment.region import common_region
from dualfocus.commands.options import DEMO_STACK

SIZE = (150, 200)
EDGE = 40


def texture(seed, size):
    """Grey detail at all scales, about [0, 1]."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.normal(size=(size[0] // s + 2, size[1] // s + 2)), size[::-1]) for s in (2, 4, 8, 16, 32)]
    image = np.sum(layers, axis=0)
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def moving_stack(motions, seed=0, dtype=np.uint8, gains=None):
    """A texture whose left half is sharp in the first plane and whose right half is in the last, each frame moved."""
    size = (SIZE[0] + 2 * EDGE, SIZE[1] + 2 * EDGE)
    scene, count = texture(seed, size), len(motions)
    frames = []
    for n, motion in enumerate(motions):
        left, right = (cv2.GaussianBlur(scene, (0, 0), 0.6 + 2.5 * d / (count - 1)) for d in (n, count - 1 - n))
        side = np.clip((np.arange(size[1]) - size[1] / 2) / 10 + 0.5, 0, 1).astype(np.float32)
        blurred = left + (right - left) * side
        there = np.array([[1, 0, EDGE], [0, 1, EDGE], [0, 0, 1.0]]) @ in_pixels(inverse(motion), SIZE)
        frame = cv2.warpPerspective(blurred, there, SIZE[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        frame = np.clip(frame, 0, 1) * (1 if gains is None else gains[n])
        colour = np.repeat(frame[..., None], 3, axis=2)
        top = 1 if dtype == np.float32 else np.iinfo(dtype).max
        frames.append((colour * top).round().astype(dtype) if top > 1 else colour.astype(np.float32))
    return FocalStack(np.stack(frames), np.linspace(0.5, 1.0, count))


def wandering(count, seed=3):
    rng = np.random.default_rng(seed)
    return [from_parameters("similarity", rng.uniform(-1, 1, 4) * [0.06, 0.06, 0.02, 0.015]) for _ in range(count)]


def worst(aligned, motions, quantile=95):
    reference = aligned.kept.index(aligned.alignment["reference"])
    found = residuals(aligned.transforms, [motions[n] for n in aligned.kept], reference, aligned.common_region)
    return max(float(np.percentile(r, quantile)) for r in found)


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_form_groups_with_these_parameters(motion):
    rng = np.random.default_rng(0)
    count = {"translation": 2, "similarity": 4, "affine": 6, "homography": 8}[motion]
    p, q = rng.normal(0, 0.05, (2, count))
    product = compose(from_parameters(motion, p), from_parameters(motion, q))
    again = from_parameters(motion, to_parameters(motion, product))
    points = rng.uniform(-1, 1, (20, 2))
    # closed under composition: re-expressing a product loses nothing
    np.testing.assert_allclose(apply(again, points), apply(product, points), atol=1e-12)
    np.testing.assert_allclose(apply(inverse(product), apply(product, points)), points, atol=1e-12)


def test_motion_in_pixels_agrees_with_opencv():
    matrix = from_parameters("homography", np.array([0.1, -0.05, 0.03, 0.02, 0.01, -0.02, 0.03, 0.01]))
    unit = 0.5 * np.hypot(*SIZE)
    pixels = np.random.default_rng(0).uniform(0, 150, (30, 2))
    centre = np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2])
    expected = apply(matrix, (pixels - centre) / unit) * unit + centre
    np.testing.assert_allclose(cv2.perspectiveTransform(pixels[None], in_pixels(matrix, SIZE))[0], expected, atol=1e-9)


@pytest.mark.parametrize("motion", MOTIONS)
def test_normal_equations_are_those_of_the_written_out_jacobian(motion):
    level = pyramid(texture(0, (40, 50)), (40, 50))[0]
    rng = np.random.default_rng(1)
    gx, gy, error = rng.normal(size=(3, 40, 50)).astype(np.float32)
    weight = rng.uniform(0, 1, (40, 50)).astype(np.float32)
    information, push = _Basis(level, motion).normal_equations(gx, gy, error, weight)
    y, x = np.mgrid[:40, :50].astype(np.float64)
    points = apply(level.scale, np.stack([x, y], axis=-1))
    count, step = len(push), 1e-6
    moves = [(apply(from_parameters(motion, step * np.eye(count)[k]), points) - points) / step for k in range(count)]
    scale = level.scale[0, 0], level.scale[1, 1]
    jacobian = np.stack([gx * m[..., 0] / scale[0] + gy * m[..., 1] / scale[1] for m in moves]).reshape(count, -1)
    expected = (jacobian * weight.ravel()) @ jacobian.T
    np.testing.assert_allclose(information, expected, atol=1e-4 * np.abs(expected).max())
    expected = jacobian @ (weight * error).ravel()
    np.testing.assert_allclose(push, expected, atol=1e-4 * np.linalg.norm(expected))


def test_common_region_is_where_every_frame_has_pixels():
    motions = [in_pixels(m, SIZE) for m in wandering(4)]
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    points = np.stack([x, y], axis=-1).reshape(1, -1, 2).astype(np.float64)
    inside = np.ones(SIZE, bool)
    for matrix in motions:
        u, v = cv2.perspectiveTransform(points, matrix)[0].T
        inside &= ((u >= 0) & (u <= SIZE[1] - 1) & (v >= 0) & (v <= SIZE[0] - 1)).reshape(SIZE)
    region = common_region(motions, SIZE)
    assert 0.3 < region.mean() < 0.95
    np.testing.assert_array_equal(region, inside)
    assert common_region([np.eye(3)], SIZE).all()


@pytest.mark.parametrize("motion", ["translation", "similarity", "affine", "homography"])
def test_two_frames_of_other_blur_are_registered(motion):
    parameters = np.array([0.08, -0.05, 0.02, 0.01, 0.008, -0.006, 0.01, -0.008])
    count = len(to_parameters(motion, np.eye(3)))
    true = from_parameters(motion, parameters[:count])
    stack = moving_stack([np.eye(3), true])
    first, second = (pyramid(stack[n][..., 0].astype(np.float32) / 255, SIZE) for n in (0, 1))
    pair = register(first, second, motion, best_shift(first, second))
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 2))
    distance = np.linalg.norm(apply(pair.matrix, points) - apply(true, points), axis=1) * 0.5 * np.hypot(*SIZE)
    assert np.percentile(distance, 95) < 0.5
    assert pair.correlation > pair.unmoved + 0.1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_known_motion_is_undone(dtype):
    motions = wandering(6)
    stack = moving_stack(motions, dtype=dtype)
    aligned = align(stack)
    assert aligned.alignment["motion"] == "similarity" and aligned.kept == list(range(6))
    assert worst(aligned, motions) < 0.5
    assert aligned[2].dtype == dtype and aligned[2].shape == (*SIZE, 3)
    reference = aligned.alignment["reference"]
    np.testing.assert_allclose(aligned.transforms[reference], [[1, 0, 0.25], [0, 1, 0.25], [0, 0, 1]], atol=1e-9)
    scale = normaliser(SIZE, SIZE)
    seen = compose(scale, inverse(aligned.transforms[reference]), inverse(scale), motions[reference])
    still = moving_stack([seen] * 6, dtype=dtype)
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    for n in range(6):
        difference = np.abs(aligned[n].astype(float) - still[n])[aligned.common_region] / top
        assert np.percentile(difference, 95) < 0.02


def test_the_reference_looks_no_sharper_than_the_rest():
    noise = np.random.default_rng(5).normal(0, 12, (8, *SIZE, 1))
    noisy = np.stack(list(moving_stack(wandering(8)))) + noise
    aligned = align(FocalStack(np.clip(noisy, 0, 255).astype(np.uint8), np.linspace(0.5, 1.0, 8)), "similarity")
    detail = [
        float(np.square(cv2.Laplacian(frame[..., 0].astype(np.float32), -1)[aligned.common_region]).mean())
        for frame in aligned
    ]
    own = detail.pop(aligned.alignment["reference"])
    assert own == pytest.approx(np.mean(detail), rel=0.1)


def test_pixels_a_frame_lacks_are_the_references_and_not_in_the_common_region():
    stack = moving_stack(wandering(4))
    aligned = align(stack, "similarity")
    reference = stack[aligned.alignment["reference"]]
    for n, matrix in enumerate(aligned.transforms):
        lacking = ~common_region([matrix], SIZE)
        np.testing.assert_array_equal(aligned[n][lacking], reference[lacking])
        assert not aligned.common_region[lacking].any()


def test_exposure_is_evened_out():
    gains = [1.0, 0.8, 0.9, 0.7, 1.0]
    stack = moving_stack(wandering(5), gains=gains)
    aligned = align(stack)
    means = [frame[aligned.common_region].mean() for frame in aligned]
    assert np.ptp(means) < 0.02 * np.mean(means)
    assert len({tuple(p["gain"]) for p in aligned.alignment["planes"]}) == 5


def test_gain_of_integers_is_that_of_light():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    factors = np.array([0.5, 1.0, 1.7])
    expected = exposure.apply_gain((image / 255).astype(np.float32), factors)
    np.testing.assert_allclose(exposure.apply_gain(image, factors) / 255, expected, atol=0.51 / 255)
    light = exposure.to_linear(np.array([0.02, 0.5, 1], np.float32))
    np.testing.assert_allclose(light, [0.02 / 12.92, 0.21404, 1], rtol=1e-4)
    np.testing.assert_allclose(exposure.to_display(light), [0.02, 0.5, 1], rtol=1e-5)


def test_auto_leaves_a_still_stack_alone():
    stack = moving_stack([np.eye(3)] * 5, gains=[1, 0.99, 1, 0.98, 1])
    found = align(stack)
    assert found.alignment["motion"] == "none" and found.common_region is None and found._planes is stack._planes
    moved = moving_stack(wandering(3))
    moved.aligned = True
    left = align(moved)
    assert left._planes is moved._planes and "says" in left.alignment["reason"]
    assert align(moved, "similarity")._planes is not moved._planes


@pytest.mark.parametrize("motion", ["none", "auto", "similarity"])
@pytest.mark.parametrize("moves", [False, True])
def test_the_stack_given_stays_as_it_is(moves, motion):
    stack = moving_stack(wandering(3) if moves else [np.eye(3)] * 3)
    stack.extra = {"licence": "none"}
    before = dict(vars(stack))
    found = align(stack, motion)
    found.warnings.append("of the new stack")
    found.extra["notes"] = "of the new stack"
    assert found is not stack and found.alignment is not None and stack.alignment is None
    assert vars(stack) == before and stack.warnings == [] and stack.extra == {"licence": "none"}


def test_exposure_of_frames_that_do_not_move_is_evened_out():
    gains = np.array([0.7, 0.85, 1, 0.9, 0.75])  # of what is displayed
    stack, even = moving_stack([np.eye(3)] * 5, gains=gains), moving_stack([np.eye(3)] * 5)
    aligned = align(stack)
    assert aligned is not stack and aligned.alignment["motion"] == "none" and aligned.kept == [0, 1, 2, 3, 4]
    assert aligned.common_region.all() and all(np.array_equal(m, np.eye(3)) for m in aligned.transforms)
    reference = aligned.alignment["reference"]
    for n in range(5):
        wanted = even[n].mean() * gains[reference]
        assert abs(aligned[n].mean() - wanted) < 0.02 * wanted
    assert np.array_equal(aligned[reference], stack[reference])
    record = [plane["gain"][0] for plane in aligned.alignment["planes"]]
    assert record[reference] == 1 and min(record[n] for n in range(5) if gains[n] < gains[reference]) > 1.1


def test_a_frame_of_another_scene_is_left_out():
    motions = wandering(6)
    stack = moving_stack(motions)
    images = np.stack(list(stack))
    images[2] = np.repeat((texture(99, SIZE) * 255).astype(np.uint8)[..., None], 3, axis=2)
    for distances in (stack.focus_distances, None):
        aligned = align(FocalStack(images, distances))
        assert aligned.kept == [0, 1, 3, 4, 5] and worst(aligned, motions) < 0.5
        assert "plane 2" in aligned.warnings[-1] and "left out" in aligned.warnings[-1]
        assert [p["used"] for p in aligned.alignment["planes"]] == [True, True, False, True, True, True]
    # depth of a relative stack still counts the planes as they were given
    np.testing.assert_array_equal(aligned.coordinates, [0, 1, 3, 4, 5])
    still = np.stack(list(moving_stack([np.eye(3)] * 6)))
    still[3] = images[2]
    assert align(FocalStack(still)).kept == [0, 1, 2, 4, 5]


def test_unrelated_photographs_are_refused():
    images = np.stack([np.repeat((texture(n, SIZE) * 255).astype(np.uint8)[..., None], 3, axis=2) for n in range(5)])
    with pytest.raises(ValueError, match='of 5 planes could be aligned.*motion="none"'):
        align(FocalStack(images), "similarity")
    with pytest.raises(ValueError, match="alignment 'rigid' is not one of auto, none"):
        align(FocalStack(images), "rigid")


def test_a_registered_stack_stays_as_it_is():
    stack = moving_stack(wandering(4))
    aligned = align(stack, "similarity")
    record, region = aligned.alignment, aligned.common_region
    assert align(aligned) is aligned and align(aligned, "none") is aligned
    assert aligned.alignment is record and aligned.common_region is region and record["motion"] == "similarity"
    with pytest.raises(ValueError, match="registered already.*source"):
        align(aligned, "translation")
    assert align(aligned.source, "translation").alignment["motion"] == "translation"


@pytest.mark.parametrize("size", [(2, 32767), (32767, 2), (1, 50), (50, 1), (1, 1)])
def test_frames_that_opencv_cannot_warp_are_refused_or_left_alone(size):
    stack = FocalStack(np.random.default_rng(0).integers(0, 255, (3, *size)).astype(np.uint8))
    with pytest.raises(ValueError, match=f'{size[1]} x {size[0]} pixels cannot be registered.*motion="none"'):
        align(stack, "translation")
    left = align(align(stack))
    assert stack.alignment is None and stack.warnings == []
    assert left._planes is stack._planes and left.alignment["motion"] == "none"
    assert f"{size[1]} x {size[0]}" in left.alignment["reason"]
    assert len(left.warnings) == 1 and "as they are" in left.warnings[0]


@pytest.mark.parametrize("size", [(5, 32766), (32766, 5)])
def test_the_longest_frames_are_registered(size):
    plane = np.random.default_rng(0).integers(0, 255, size).astype(np.uint8)
    aligned = align(FocalStack(np.stack([plane] * 3)), "translation")
    assert [plane.shape for plane in aligned] == [(*size, 3)] * 3


def test_order_of_planes_does_not_matter():
    motions = wandering(5)
    stack = moving_stack(motions)
    mixed = [3, 0, 4, 1, 2]
    aligned = align(FocalStack(np.stack([stack[n] for n in mixed]), stack.focus_distances[mixed]))
    assert worst(aligned, [motions[n] for n in mixed]) < 0.5


def is_left(aligned):
    """No frame was moved or left out; its exposure may have been evened out."""
    said = aligned.alignment
    return said["motion"] == "none" and said["common_share"] == 1 and all(plane["used"] for plane in said["planes"])


@pytest.mark.parametrize("side", [32, 48, 64, 96])
def test_small_still_frames_stay_as_they_are(side):
    """A motion of several parameters fits a few details by chance, however little they say."""
    desk = dualfocus.load_stack(DEMO_STACK)
    planes, rng = np.stack(list(desk)), np.random.default_rng(side)
    for _ in range(4):
        y, x = (int(rng.integers(0, length - side)) for length in desk.size)
        still = FocalStack(planes[:, y : y + side, x : x + side], desk.focus_distances)
        assert is_left(align(still))


def test_still_frames_with_little_in_them_stay_as_they_are():
    """A textured square on white: the corners of the picture say nothing of a motion."""
    rng, planes = np.random.default_rng(0), []
    scene = np.full((300, 400), 1.3)
    scene[105:195, 155:245] = 0.1 + 0.6 * texture(0, (90, 90))
    for n in range(9):
        blurred = cv2.GaussianBlur(scene, (0, 0), 0.3 + 2 * abs(3 - n))
        planes.append((np.clip(blurred + rng.normal(0, 0.003, scene.shape), 0, 1) * 255).astype(np.uint8))
    still = FocalStack(np.stack(planes))
    assert is_left(align(still))


def test_small_frames_that_move_are_aligned():
    scene, size = texture(1, (120, 120)), 80
    shifts = [(0, 0), (4, 2), (7, 5), (9, 9), (13, 11)]
    frames = [
        cv2.GaussianBlur(scene, (0, 0), 0.5 + 0.4 * n)[20 + y : 20 + y + size, 10 + x : 10 + x + size]
        for n, (y, x) in enumerate(shifts)
    ]
    aligned = align(FocalStack((np.stack(frames) * 255).astype(np.uint8)))
    assert aligned.alignment["motion"] != "none" and aligned.kept == [0, 1, 2, 3, 4]
    reference = shifts[aligned.alignment["reference"]]
    middle = np.array([size / 2, size / 2])
    for matrix, (y, x) in zip(aligned.transforms, shifts, strict=True):
        moved = apply(matrix, middle) - middle
        np.testing.assert_allclose(moved, [reference[1] - x, reference[0] - y], atol=1.0)


@pytest.mark.parametrize("level", [0, 120, 255])
def test_featureless_frames_stay_as_they_are(level):
    flat = FocalStack(np.full((4, 60, 80), level, np.uint8))
    assert align(flat)._planes is flat._planes


@pytest.mark.parametrize("kind", ["breathing", "hand", "both", "pan"])
def test_rendered_scene_reaches_the_accuracy_asked_for(kind):
    moving = render_moving(1, kind, (240, 320), 6)
    aligned = align(moving.stack)
    reference = aligned.alignment["reference"]
    found = residuals(aligned.transforms, moving.motions, reference, aligned.common_region)
    distances = np.concatenate([r for n, r in enumerate(found) if n != reference])
    assert np.median(distances) <= 0.5 and np.percentile(distances, 95) <= 1.5


def test_drawn_motions_are_of_their_kind():
    size, coordinates = (480, 640), np.linspace(0, 1, 8)
    for kind in KINDS:
        motions = draw_motions(np.random.default_rng(0), kind, coordinates, size)
        zooms = [np.sqrt(np.linalg.det(m[:2, :2])) for m in motions]
        assert (np.ptp(zooms) > 0.02) == (kind in ("breathing", "both"))
        assert any(np.abs(m[2, :2]).max() > 1e-3 for m in motions) == (kind == "pan")


def run(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dualfocus", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_command_line_writes_what_it_did(tmp_path):
    folder = tmp_path / "moved"
    folder.mkdir()
    stack = moving_stack(wandering(4))
    for n in range(4):
        cv2.imwrite(str(folder / f"{n}.png"), stack[n])
    done = run("predict", folder, "-o", tmp_path / "out", "--model", "classical", "--focus", "0.5,0.6,0.8,1")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "result.json").read_text())["alignment"]
    assert record["requested"] == "auto" and record["motion"] == "similarity"
    assert np.shape([p["transform"] for p in record["planes"]]) == (4, 3, 3)
    depth_png = cv2.imread(str(tmp_path / "out" / "depth.png"), cv2.IMREAD_UNCHANGED)
    outside = ~common_region([np.array(p["transform"]) for p in record["planes"]], SIZE)
    assert outside.mean() > 0.02 and not depth_png[outside].any() and depth_png.any()
    bad = run("predict", folder, "-o", tmp_path / "bad", "--align", "rigid")
    assert bad.returncode == 2 and bad.stderr.count("\n") == 1 and "rigid" in bad.stderr
    assert not (tmp_path / "bad").exists()


def test_predict_does_not_align_by_itself():
    stack = moving_stack(wandering(3))
    result = dualfocus.load_model("classical", device="cpu").predict(stack)
    assert result.alignment is None
    aligned = align(stack)
    result = dualfocus.load_model("classical", device="cpu").predict(aligned)
    assert result.alignment["motion"] == "similarity" and not result.valid[~aligned.common_region].any()


def test_alignment_needs_no_torch():
    code = "import sys, dualfocus.alignment, dualfocus; dualfocus.align; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_hand_held_phone_stack(shared_data):
    stack = dualfocus.load_stack(shared_data / "stacks" / "hybriddepth_pixel6" / "backpack")
    aligned = align(stack)
    assert aligned.alignment["motion"] == "homography" and len(aligned) == len(stack)
    assert max(p["moved_px"] for p in aligned.alignment["planes"]) > 20
    assert max(p["residual_px"] for p in aligned.alignment["planes"]) < 1.5
