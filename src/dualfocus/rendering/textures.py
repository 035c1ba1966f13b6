"""Surface textures: a pool of photographs and seeded noise patterns, all returned in linear light."""

import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dualfocus.rendering.color import srgb_to_linear
from dualfocus.rendering.noise import noise_texture, random_color

HELD_OUT_PERCENT = 15
SPLITS = ("train", "held_out", "all")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_MIPS = 3


def is_held_out(name: str, percent: int = HELD_OUT_PERCENT) -> bool:
    """Whether the file of this name belongs to the held-out split (a stable hash of the name alone)."""
    return zlib.crc32(name.encode("utf-8")) % 100 < percent


def texture_files(folder: str | Path | None, split: str = "train") -> list[Path]:
    """Image files of `folder` that belong to `split` ("train", "held_out" or "all"), sorted by name; None: none.

    Raises:
        ValueError: for an unknown split, or when the folder has no image of it.
    """
    if split not in SPLITS:
        raise ValueError(f"texture split must be one of {', '.join(SPLITS)}, not {split!r}")
    if folder is None:
        return []
    found = sorted(p for p in Path(folder).glob("*") if p.suffix.lower() in _SUFFIXES)
    files = [p for p in found if split == "all" or is_held_out(p.name) == (split == "held_out")]
    if not files:
        raise ValueError(f"{folder}: no texture images (.jpg, .png, .webp) of the split {split!r}; check the folder")
    return files


class TexturePool:
    """Photographs to cut textures from; without a folder every texture is noise, so nothing on disk is needed.

    Decoded images stay in memory as uint8 with two coarser copies, which are used when a texture is shrunk.
    """

    def __init__(self, folder: str | Path | None = None, split: str = "train", size: int = 512) -> None:
        """Look for images in `folder` (None: noise only); they are decoded on first use, at most `size` px."""
        self.files = texture_files(folder, split)
        self.size = size
        self._images: dict[int, list[torch.Tensor]] = {}

    def fingerprint(self) -> str | bool:
        """What tells pools apart in the record of a data set: a hash of the names of the files, False without any."""
        names = "\n".join(path.name for path in self.files)
        return hashlib.sha256(names.encode("utf-8")).hexdigest()[:12] if names else False

    def photograph(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """A random cut (3, height, width), display-encoded float32 in [0, 1]: random image, scale, rotation, flip."""
        mips = self._decode(int(rng.integers(len(self.files))))
        top = np.log(1.1) if rng.random() < 0.8 else np.log(2.0)
        scale = float(np.exp(rng.uniform(np.log(0.3), top)))
        level = min(max(int(np.floor(np.log2(1.0 / scale) + 0.35)), 0), len(mips) - 1)
        image = mips[level]
        matrix = _random_linear_map(rng) / (scale * 2**level)
        source = torch.tensor([image.shape[2], image.shape[1]], dtype=torch.float32)
        center = torch.from_numpy(rng.uniform(0.0, 1.0, 2).astype(np.float32)) * source
        span = torch.tensor([[width / 2.0, height / 2.0]])
        theta = torch.from_numpy(matrix.astype(np.float32)) * span * 2.0 / source[:, None]
        theta = torch.cat([theta, (2.0 * center / source - 1.0)[:, None]], 1)
        grid = torch.nn.functional.affine_grid(theta[None], [1, 3, height, width], align_corners=False)
        cut = torch.nn.functional.grid_sample(
            image[None].float(), grid, mode="bicubic", padding_mode="reflection", align_corners=False
        )
        return np.clip(cut[0].numpy() / 255.0, 0.0, 1.0)

    def surface(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """Colours (3, height, width) of a random surface, linear light, float32: photograph, noise or nearly bare."""
        kind = rng.random()
        if kind < 0.08:
            return _bare(rng, height, width)
        if self.files and kind < 0.80:
            texture = _jitter(rng, self.photograph(rng, height, width))
        else:
            texture = noise_texture(rng, height, width)
        if rng.random() < 0.12:
            texture = _fade(rng, texture)
        linear = srgb_to_linear(texture) * np.float32(np.exp(rng.uniform(-0.5, 0.35)))
        return _highlights(rng, linear) if rng.random() < 0.12 else linear

    def _decode(self, index: int) -> list[torch.Tensor]:
        if index not in self._images:
            with Image.open(self.files[index]) as opened:
                image = opened.convert("RGB")
            image.thumbnail((self.size, self.size))
            levels = [image] + [image.reduce(2**k) for k in range(1, _MIPS)]
            self._images[index] = [torch.from_numpy(np.array(m).transpose(2, 0, 1).copy()) for m in levels]
        return self._images[index]


def _random_linear_map(rng: np.random.Generator) -> np.ndarray:
    """Rotation (mostly near a right angle), flip and a mild stretch: (2, 2), about unit scale."""
    angle = rng.integers(4) * np.pi / 2 + (rng.normal(0, 0.1) if rng.random() < 0.5 else rng.uniform(0, np.pi / 2))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.exp(rng.normal(0.0, 0.15))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    return rotation @ np.diag([stretch * flip, 1.0 / stretch])


def _jitter(rng: np.random.Generator, texture: np.ndarray) -> np.ndarray:
    """Random saturation, contrast, tint and brightness of a display-encoded texture."""
    grey = texture.mean(0, keepdims=True)
    texture = grey + (texture - grey) * np.float32(rng.uniform(0.3, 1.1))
    if rng.random() < 0.12:
        texture = texture[rng.permutation(3)]
    mean = texture.mean()
    texture = mean + (texture - mean) * np.float32(np.exp(rng.normal(0.05, 0.2)))
    tint = np.exp(rng.normal(0.0, 0.06, (3, 1, 1))).astype(np.float32)
    target = rng.uniform(0.25, 0.6)
    return np.clip(texture * tint * np.float32((target / max(float(mean), 0.08)) ** 0.7), 0.0, 1.0)


def _fade(rng: np.random.Generator, texture: np.ndarray) -> np.ndarray:
    """Lower the contrast to between 1 and 5 percent."""
    mean = texture.mean((1, 2), keepdims=True)
    contrast = np.exp(rng.uniform(np.log(0.01), np.log(0.05)))
    return mean + (texture - mean) * np.float32(contrast / max(float(texture.std()), 1e-3))


def _bare(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A flat colour, half of the time with a faint gradient; linear light."""
    color = srgb_to_linear(random_color(rng))[:, None, None] * np.ones((1, height, width), np.float32)
    if rng.random() < 0.5:
        slope = rng.normal(0.0, 0.3, 2).astype(np.float32)
        y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
        color = color * (1.0 + 0.5 * slope[0] * y[:, None] + 0.5 * slope[1] * x[None, :])
    return color


def _highlights(rng: np.random.Generator, linear: np.ndarray) -> np.ndarray:
    """Lift the brightest parts beyond white, as lamps and glints are, so that they blur into bright disks."""
    grey = linear.mean(0, keepdims=True)
    threshold = np.quantile(grey[:, ::4, ::4], rng.uniform(0.95, 0.995))
    return linear * (1.0 + np.float32(rng.uniform(1.0, 6.0)) * (grey > threshold))
