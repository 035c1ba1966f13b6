"""Registration leaves alone what does not move, cannot be told to move, or was registered before."""

import cv2
import numpy as np
import pytest
from warped_stacks import moving_stack, texture, wandering

import dualfocus
from dualfocus import FocalStack
from dualfocus.alignment import align
from dualfocus.alignment.motion import apply
from dualfocus.inference.shipped import DEMO_STACK


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
