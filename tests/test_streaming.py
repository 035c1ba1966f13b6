"""Streaming: the same result as predicting the window at once, with every plane encoded once."""

import re

import numpy as np
import pytest

import dualfocus
from dualfocus.inference.torch_model import load_torch_model
from dualfocus.rendering.capture import render_stack
from dualfocus.rendering.textures import TexturePool

PLANES = 6


@pytest.fixture(scope="module")
def scene():
    return render_stack(7, TexturePool(None), size=(70, 90), planes=PLANES)


@pytest.fixture(scope="module")
def images(scene):
    return scene.images


@pytest.fixture(scope="module")
def distances(scene):
    return scene.focus_distances


@pytest.fixture(scope="module")
def model():
    return load_torch_model("dualfocus-s", device="cpu")


def assert_same(streamed, batch):
    u = 1 / batch.focus_distances if batch.unit == "m" else np.arange(PLANES)
    inverse = (lambda depth: 1 / depth) if batch.unit == "m" else (lambda depth: depth)
    assert np.abs(inverse(streamed.depth) - inverse(batch.depth)).max() / np.ptp(u) <= 1e-5
    np.testing.assert_allclose(streamed.confidence, batch.confidence, rtol=0, atol=1e-5)
    np.testing.assert_allclose(streamed.std, batch.std, rtol=1e-3, atol=1e-5)
    assert np.abs(streamed.all_in_focus.astype(int) - batch.all_in_focus).max() <= 1
    np.testing.assert_array_equal(streamed.focus_distances, batch.focus_distances)
    assert streamed.unit == batch.unit and streamed.warnings == batch.warnings


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]])
def test_every_window_equals_the_batch_call(model, order, images, distances):
    stream = model.stream(window=4, unit="m")
    assert stream.push(images[order[0]], distances[order[0]]) is None
    for count in range(2, 7):
        result = stream.push(images[order[count - 1]], distances[order[count - 1]])
        window = order[max(0, count - 4) : count]
        assert_same(result, model.predict(dualfocus.FocalStack(images[window], distances[window], "m")))


def test_without_distances_the_order_of_arrival_counts(model, images):
    stream = model.stream(window=3)
    for image in images:
        result = stream.push(image)
    assert result.unit == "index" and result.depth.max() <= 2
    expected = model.predict(dualfocus.FocalStack(images[3:]))
    assert np.abs(result.depth - expected.depth).max() <= 2e-5


