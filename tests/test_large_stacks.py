"""Stacks that are read plane by plane: what is in memory at once, progress, and that long ones lose nothing."""

import gc
import weakref

import numpy as np
import pytest

from dualfocus.benchmarks.timing import large
from dualfocus.inference import long_stack, windows
from dualfocus.inference.torch_model import load_torch_model
from dualfocus.readers import load_stack
from dualfocus.rendering.capture import render_stack
from dualfocus.rendering.textures import TexturePool
from dualfocus.stack import FocalStack

MODELS = ("dualfocus-s", "classical")


class CountingFrames:
    """Lazy planes that know how many of those they handed out are alive, and the most there ever were."""

    def __init__(self, images):
        self.images, self.shape, self.dtype = images, images.shape[1:3], images.dtype
        self.alive, self.most, self.asked = weakref.WeakSet(), 0, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, n):
        frame = self.images[n].copy().view(Frame)
        self.asked.append(n)
        self.alive.add(frame)
        self.most = max(self.most, len(self.alive))
        return frame


class Frame(np.ndarray):
    """An array that can be referred to weakly, and hashed by identity."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class CountingStack(FocalStack):
    """A stack whose planes are those of its lazy frames, not copies."""

    def __getitem__(self, n):
        return self._planes[n]


@pytest.fixture(scope="module")
def models():
    return {name: load_torch_model(name, device="cpu") for name in MODELS}


@pytest.mark.parametrize("planes", [5, 27])
@pytest.mark.parametrize("name", MODELS)
def test_few_full_planes_are_alive(name, planes, models, monkeypatch):
    scene = render_stack(3, TexturePool(None), size=96, planes=planes)
    frames = CountingFrames(scene.images)
    monkeypatch.setattr("dualfocus.inference.looks.working_size", lambda size, pixels: (48, 48))
    gc.collect()
    models[name].predict(CountingStack(frames))
    assert frames.most <= 2
    again = models[name].reads(planes) + 1
    assert sorted(frames.asked) == sorted(list(range(planes)) * again)


@pytest.mark.parametrize(("name", "planes"), [("dualfocus-s", 4), ("dualfocus-s", 26), ("classical", 4)])
def test_progress_counts_every_read(name, planes, models):
    scene = render_stack(4, TexturePool(None), size=64, planes=planes)
    seen = []
    models[name].predict(FocalStack(scene.images), progress=lambda done, total, what: seen.append((done, total, what)))
    total = planes * (models[name].reads(planes) + 1)
    assert [done for done, _, _ in seen] == list(range(1, total + 1))
    assert {t for _, t, _ in seen} == {total}
    assert [what for _, _, what in seen][-planes:] == ["all-in-focus image"] * planes and seen[0][2] == "depth"


def test_classical_is_the_same_read_plane_by_plane(models, monkeypatch):
    scene = render_stack(5, TexturePool(None), size=80, planes=7)
    stack = FocalStack(scene.images, scene.focus_distances, "m")
    whole = models["classical"].predict(stack)
    monkeypatch.setattr("dualfocus.models.classical.estimator.PART", 9000)  # strips of a few rows
    monkeypatch.setattr("dualfocus.models.classical.scores.PART", 9000)  # energies not kept
    parts = models["classical"].predict(stack)
    np.testing.assert_allclose(parts.depth, whole.depth, rtol=1e-4)
    np.testing.assert_allclose(parts.confidence, whole.confidence, atol=1e-3)
    np.testing.assert_allclose(parts.std, whole.std, rtol=1e-3)


def test_windows_are_run_where_they_are_needed():
    share = np.zeros((400, 700), np.float32)
    assert long_stack.needed(share) is None
    share[200:230, 330:340] = 0.2
    box = long_stack.needed(share)
    assert box == (192 - 128, 240 + 128, 320 - 128, 352 + 128)


@pytest.mark.parametrize(("name", "factor"), [("dualfocus-s", 1.05), ("classical", 0.9)])
def test_more_planes_of_a_scene_lose_nothing(name, factor, models):
    errors = {5: [], 40: []}
    for seed in (45, 47):
        scene = render_stack(seed, TexturePool(None), size=112, planes=41)
        truth, inside = scene.truth, scene.valid
        for count, every in ((5, 10), (40, 1)):
            chosen = np.arange(0, 41, every)
            result = models[name].predict(FocalStack(scene.images[chosen], scene.focus_distances[chosen], "m"))
            u = 1 / scene.focus_distances
            errors[count].append(np.abs((1 / result.depth - u[0]) / (u[-1] - u[0]) - truth)[inside].mean())
    assert np.mean(errors[40]) < factor * np.mean(errors[5])


def test_windows_of_a_fine_series_are_wider():
    spacing = np.float32(1 / 49)
    sure, unsure = np.full((8, 8), 0.7 * spacing), np.full((8, 8), 1.3 * spacing)
    assert windows.window_stride(sure, 50) == 1 and windows.window_stride(unsure, 50) == 2
    bare = np.where(np.arange(8) < 5, 9 * spacing, sure)  # what is nowhere in focus has no say
    assert windows.window_stride(bare, 50) == 1


def test_made_large_stack_and_its_measurement(tmp_path):
    large.write_large_stack(tmp_path / "stack", 4, 60, 90)
    stack = load_stack(tmp_path / "stack")
    assert len(stack) == 4 and stack.size == (60, 90) and stack.unit == "m"
    coordinate = stack.normalised_coordinate(stack.ground_truth)
    assert 0 <= coordinate.min() < 0.1 and 0.9 < coordinate.max() <= 1
    sharpness = [np.abs(np.diff(stack[n].astype(int), axis=0))[coordinate[1:] > 0.9].mean() for n in range(4)]
    assert np.argmax(sharpness) == 3
    row = large.measure(tmp_path / "stack", tmp_path / "out", "classical")
    assert (tmp_path / "out" / "depth.npy").is_file()
    assert row["peak_mib"] > 100 and 0 < row["cpu_s"] and 0 < row["wall_s"]
    with pytest.raises(ValueError, match="nothing"):
        large.measure(tmp_path / "nothing", tmp_path / "other", "classical")
