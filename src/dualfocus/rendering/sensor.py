"""From linear light to the file of a camera: misalignment, exposure, noise, encoding, JPEG."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from dualfocus.rendering.color import linear_to_srgb8
from dualfocus.rendering.draws import log_uniform

BORDER = 2  # px that the picture must be larger on each side, for the misalignment


@dataclass(frozen=True)
class Sensor:
    """What happens to the light of every plane of one focal stack.

    Attributes:
        full_well: photo-electrons at white (shot noise); 0 for a noiseless sensor.
        read_noise: deviation in the same electrons.
        exposure: (N,) gain of each plane.
        softness: sigma in px of a fixed blur (diffraction, demosaicing).
        similarity: (N, 4) zoom - 1, rotation in radians, shift x and y in px, of each plane.
        jpeg_quality: 0 for none.
    """

    full_well: float
    read_noise: float
    exposure: np.ndarray
    softness: float
    similarity: np.ndarray
    jpeg_quality: int

    @classmethod
    def ideal(cls, planes: int) -> "Sensor":
        """No noise, drift, misalignment or compression; only the 8-bit encoding is left."""
        return cls(0.0, 0.0, np.ones(planes), 0.0, np.zeros((planes, 4)), 0)


def sample_sensor(rng: np.random.Generator, planes: int, size: tuple[int, int]) -> Sensor:
    """Random camera for a stack of `planes` pictures of `size`."""
    full_well = log_uniform(rng, 800, 40_000)
    read_noise = float(rng.uniform(1.0, 6.0))
    drift = rng.uniform(0.0, 0.03) if rng.random() < 0.6 else 0.0
    exposure = np.exp(rng.normal(0.0, drift, planes))
    similarity = np.zeros((planes, 4))
    if rng.random() < 0.3:
        half = max(size) / 2.0
        border = rng.uniform(0.05, 0.7)  # px of residual motion at the border
        zoom = np.linspace(-1, 1, planes) * rng.choice([-1.0, 1.0]) * border * 0.6 / half
        jitter = rng.normal(0.0, border * 0.2, (planes, 4)) * np.array([1 / half, 1 / half, 1.0, 1.0])
        similarity = jitter
        similarity[:, 0] += zoom
        similarity[planes // 2] = 0.0
    quality = int(rng.integers(60, 99)) if rng.random() < 0.5 else 0
    softness = float(rng.uniform(0.0, 0.7))
    return Sensor(full_well, read_noise, exposure, softness, similarity, quality)


def develop(rng: np.random.Generator, light: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Photograph linear light (N, 3, H + 2 BORDER, W + 2 BORDER): display-encoded uint8 (N, H, W, 3)."""
    light = crop_border(_misalign(soften(light, sensor.softness), sensor.similarity))
    light = np.minimum(light * sensor.exposure.astype(np.float32)[:, None, None, None], 1.0)
    if sensor.full_well > 0:
        light = np.maximum(light, 0.0)
        read_variance = np.float32((sensor.read_noise / sensor.full_well) ** 2)
        deviation = np.sqrt(light * np.float32(1 / sensor.full_well) + read_variance)
        light = light + deviation * rng.standard_normal(light.shape, dtype=np.float32)
    images = np.ascontiguousarray(linear_to_srgb8(light).transpose(0, 2, 3, 1))
    if sensor.jpeg_quality:
        images = np.stack([_jpeg(image, sensor.jpeg_quality) for image in images])
    return images


def crop_border(light: np.ndarray) -> np.ndarray:
    """Cut `BORDER` px off every side of (..., H, W)."""
    return light[..., BORDER:-BORDER, BORDER:-BORDER]


def soften(light: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of (N, 3, H, W) with a small sigma (below 0.8 px)."""
    if sigma < 0.15:
        return light
    axis = np.arange(-2, 3)
    line = np.exp(-0.5 * (axis / sigma) ** 2).astype(np.float32)
    line /= line.sum()
    for dimension in (2, 3):
        pad = [(0, 0)] * 4
        pad[dimension] = (2, 2)
        padded = np.pad(light, pad, mode="edge")
        size = light.shape[dimension]
        parts = [_window(padded, dimension, k, size) for k in range(5)]
        light = line[0] * (parts[0] + parts[4]) + line[1] * (parts[1] + parts[3]) + line[2] * parts[2]
    return light


def _window(array: np.ndarray, dimension: int, start: int, size: int) -> np.ndarray:
    return array[:, :, start : start + size] if dimension == 2 else array[..., start : start + size]


def _misalign(light: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Apply each plane's similarity about the centre, by bicubic interpolation."""
    moved = np.flatnonzero(np.abs(similarity).sum(1))
    if not len(moved):
        return light
    height, width = light.shape[-2:]
    zoom, angle, x, y = similarity[moved].T
    zoom = 1.0 + zoom
    theta = np.stack(
        [
            np.stack([zoom * np.cos(angle), -zoom * np.sin(angle) * height / width, 2 * x / width], 1),
            np.stack([zoom * np.sin(angle) * width / height, zoom * np.cos(angle), 2 * y / height], 1),
        ],
        1,
    )
    source = torch.from_numpy(light[moved])
    matrix = torch.from_numpy(theta.astype(np.float32))
    grid = torch.nn.functional.affine_grid(matrix, list(source.shape), align_corners=False)
    result = light.copy()
    result[moved] = torch.nn.functional.grid_sample(
        source, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    ).numpy()
    return result


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0 if quality > 90 else 2)
    return np.asarray(Image.open(buffer))
