"""The order of focus found from the images, on stacks whose order is known."""

import json
from itertools import permutations

import cv2
import numpy as np
import pytest
from command_runs import assert_refused, run
from PIL import Image

from dualfocus.alignment import align
from dualfocus.ordering import CHOICES, find_order, order_of, reorder, settle_order, sharpness_pattern
from dualfocus.ordering.round_trip import shortest_trip, trip_length
from dualfocus.readers import load_stack
from dualfocus.stack import FocalStack


def sweep(count=9, first=0.0, last=1.0, noise=0.0, drift=0.0):
    """Planes of a texture on a slope: column x is sharp where the focus, going from `first` to `last`, is at x."""
    rng = np.random.default_rng(3)
    texture = cv2.resize(rng.uniform(0.1, 0.9, (60, 80)), (320, 240), interpolation=cv2.INTER_NEAREST)
    levels = [cv2.GaussianBlur(texture, (0, 0), 0.3 + 0.4 * blur) for blur in range(12)]
    place, planes = np.linspace(0, 1, 320), []
    for n, focus in enumerate(np.linspace(first, last, count)):
        blur = np.clip(np.round(np.abs(place - focus) * 11), 0, 11).astype(int)
        plane = np.stack([levels[level][:, column] for column, level in enumerate(blur)], axis=1)
        plane = plane * (1 - drift * n / count) + noise * rng.normal(size=plane.shape)
        planes.append(np.repeat(np.round(255 * plane.clip(0, 1)).astype(np.uint8)[..., None], 3, axis=2))
    return np.stack(planes)


def rank_correlation(order):
    order = np.asarray(order)
    pairs = np.triu_indices(len(order), 1)
    return np.sign(order[pairs[1]] - order[pairs[0]]).mean()


@pytest.mark.parametrize(
    "options",
    [{}, {"count": 2}, {"count": 30}, {"noise": 0.02, "drift": 0.3}, {"first": -0.5, "last": 1.5, "count": 14}],
)
def test_a_shuffled_sweep_is_put_right(options):
    planes = sweep(**options)
    for seed in range(4):
        shuffled = np.random.default_rng(seed).permutation(len(planes))
        found = find_order(FocalStack(planes[shuffled]))
        assert abs(rank_correlation(shuffled[found.planes])) == 1
        assert rank_correlation(found.planes) == pytest.approx(found.agreement) and found.agreement >= 0
        assert found.is_as_given == (abs(rank_correlation(shuffled)) == 1)


def test_both_ends_blurred_is_no_ring():
    """Planes before and behind everything look alike; the order must not run through them."""
    planes = sweep(10, first=-0.8, last=1.8)[[3, 4, 5, 6, 7, 8, 9, 0, 1, 2]]
    found = find_order(FocalStack(planes))
    assert found.planes.tolist() in ([7, 8, 9, 0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0, 9, 8, 7])


def test_sixteen_bit_float_and_tiny_planes():
    planes = sweep(5)
    expected = sharpness_pattern(planes[2])
    np.testing.assert_allclose(sharpness_pattern(planes[2].astype(np.uint16) * 257), expected, atol=1e-3)
    np.testing.assert_allclose(sharpness_pattern(planes[2] / np.float32(255)), expected, atol=1e-3)
    for size in ((1, 1), (2, 40), (3, 3)):
        assert np.isfinite(sharpness_pattern(np.zeros((*size, 3), np.uint8))).all()
    flat = order_of(np.zeros((4, 3, 5, 5)))
    assert sorted(flat.planes) == [0, 1, 2, 3] and flat.is_as_given


def test_the_order_given_is_kept_and_the_found_one_told():
    planes = sweep(6)
    stack = settle_order(FocalStack(planes, names=list("abcdef")))
    assert [text[:30] for text in stack.warnings] == ["which end of the stack is near"]
    shuffled = FocalStack(planes[[2, 0, 5, 1, 4, 3]], names=list("cafbed"))
    stack = settle_order(shuffled)
    assert stack._planes is shuffled._planes and stack.names == list("cafbed")
    assert "found was" in stack.warnings[0] and 'order="auto"' in stack.warnings[0]
    assert "a, b, c, d, e, f" in stack.warnings[0] or "f, e, d, c, b, a" in stack.warnings[0]


def test_auto_reorders_lazily():
    planes = sweep(6)
    stack = settle_order(FocalStack(planes[[2, 0, 5, 1, 4, 3]], names=list("cafbed"), pixel_size_um=2), "auto")
    assert "".join(stack.names) in ("abcdef", "fedcba") and stack.pixel_size_um == 2
    for n, name in enumerate(stack.names):
        np.testing.assert_array_equal(stack[n], planes["abcdef".index(name)])
    assert "put in the order of focus that was found" in stack.warnings[0]
    assert "which end of the stack is near" in stack.warnings[1]


def test_what_is_said_of_the_order_given_does_not_outlive_a_shuffle():
    planes = sweep(6)
    slightly = FocalStack(planes[[0, 2, 1, 3, 4, 5]], order="far_to_near")
    assert settle_order(slightly, "auto").order == "far_to_near"
    stack = settle_order(FocalStack(planes[[2, 0, 5, 1, 4, 3]], order="far_to_near"), "auto")
    assert stack.order is None and "which end" in stack.warnings[-1]


