"""Photographs with depth as training data."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualfocus.datasets.rgbd import read_depth
from dualfocus.rendering.noise import fractal
from dualfocus.training.batches import BatchDataset
from dualfocus.training.config import DataConfig, SourceConfig
from dualfocus.training.rgbd_source import RgbdSource, random_square
from dualfocus.training.sources import open_source

HEIGHT, WIDTH = 60, 80


def ramp() -> np.ndarray:
    """Metres: a wall that recedes to the right, nothing measured in the upper rows."""
    depth = np.repeat(np.linspace(1.0, 3.0, WIDTH, dtype=np.float32)[None], HEIGHT, 0)
    depth[:10] = 0
    return depth


@pytest.fixture
def folder(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("rgb", "depth"):
        (tmp_path / name).mkdir()
    for index, suffix in enumerate(("jpg", "png")):
        picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "rgb" / f"{index}.{suffix}")
    np.save(tmp_path / "depth" / "0.npy", ramp())
    Image.fromarray((1000 * ramp()).astype(np.uint16)).save(tmp_path / "depth" / "1.png")
    return tmp_path


def test_both_forms_of_depth_agree(folder):
    np.testing.assert_allclose(
        read_depth(folder / "depth" / "1.png"), read_depth(folder / "depth" / "0.npy"), atol=1e-3
    )


def test_draws_stacks_whose_truth_follows_the_depth(folder):
    source = open_source(SourceConfig(kind="rgbd", path=folder))
    assert isinstance(source, RgbdSource)
    for seed in range(3):
        stack = source.draw(np.random.default_rng(seed), 3, 48)
        assert stack.images.shape == (3, 48, 48, 3) and stack.images.dtype == np.uint8
        assert stack.coordinates[0] == 0 and stack.coordinates[-1] == 1
        assert stack.truth.shape == stack.known.shape == (48, 48)
        rows = stack.known.all(axis=1)
        assert rows.any() and stack.known.any(axis=1).sum() == rows.sum()  # only whole rows are unknown
        profile = stack.truth[rows].mean(axis=0)
        assert np.corrcoef(profile, np.arange(48))[0, 1] > 0.9  # farther to the right, larger coordinate
    again = source.draw(np.random.default_rng(2), 3, 48)
    for one, two in zip(stack, again, strict=True):
        np.testing.assert_array_equal(one, two)


def test_squares_keep_picture_and_depth_together():
    rng = np.random.default_rng(0)
    depth = np.clip(128 + 40 * fractal(rng, HEIGHT, WIDTH, 1.5), 1, 255)
    image = np.repeat(depth[..., None].astype(np.uint8), 3, -1)
    for _ in range(6):
        picture, part = random_square(image, depth, rng, 32, Path("x"))
        assert picture.shape == (32, 32, 3) and part.shape == (32, 32)
        assert np.corrcoef(picture[..., 0].ravel(), part.ravel())[0, 1] > 0.9


def test_makes_batches(folder):
    config = DataConfig(sources=[SourceConfig(kind="rgbd", path=folder)], crop=32, planes=(3, 3), planes_per_batch=6)
    batch = BatchDataset(config, 0)[0]
    assert batch["images"].shape == (2, 3, 32, 32, 3) and batch["known"].any()


class TestMistakes:
    def test_folders(self, tmp_path):
        with pytest.raises(ValueError, match="rgb and depth"):
            RgbdSource(tmp_path)
        (tmp_path / "rgb").mkdir()
        (tmp_path / "depth").mkdir()
        with pytest.raises(ValueError, match="no .jpg"):
            RgbdSource(tmp_path)

    def test_a_picture_without_depth(self, folder):
        (folder / "depth" / "1.png").unlink()
        with pytest.raises(ValueError, match="1.png.*no depth/1.npy"):
            RgbdSource(folder)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (np.zeros((5, 5), np.float32), "5x5.*80x60"),
            (np.zeros((HEIGHT, WIDTH, 3), np.float32), "one channel"),
            (np.zeros((HEIGHT, WIDTH), np.float32), "no depth"),
            (np.full((HEIGHT, WIDTH), "a"), "one channel"),
        ],
    )
    def test_depth_that_cannot_be_used_is_named(self, folder, content, message):
        (folder / "rgb" / "1.png").unlink()
        np.save(folder / "depth" / "0.npy", content)
        with pytest.raises(ValueError, match=f"0.npy: .*{message}"):
            RgbdSource(folder).draw(np.random.default_rng(0), 2, 32)

    def test_a_depth_map_that_was_cut_off_is_named(self, folder):
        (folder / "depth" / "0.npy").write_bytes(b"")
        with pytest.raises(ValueError, match="0.npy: cannot be read as depth"):
            read_depth(folder / "depth" / "0.npy")

    def test_a_picture_that_is_none(self, folder):
        (folder / "rgb" / "0.jpg").write_text(json.dumps("text"))
        (folder / "rgb" / "1.png").unlink()
        with pytest.raises(ValueError, match="0.jpg: cannot be read"):
            RgbdSource(folder).draw(np.random.default_rng(0), 2, 32)

    def test_pictures_smaller_than_the_crop(self, folder):
        with pytest.raises(ValueError, match="80x60.*64"):
            RgbdSource(folder).draw(np.random.default_rng(0), 2, 64)
