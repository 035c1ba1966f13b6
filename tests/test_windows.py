"""Long stacks and large photographs, worked in parts: windows of planes, tiles, sizes to work at, two looks."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from dualfocus.inference import resizing, staged, windows
from dualfocus.inference.confidence_map import measured_confidence
from dualfocus.inference.expected_error import expected_error
from dualfocus.inference.resizing import guided_upsample, working_size
from dualfocus.inference.smoothing import smooth_within_surfaces
from dualfocus.inference.torch_model import DepthModel, load_torch_model
from dualfocus.models import build_network
from dualfocus.rendering.capture import render_stack
from dualfocus.rendering.textures import TexturePool
from dualfocus.stack import FocalStack


def test_interleaved_parts_use_every_plane():
    for planes in range(windows.LONGEST + 1, 120):
        parts = windows.interleaved(planes)
        assert {n for part in parts for n in part} == set(range(planes))
        assert all(len(part) <= windows.LONGEST and part == sorted(set(part)) for part in parts)


@pytest.mark.parametrize("stride", [1, 2])
def test_windows_lie_a_stride_apart_and_overlap(stride):
    for planes in range(windows.LONGEST + 1, 120):
        parts = windows.cut_windows(planes, stride)
        assert parts[0][0] == 0 and parts[-1][-1] == planes - 1
        assert all(len(part) >= windows.WINDOW and set(np.diff(part[1:])) == {stride} for part in parts)
        assert all(a[1] < b[0] <= a[-1] for a, b in zip(parts, parts[1:], strict=False))
        used = [n for part in parts for n in part]
        if stride == 2:  # a window takes what the one before it left out
            assert all(not set(a) & set(b) for a, b in zip(parts, parts[1:], strict=False))
            assert len(used) <= planes + 2 * windows.WINDOW
        else:
            assert set(used) == set(range(planes))


def test_window_shares_sum_to_one():
    for planes, stride in itertools.product((25, 27, 37, 60, 211), (1, 2)):
        place = np.linspace(0, planes - 1, 2000, dtype=np.float32)
        parts = windows.cut_windows(planes, stride)
        shares = [windows.window_share(place, parts, number) for number in range(len(parts))]
        np.testing.assert_allclose(sum(shares), 1, atol=1e-6)
        for part, share in zip(parts, shares, strict=True):  # nothing from a window that does not hold the plane
            assert share.min() >= 0
            assert part[0] - 0.01 <= place[share > 0].min() and place[share > 0].max() <= part[-1] + 0.01


def test_tiles_do_not_change_the_answer(models, monkeypatch):
    scene = render_stack(21, TexturePool(None), size=(200, 330), planes=4)
    stack = FocalStack(scene.images, scene.focus_distances, "m")
    whole = models["dualfocus-s"].predict(stack)
    monkeypatch.setattr(staged, "PLANE_CELLS", 3000)
    box = (0, 200, 0, 330)
    assert len(staged._tiles(box, 4, 4)) > 9 and len(staged._tiles(box, 4, 8)) > 3
    tiled = models["dualfocus-s"].predict(stack)
    spread = np.ptp(1 / scene.focus_distances)
    assert np.abs(1 / whole.depth - 1 / tiled.depth).max() / spread <= 1e-5
    np.testing.assert_allclose(tiled.confidence, whole.confidence, rtol=0, atol=1e-5)
    assert np.abs(whole.all_in_focus.astype(int) - tiled.all_in_focus).max() <= 1


@pytest.mark.parametrize("box", [(0, 1200, 0, 1760), (16, 487, 32, 640), (0, 16, 0, 5000)])
def test_tiles_cover_a_box_once(box):
    covered = np.zeros((box[1], box[3]), int)
    for top, bottom, left, right in staged._tiles(box, 12, 4):
        covered[top:bottom, left:right] += 1
        assert 12 * (bottom - top) * (right - left) <= 16 * staged.PLANE_CELLS and top % 16 == left % 16 == 0
    assert (covered[box[0] :, box[2] :] == 1).all() and covered.sum() == (box[1] - box[0]) * (box[3] - box[2])


def test_long_relative_stack(models):
    scene = render_stack(31, TexturePool(None), size=96, planes=30)
    result = models["dualfocus-s"].predict(FocalStack(scene.images))
    assert result.unit == "index" and 0 <= result.depth.min() and result.depth.max() <= 29
    truth = np.interp(scene.truth, scene.coordinates, np.arange(30))
    error = np.abs(result.depth - truth)[scene.valid]
    assert np.median(error) < 2


def test_working_size_and_guided_upsampling():
    assert working_size((480, 640), 2_000_000) == (480, 640)
    height, width = working_size((4000, 6000), 2_000_000)
    assert abs(height * width - 2_000_000) < 3000 and abs(width / height - 1.5) < 0.01
    assert working_size((3, 2_000_000), 2_000_000)[0] <= 3  # never more than the photograph has
    guide = np.zeros((200, 200, 3), np.uint8)
    guide[:, 97:] = 200
    depth = np.where(np.arange(50)[None, :] < 24, 1.0, 3.0).astype(np.float32).repeat(50, 0)
    depth[:, 24] = 2.5  # the edge at 97 / 4 lies inside this column
    up = guided_upsample(depth, guide)
    assert up.shape == (200, 200) and np.abs(np.diff(up[100]))[96] > 1.5
    assert abs(up[100, 60] - 1) < 0.05 and abs(up[100, 140] - 3) < 0.05


def test_upsampling_follows_colours_at_steps_alone():
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:240, :320]
    inside = (rows - 120) ** 2 + (columns - 150) ** 2 < 70**2  # a disc on a slanted ground
    depth = np.where(inside, 0.8, 0.1 + 0.2 * columns / 320).astype(np.float32)
    colours = np.where(inside[..., None], (190, 90, 60), (60, 110, 180)) + rng.normal(0, 25, (240, 320, 1))
    guide = np.clip(colours, 0, 255).astype(np.uint8)
    small = cv2.resize(depth, (80, 60), interpolation=cv2.INTER_AREA)
    plain, guided = cv2.resize(small, (320, 240)), guided_upsample(small, guide)
    edge = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9))) != cv2.erode(inside.astype(np.uint8), np.ones((9, 9)))
    assert np.abs(guided - depth)[edge].mean() < 0.5 * np.abs(plain - depth)[edge].mean()
    assert np.abs(guided - plain)[~cv2.dilate(edge.astype(np.uint8), np.ones((9, 9))).astype(bool)].max() < 1e-6
    assert guided.min() >= small.min() - 1e-6 and guided.max() <= small.max() + 1e-6
    wide, real = guide.astype(np.uint16) * 257, guide.astype(np.float32) / 255
    for other in (wide, real):  # each with its own white
        assert np.abs(guided_upsample(small, other) - guided).mean() < 1e-3


def test_large_photographs_are_looked_at_twice(models):
    model = models["dualfocus-s"]
    assert model.sizes((480, 640), 5) == [(480, 640), (240, 320)]
    assert model.sizes((256, 256), 5) == [(256, 256)]  # as large as the scenes it was trained on
    counts = {n: len(model.sizes((480, 640), n)) for n in (2, 12, 13, 24, 25, 200)}
    assert counts == {2: 2, 12: 2, 13: 1, 24: 1, 25: 2, 200: 2}
    for looks in (1, 2):  # what the weights say of themselves counts
        own = DepthModel("dualfocus-xs", build_network("dualfocus-xs"), torch.device("cpu"), {"looks": looks})
        assert len(own.sizes((480, 640), 5)) == looks
    (height, width), second = model.sizes((6000, 8000), 5)  # memory and time
    assert height * width == pytest.approx(resizing.WORKING_PIXELS, rel=1e-3)
    assert second == pytest.approx((height / 2, width / 2), abs=1)
    for other in (models["classical"], models["dualfocus-xs"], load_torch_model("dfv", "cpu", weights=None)):
        assert other.sizes((480, 640), 5) == [(480, 640)]


def test_two_looks_are_averaged_by_their_expected_errors(models):
    scene = render_stack(12, TexturePool(None), size=288, planes=4)
    model, stack = models["dualfocus-s"], FocalStack(scene.images)
    looks = []
    for side in (288, 144):
        images = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in scene.images]
        planes = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)[None].float() / 255
        with torch.inference_mode():
            found = model.network(planes, torch.linspace(0, 1, 4)[None])
        sure = measured_confidence(found.confidence[0].numpy(), model.record["confidence_map"], 4)
        # of a normal error, as what is below half a spacing says: chance = erf(half / (deviation sqrt 2))
        chance = torch.from_numpy(sure).clamp(0.02, 0.98)
        deviation = (0.5 / 3) / (torch.erfinv(chance) * 2**0.5)
        looks.append([cv2.resize(v.numpy(), (288, 288)) for v in (found.coordinate[0], deviation.clamp(max=0.5))])
    (fine, fine_error), (coarse, coarse_error) = looks
    trust = coarse_error**2 / (fine_error**2 + coarse_error**2)
    result = model.predict(stack)
    error = expected_error(result.confidence, 4)
    expected = 3 * smooth_within_surfaces(trust * fine + (1 - trust) * coarse, error)  # in planes
    assert np.abs(result.depth - expected).max() < 0.02
    assert np.abs(fine - coarse).max() > 0.05 and trust.min() < 0.4 and trust.max() > 0.6


def test_long_stacks_are_looked_at_twice(models):
    scene = render_stack(14, TexturePool(None), size=288, planes=26)
    model = models["dualfocus-s"]
    u = np.linspace(0, 1, 26)

    def read(at):
        def plane(n, size):  # each look reduces what it sees once more, for its coarse answer
            seen = cv2.resize(scene.images[n], at[::-1], interpolation=cv2.INTER_AREA)
            return seen if size == at else cv2.resize(seen, size[::-1], interpolation=cv2.INTER_AREA)

        return plane

    looks = [model.estimate(read(at), u, at) for at in ((288, 288), (144, 144))]
    result = model.predict(FocalStack(scene.images))
    error = expected_error(result.confidence, 26)
    expected = smooth_within_surfaces(model.merge(looks, 26).coordinate, error)
    assert np.abs(result.depth / 25 - expected).max() < 0.02
    assert np.abs(looks[0].coordinate - expected).max() > 0.05  # both looks count


def test_photographs_too_large_to_work_at(scene, stack, monkeypatch):
    model = load_torch_model("classical", device="cpu")
    whole = model.predict(stack)
    monkeypatch.setattr("dualfocus.inference.looks.working_size", lambda size, pixels: (64, 64))
    result = model.predict(stack)
    assert "worked at 64x64 and enlarged to 128x128" in result.warnings
    for values in (result.depth, result.std, result.confidence, result.valid, result.all_in_focus):
        assert values.shape[:2] == (128, 128)
    spacing = np.abs(np.diff(1 / scene.focus_distances)).mean()
    assert np.median(np.abs(1 / result.depth - 1 / whole.depth)) < 0.3 * spacing
