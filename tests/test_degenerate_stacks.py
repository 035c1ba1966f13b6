"""A stack that shows nothing is told from one that shows little."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

import dualfocus
from dualfocus.inference.degenerate_stacks import SharedDetail, StackChecks
from dualfocus.outputs import DepthResult
from dualfocus.rendering.capture import render_stack


def noise(planes, size=(120, 160), level=60, deviation=12, quality=None, seed=0):
    rng = np.random.default_rng(seed)
    frames = rng.normal(level, deviation, (planes, *size, 3)).round().clip(0, 255).astype(np.uint8)
    return frames if quality is None else np.stack([as_jpeg(frame, quality) for frame in frames])


def as_jpeg(frame, quality):
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def shared(planes):
    detail = SharedDetail()
    for plane in planes:
        detail.add(plane)
    return detail


@pytest.mark.parametrize("size", [(24, 32), (64, 64), (64, 400), (480, 640), (1300, 1500)])
@pytest.mark.parametrize("planes", [2, 30])
def test_noise_has_nothing_in_common(size, planes):
    planes = min(planes, 5) if size[0] > 1000 else planes
    assert shared(noise(planes, size)).most < 0.5
    assert shared(noise(planes, size, level=4, deviation=2, quality=85)).most < 0.5
    assert not shared(np.full((planes, *size, 3), 7, np.uint8)).found


@pytest.mark.parametrize("seed", range(6))
def test_a_scene_under_strong_noise_has(seed):
    stack = render_stack(seed, size=192, planes=4, clean=True)
    noisy = stack.images + np.random.default_rng(seed).normal(0, 40, stack.images.shape)
    assert shared(noisy.clip(0, 255).astype(np.uint8)).found


def test_two_planes_of_very_different_blur_have():
    sharp = noise(1, (240, 320), level=128, deviation=60)[0]
    for deviation in (2, 6):
        assert shared([cv2.GaussianBlur(sharp, (0, 0), 0.7), cv2.GaussianBlur(sharp, (0, 0), deviation)]).found


def test_types_and_exposures_do_not_matter():
    scene = render_stack(1, size=96, planes=2, clean=True).images
    found = [
        shared(scene).most,
        shared(scene.astype(np.uint16) * 257).most,
        shared(scene.astype(np.float32) / 255).most,
    ]
    np.testing.assert_allclose(found, found[0], atol=1e-3)
    assert shared([scene[0], scene[1] // 3]).found


@pytest.mark.parametrize("model", ["dualfocus-s", "classical"])
def test_of_nothing_but_noise_nothing_is_valid(model):
    model = dualfocus.load_model(model)
    for images in (noise(5), noise(5, level=3, deviation=2, quality=80), np.zeros((3, 60, 80), np.uint8)):
        result = model.predict(dualfocus.FocalStack(images, np.arange(1, len(images) + 1)))
        assert not result.valid.any()
        assert [w for w in result.warnings if "no detail in common" in w]
    scene = render_stack(4, size=96, planes=3, clean=True)
    result = model.predict(dualfocus.FocalStack(scene.images[[1, 1, 1]], [1, 2, 3]))
    assert not result.valid.any() and [w for w in result.warnings if "all planes are the same picture" in w]
    scene = render_stack(3, size=96, planes=3, clean=True)
    result = model.predict(dualfocus.FocalStack(scene.images, scene.focus_distances))
    assert result.valid.any() and not [w for w in result.warnings if "in common" in w]


def test_planes_that_repeat_are_named_as_they_were_given():
    scene = render_stack(2, size=64, planes=3, clean=True).images
    stack = dualfocus.FocalStack(scene[[2, 1, 1, 0]], [4, 3, 2, 1], names=["far", "copy", "middle", "near"])
    checks, size = StackChecks(), (64, 64)
    for n, index in enumerate(stack.near_to_far):
        checks.add(n, stack[int(index)])
    maps = {key: np.ones(size, np.float32) for key in ("depth", "confidence", "std")}
    result = DepthResult.of_stack(
        stack, valid=np.ones(size, bool), all_in_focus=scene[0], model="none", warnings=["before"], **maps
    )
    checks.apply(result, stack)
    assert result.valid.all()  # the other planes tell depth
    assert result.warnings[0] == "before" and len(result.warnings) == 2
    assert result.warnings[1].startswith("copy is the same picture as another plane")
