"""What a trainer is fed: batches that follow from seed and step, and stacks in folders."""

import numpy as np
import pytest
import torch
from training_runs import logged, settings, write, write_stack

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from dualfocus.models.weights import load_weights
from dualfocus.rendering.capture import render_stack
from dualfocus.training.augment import jitter, registered
from dualfocus.training.batches import BatchDataset, random_crop
from dualfocus.training.config import DataConfig, SourceConfig
from dualfocus.training.loop import train
from dualfocus.training.sources import open_source
from dualfocus.training.stacks import TrainingStack, take_planes


class TestBatches:
    def test_are_a_function_of_seed_and_step(self, rendered):
        config = DataConfig(sources=[SourceConfig(kind="rendered", path=rendered)], crop=32, planes_per_batch=6)
        one, two, other = BatchDataset(config, 1), BatchDataset(config, 1), BatchDataset(config, 2)
        one[0]
        for key, value in one[3].items():
            assert torch.equal(value, two[3][key])
        pairs = zip(one[3].values(), other[3].values(), strict=True)
        assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in pairs)

    def test_planes_taken_from_a_stack_span_the_coordinate(self, rendered):
        stack = open_source(SourceConfig(kind="rendered", path=rendered)).draw(np.random.default_rng(0), 5, 32)
        part = take_planes(stack, np.array([1, 2, 4]))
        u = stack.coordinates
        assert part.coordinates[0] == 0 and part.coordinates[-1] == 1 and len(part.images) == 3
        back = u[1] + part.truth * (u[4] - u[1])
        np.testing.assert_allclose(back, stack.truth, atol=1e-5)

    def test_crops_and_turns_keep_images_and_truth_together(self):
        rng = np.random.default_rng(0)
        marks = rng.integers(0, 256, (40, 50)).astype(np.uint8)
        images = np.repeat(np.repeat(marks[None, ..., None], 2, 0), 3, -1)
        stack = TrainingStack(images, np.array([0.0, 1.0]), marks.astype(np.float32), marks > 9)
        for _ in range(8):
            part = random_crop(stack, rng, 32)
            assert part.images.shape == (2, 32, 32, 3)
            np.testing.assert_array_equal(part.images[1, ..., 0], part.truth)
            np.testing.assert_array_equal(part.known, part.truth > 9)
        with pytest.raises(ValueError, match="50x40.*64"):
            random_crop(stack, rng, 64)

    def test_jitter_reverses_images_and_coordinate_together(self):
        images = np.full((3, 4, 4, 3), 100, np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None] * 30
        truth = np.full((4, 4), 0.2, np.float32)
        seen = set()
        for seed in range(12):
            out = jitter(TrainingStack(images, np.array([0, 0.2, 1]), truth, truth > 0), np.random.default_rng(seed))
            rising = bool(out.images[2].mean() > out.images[0].mean())
            seen.add(rising)
            np.testing.assert_allclose(out.truth, 0.2 if rising else 0.8, rtol=1e-6)
            np.testing.assert_allclose(out.coordinates, [0, 0.2, 1] if rising else [0, 0.8, 1])
        assert seen == {True, False}

    def test_registered_keeps_places_and_softens_the_finest_detail(self):
        rng = np.random.default_rng(1)
        y, x = np.mgrid[:96, :96]
        waves = 128 + 60 * np.sin(x / 4.0) * np.cos(y / 5.0)  # periods of 25 px and more: interpolation keeps them
        grain = rng.integers(0, 256, (96, 96)).astype(np.float64)
        truth = (x / 95.0).astype(np.float32)
        outs = []
        for picture in (waves, grain):
            images = np.repeat(np.repeat(np.rint(picture).astype(np.uint8)[None, ..., None], 4, 0), 3, -1)
            stack = TrainingStack(images, np.linspace(0, 1, 4), truth, np.ones((96, 96), bool))
            out = registered(stack, np.random.default_rng(5))
            assert 0.6 < out.known.mean() < 1.0
            np.testing.assert_array_equal(out.truth, truth)
            outs.append((out.images[..., 0].astype(float), picture, out.known))
        images, picture, known = outs[0]
        assert np.abs(images - picture)[:, known].mean() < 4  # a fraction of a pixel of residual motion, no more
        images, picture, known = outs[1]
        deviation = images[:, known].std(axis=1) / picture[known].std()
        assert (deviation < 0.95).all() and (deviation > 0.5).all()
        assert deviation.max() - deviation.min() > 0.005  # and not alike in all planes


class TestStacksSource:
    @pytest.mark.parametrize("unit", ["m", "dioptre"])
    def test_reads_what_was_rendered(self, tmp_path, unit):
        write_stack(tmp_path / "scene1", 5, unit)
        stack = open_source(SourceConfig(kind="stacks", path=tmp_path)).draw(np.random.default_rng(0), 4, 32)
        expected = render_stack(5, size=40, planes=4, clean=True)
        np.testing.assert_array_equal(stack.images, expected.images)
        np.testing.assert_allclose(stack.coordinates, expected.coordinates, atol=1e-9)
        assert not stack.known[:4].any() and stack.known[4:].all()
        np.testing.assert_allclose(stack.truth[4:], expected.truth[4:], atol=1e-4)

    def test_truth_beyond_the_planes_is_clipped_on_request(self, tmp_path):
        drawn = []
        for scene in range(40, 60):
            write_stack(tmp_path / str(scene) / "stack", scene, "m")
            source = SourceConfig(kind="stacks", path=tmp_path / str(scene))
            plain = open_source(source).draw(np.random.default_rng(0), 4, 32)
            clipped = open_source(source.model_copy(update={"clip_truth": True})).draw(np.random.default_rng(0), 4, 32)
            np.testing.assert_array_equal(clipped.truth, plain.truth.clip(0, 1))
            drawn.append(plain.truth[plain.known])
        beyond = np.concatenate(drawn)
        assert beyond.min() < 0 and beyond.max() > 1, "else this tests nothing"

    def test_trains(self, tmp_path):
        for index in range(2):
            write_stack(tmp_path / "data" / f"scene{index}", index, "m")
        source = {"kind": "stacks", "path": str(tmp_path / "data")}
        path = train(write(tmp_path / "config.yaml", settings(tmp_path, source)))
        assert all(np.isfinite(row["total"]) for row in logged(tmp_path / "run"))
        assert load_weights(path)[1]["data"] == [{"kind": "stacks", "name": "data", "licence": ""}]

    def test_include_and_exclude(self, tmp_path):
        write_stack(tmp_path / "scene1", 1, "m")
        write_stack(tmp_path / "scene2", 2, "m")
        source = open_source(SourceConfig(kind="stacks", path=tmp_path, exclude=("*2",)))
        assert source.indices == [0]
        with pytest.raises(ValueError, match="nothing\\*"):
            open_source(SourceConfig(kind="stacks", path=tmp_path, include="nothing*"))
