"""Training stacks of the NYU protocol: a crop of what the test's own renderer makes, in the coordinate asked for."""

import numpy as np
import pytest
import torch
from test_datasets import make_nyu

from dualfocus.datasets import NyuLabelled
from dualfocus.training.batches import BatchDataset
from dualfocus.training.config import DataConfig, SourceConfig
from dualfocus.training.sources import open_source
from dualfocus.training.unblurred import on_device


@pytest.fixture(scope="module")
def nyu(tmp_path_factory):
    return make_nyu(tmp_path_factory.mktemp("nyu"))


@pytest.mark.parametrize("coordinate", ["focus", "depth"])
def test_a_crop_is_a_crop_of_the_whole_stack(nyu, coordinate):
    source = open_source(SourceConfig(kind="nyu", path=nyu), coordinate)
    stack = source.draw(np.random.default_rng(4), 5, 128)
    whole = NyuLabelled(nyu, "train", planes=5)[0]
    found = None
    for top in range(384 - 128 + 1):  # where the crop came from, by its last plane
        windows = np.lib.stride_tricks.sliding_window_view(whole.stack[4][top, :, 0], 128)
        near = np.abs(windows * 255 - stack.images[4, 0, :, 0]).max(axis=1)
        if near.min() < 0.6:
            found = (top, int(near.argmin()))
            break
    assert found is not None
    square = (slice(found[0], found[0] + 128), slice(found[1], found[1] + 128))
    for n in range(5):
        assert np.abs(whole.stack[n][square] * 255 - stack.images[n]).max() < 0.05  # not rounded to 8 bits
    near, far = whole.stack.focus_distances[[0, -1]]
    depth = whole.truth[square].astype(np.float64)
    if coordinate == "depth":
        np.testing.assert_allclose(stack.coordinates, np.linspace(0, 1, 5), atol=1e-4)
        expected = (depth - near) / (far - near)
    else:
        expected = (1 / depth - 1 / near) / (1 / far - 1 / near)
    np.testing.assert_allclose(stack.truth, expected, atol=2e-3)
    assert stack.known.all()


def test_fixed_distances(nyu):
    source = open_source(SourceConfig(kind="nyu", path=nyu, focus_distances=(5, 1, 2)), "depth")
    stack = source.draw(np.random.default_rng(0), 2, 64)
    np.testing.assert_allclose(stack.coordinates, [0, 0.25, 1])


def test_batches_without_turns_or_colours(nyu):
    source = SourceConfig(kind="nyu", path=nyu)
    config = DataConfig(
        sources=[source], crop=64, planes=(5, 5), planes_per_batch=10, augmentation="mirror", coordinate="depth"
    )
    batch = BatchDataset(config, 3)[0]
    assert batch["images"].shape == (2, 5, 64, 64, 3)
    truth = batch["truth"].numpy()
    down, across = (np.abs(np.diff(truth, axis=axis)) for axis in (1, 2))
    assert down.max() < 1e-3 < across.mean()  # the ramp is never turned


def test_blurring_on_the_device_gives_the_same_batches(nyu):
    settings = {
        "sources": [SourceConfig(kind="nyu", path=nyu)],
        "crop": 384,  # as high as the picture, so that the blur meets its border
        "planes": (3, 3),
        "planes_per_batch": 6,
        "augmentation": "mirror",
        "coordinate": "depth",
    }
    for step in range(2):
        expected = BatchDataset(DataConfig(**settings), 7)[step]
        sharp = BatchDataset(DataConfig(**settings, blur="device"), 7)[step]
        assert sharp["image"].shape == (2, 390, 390, 3) and sharp["radius"].shape == (2, 3, 390, 390)
        found = on_device(sharp, torch.device("cpu"))
        torch.testing.assert_close(found["images"], expected["images"], atol=1e-3, rtol=0)
        for key in ("coordinates", "truth", "known"):
            torch.testing.assert_close(found[key], expected[key])


def test_what_cannot_be_blurred_on_the_device_is_refused(nyu):
    source = SourceConfig(kind="nyu", path=nyu, focus_distances=(1, 2, 3))
    with pytest.raises(ValueError, match="augmentation: mirror"):
        DataConfig(sources=[source], blur="device")
    with pytest.raises(ValueError, match=r"set planes to \[3, 3\]"):
        DataConfig(sources=[source], blur="device", augmentation="mirror", planes=(2, 5))


@pytest.mark.parametrize("distances", [(1,), (1, 1), (0, 1), (1, float("nan"))])
def test_bad_distances_are_refused(nyu, distances):
    with pytest.raises(ValueError, match="focus_distances"):
        SourceConfig(kind="nyu", path=nyu, focus_distances=distances)


def test_says_what_is_wrong(nyu, tmp_path):
    with pytest.raises(ValueError, match="nothing is in include"):
        open_source(SourceConfig(kind="nyu", path=nyu, include="1*"))
    with pytest.raises(ValueError, match="smaller than the crop"):
        open_source(SourceConfig(kind="nyu", path=nyu)).draw(np.random.default_rng(0), 2, 416)
    with pytest.raises(ValueError, match="kind procedural: has no coordinate 'depth'"):
        open_source(SourceConfig(kind="procedural"), "depth")