def test_a_sweep_that_comes_back_replaces_planes(model, images, distances):
    stream = model.stream(window=3, unit="m")
    for n in (0, 1, 2, 1):
        result = stream.push(images[n] if n != 1 else images[n] // 2, distances[n])
    planes = np.stack([images[0], images[2], images[1] // 2])
    assert_same(result, model.predict(dualfocus.FocalStack(planes, distances[[0, 2, 1]], "m")))


def test_each_plane_is_encoded_once_and_projected_twice_at_most(model, images, distances):
    encoded, projected = [], []
    hooks = [
        model.network.encoder.register_forward_hook(lambda _, inputs, __: encoded.append(len(inputs[0]))),
        model.network.gradient_head.register_forward_hook(lambda _, inputs, __: projected.append(len(inputs[0]))),
    ]
    try:
        stream = model.stream(window=4, unit="m")
        for image, distance in zip(images, distances, strict=True):
            stream.push(image, distance)
        assert encoded == [1] * 6 and projected == [2] * 5  # near to far: the new plane and the one before
        projected.clear()
        stream = model.stream(window=4, unit="m")
        for image, distance in zip(images[::-1], distances[::-1], strict=True):
            stream.push(image, distance)
        assert projected == [2, 1, 1, 2, 2]  # far to near: the new plane, and the last one when its neighbour left
    finally:
        for hook in hooks:
            hook.remove()


def test_a_stream_looks_twice_as_predict_does(model, monkeypatch, images, distances):
    monkeypatch.setattr("dualfocus.inference.looks.LEAST_PIXELS", 0)
    assert len(model.sizes(images[0].shape[:2], 2)) == 2
    for window in (2, 13):  # full, it would look once at thirteen
        stream = model.stream(window=window, unit="m")
        for n in (0, 1):
            result = stream.push(images[n], distances[n])
        assert_same(result, model.predict(dualfocus.FocalStack(images[:2], distances[:2], "m")))


def test_a_plane_that_comes_twice_is_said_as_predict_does(model, images, distances):
    stream = model.stream(window=3, unit="m")
    for n, distance in zip((0, 1, 1), distances[:3], strict=True):
        result = stream.push(images[n], distance)
    assert_same(result, model.predict(dualfocus.FocalStack(images[[0, 1, 1]], distances[:3], "m")))
    assert any("is the same picture as another plane" in warning for warning in result.warnings)
    assert set(result.timings) == {"estimate", "all_in_focus"} and min(result.timings.values()) > 0


def test_large_images_are_worked_smaller(model, monkeypatch, images, distances):
    monkeypatch.setattr("dualfocus.inference.runners.WORKING_PIXELS", 48 * 64)
    stream = model.stream(window=2, unit="m")
    for n in (0, 1):
        result = stream.push(images[n], distances[n])
    assert_same(result, model.predict(dualfocus.FocalStack(images[:2], distances[:2], "m")))
    assert "enlarged" in result.warnings[-1]


def test_bad_planes_are_named_and_not_taken(model, images):
    stream = model.stream(window=3, unit="m")
    with pytest.raises(ValueError, match="-1 m of image 0 must be above zero"):
        stream.push(images[0], -1.0)
    stream.push(images[0], 1.0)
    for image, distance, words in (
        (images[1], None, "every plane of a stream"),
        (images[1][:40], 2.0, "all planes must have one size"),
        (images[1].astype(np.int64), 2.0, "must be uint8"),
        (images[1], float("nan"), "not finite"),
    ):
        with pytest.raises(ValueError, match=words):
            stream.push(image, distance)
    result = stream.push(images[1], 2.0)
    assert_same(result, model.predict(dualfocus.FocalStack(images[:2], [1.0, 2.0], "m")))


def test_a_refused_plane_in_place_of_the_only_one_leaves_it(model, images):
    stream = model.stream(window=3, unit="m")
    stream.push(images[0], 0.5)
    with pytest.raises(ValueError, match="must be uint8"):
        stream.push(images[1].astype(np.int64), 0.5)
    result = stream.push(images[1], 1.0)
    assert_same(result, model.predict(dualfocus.FocalStack(images[:2], [0.5, 1.0], "m")))


def test_refusals(model):
    with pytest.raises(ValueError, match="classical cannot stream"):
        load_torch_model("classical", device="cpu").stream()
    for window in (1, 25, 2.5, "3", None, True):
        with pytest.raises(ValueError, match=re.escape(f"window must be 2 to 24 planes, not {window!r}")):
            model.stream(window=window)


def test_a_camera_may_fill_one_buffer_again_and_again(model, images, distances):
    stream, buffer = model.stream(window=4, unit="m"), np.empty_like(images[0])
    for image, distance in zip(images[:4], distances[:4], strict=True):
        buffer[:] = image
        result = stream.push(buffer, distance)
    assert_same(result, model.predict(dualfocus.FocalStack(images[:4], distances[:4], "m")))


def test_the_only_plane_may_be_replaced_by_one_of_another_size(model, images, distances):
    stream, small = model.stream(window=3, unit="m"), np.ascontiguousarray(images[:, :48, :48])
    stream.push(images[0], distances[0])
    stream.push(small[0], distances[0])
    result = stream.push(small[1], distances[1])
    assert_same(result, model.predict(dualfocus.FocalStack(small[:2], distances[:2], "m")))