def test_a_stated_order_and_distances_are_believed():
    shuffled = sweep(4)[[2, 0, 3, 1]]
    stack = settle_order(FocalStack(shuffled), "far_to_near")
    assert stack.order == "far_to_near" and stack.warnings == []
    for wanted, told in (("given", 0), ("auto", 1), ("near_to_far", 1)):
        stack = settle_order(FocalStack(shuffled, [3, 1, 4, 2]), wanted)
        assert stack.focus_distances.tolist() == [3, 1, 4, 2] and len(stack.warnings) == told
    with pytest.raises(ValueError, match="order 'sideways' is not one of given, auto"):
        settle_order(stack, "sideways")
    moved = reorder(FocalStack(shuffled, [3, 1, 4, 2], "dioptre"), [1, 0, 3, 2])
    assert moved.focus_distances.tolist() == [1, 3, 2, 4] and moved.unit == "dioptre"


@pytest.mark.parametrize("wanted", CHOICES)
@pytest.mark.parametrize("distances", [None, [3, 1, 4, 2]])
def test_the_stack_given_stays_as_it_is(wanted, distances):
    stack = FocalStack(sweep(4)[[2, 0, 3, 1]], distances)
    before = dict(vars(stack))
    found = settle_order(stack, wanted)
    found.warnings.append("of the new stack")
    assert found is not stack and vars(stack) == before and stack.warnings == []


def test_registered_frames_are_not_reordered():
    from dualfocus.alignment import align

    order = [2, 0, 5, 1, 4, 3]
    planes = np.stack([np.roll(plane, 3 * (n == 2), axis=1) for n, plane in enumerate(sweep(6)[order])])
    aligned = align(FocalStack(planes), "translation")
    settled = settle_order(aligned)
    assert settled.common_region is aligned.common_region is not None and settled.names == aligned.names
    with pytest.raises(ValueError, match="order it first, then align"):
        settle_order(aligned, "auto")
    untouched = align(FocalStack(sweep(6)[order]), "none")
    assert settle_order(untouched, "auto").alignment == untouched.alignment == {**untouched.alignment, "motion": "none"}


def test_an_index_counts_the_images_given_also_without_those_left_out():
    from dualfocus import load_model
    from dualfocus.alignment import align

    planes = np.stack([np.roll(plane, 3 * (n == 2), axis=1) for n, plane in enumerate(sweep(5))])
    planes[4] = np.random.default_rng(0).integers(0, 255, planes[4].shape)  # another scene
    aligned = align(FocalStack(planes, names=list("abcde")), "translation")
    assert aligned.names == list("abcd")
    assert load_model("classical").predict(aligned).images == list("abcde")


def test_command_line(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n, plane in zip((3, 0, 4, 1, 2), sweep(5), strict=True):
        Image.fromarray(plane).save(folder / f"{n}.png")
    done = run("predict", folder, "-o", tmp_path / "given", "--model", "classical")
    assert done.returncode == 0 and "--order auto" in done.stderr and "which end" in done.stderr
    done = run("predict", folder, "-o", tmp_path / "auto", "--model", "classical", "--order", "auto")
    record = json.loads((tmp_path / "auto" / "result.json").read_text())
    assert record["images"] in ([f"{n}.png" for n in order] for order in ((3, 0, 4, 1, 2), (2, 1, 4, 0, 3)))
    assert record["order"] is None and any("which end" in text for text in record["warnings"])
    depth = np.load(tmp_path / "auto" / "depth.npy")
    expected = np.linspace(0, 4, 320) if record["images"][0] == "3.png" else np.linspace(4, 0, 320)
    assert np.median(np.abs(depth - expected)) < 0.4
    assert_refused(run("predict", folder, "-o", tmp_path / "x", "--order", "up"), "'up'", "given, auto")
    assert not (tmp_path / "x").exists()


# Rank correlation of the order found with the true one on real stacks, after a shuffle; the least that must be reached.
REAL = {
    "samsung_s6_diopter/scene1": 1.0,
    "suwajanakorn_mobile/balls_aligned": 0.98,
    "suwajanakorn_mobile/balls_raw": 0.98,
    "macro_stacks/pcb_button": 1.0,
    "macro_stacks/pcb_connector": 1.0,
    "hybriddepth_pixel6/office_desk": 1.0,
}


@pytest.mark.parametrize("scene", REAL)
def test_real_stacks(shared_data, scene):
    stack = load_stack(shared_data / "stacks" / scene)
    patterns = np.stack([sharpness_pattern(plane) for plane in stack])[stack.near_to_far]
    assert order_of(patterns).is_as_given
    shuffled = np.random.default_rng(0).permutation(len(patterns))
    found = order_of(patterns[shuffled])
    assert abs(rank_correlation(shuffled[found.planes])) >= REAL[scene] - 1e-9 and not found.is_as_given


@pytest.mark.parametrize("seed", range(5))
def test_the_round_trip_is_the_shortest_of_all(seed):
    points = np.random.default_rng(seed).random((7, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    shortest = min(trip_length(np.array(path), distances) for path in permutations(range(6)))
    assert trip_length(shortest_trip(distances), distances) == pytest.approx(shortest)


@pytest.mark.parametrize("used", [align, find_order, settle_order])
@pytest.mark.parametrize("stack", [None, "photos/", np.zeros((3, 8, 8), np.uint8)])
def test_what_is_no_focal_stack_is_refused(used, stack):
    with pytest.raises(ValueError, match=f"{used.__name__} takes a focal stack, not .*load_stack"):
        used(stack)
