"""Registration of whole stacks: known warps undone, exposure, frames left out, accuracy, the command line."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from moving_stacks import KINDS, draw_motions, render_moving, residuals
from warped_stacks import SIZE, moving_stack, texture, wandering, worst

import dualfocus
from dualfocus import FocalStack
from dualfocus.alignment import align, exposure
from dualfocus.alignment.motion import compose, inverse, normaliser
from dualfocus.alignment.region import common_region


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
