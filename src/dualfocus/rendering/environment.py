"""Light from all around, painted by rule in high dynamic range: an overcast or clear sky, a room, a studio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]
HEIGHT, WIDTH = 64, 128


def map_directions(height: int = HEIGHT, width: int = WIDTH) -> Map:
    """Directions (height, width, 3), unit, of the pixels of an equirectangular map, in the frame of the renderer."""
    polar = np.pi * (np.arange(height) + 0.5)[:, None] / height
    turn = 2 * np.pi * (np.arange(width) + 0.5)[None] / width
    return np.stack([np.sin(polar) * np.sin(turn), np.cos(polar) + 0 * turn, -np.sin(polar) * np.cos(turn)], axis=2)


def environment(rng: np.random.Generator, to_gravity: Map) -> NDArray[np.float32]:
    """A map (64, 128, 3) of radiance, about 1 on the mean.

    Args:
        rng: draws the kind and all that belongs to it.
        to_gravity: (3, 3), from the renderer's frame to (right, up, back).
    """
    right, up, back = np.moveaxis(map_directions() @ to_gravity.T, 2, 0)
    kind = rng.integers(3)
    if kind == 0:
        light = _sky(rng, right, up, back)
    else:
        dim = rng.uniform(0.1, 0.4) if kind == 1 else rng.uniform(0.02, 0.1)
        light = np.full((*up.shape, 3), dim) * _tint(rng, 0.08)
        for _ in range(int(rng.integers(1, 4))):
            light += _window(rng, np.arctan2(right, back), np.arcsin(up.clip(-1, 1)))
    solid_angle = np.sqrt(1 - map_directions()[..., 1] ** 2)
    return (light / np.average(light.mean(axis=2), weights=solid_angle)).astype(np.float32)


def _tint(rng: np.random.Generator, strength: float) -> Map:
    return np.exp(rng.normal(0, strength, 3))


def _sky(rng: np.random.Generator, right: Map, up: Map, back: Map) -> Map:
    """Brighter or darker towards the zenith, a sun behind the camera that is sharp or veiled, dark ground."""
    towards = np.array([rng.normal(), rng.uniform(0.4, 1.5), rng.uniform(0.3, 1.2)])
    sun = np.stack([right, up, back], axis=2) @ (towards / np.linalg.norm(towards))
    sharpness = np.exp(rng.uniform(np.log(20), np.log(400)))
    dome = 0.6 + rng.uniform(-0.4, 0.6) * up.clip(0, 1)
    light = dome[..., None] * np.array([0.8, 0.95, 1.2]) ** rng.uniform(0, 1)
    light = light + rng.uniform(0.1, 0.6) * sharpness * np.exp(sharpness * (sun - 1))[..., None] * _tint(rng, 0.1)
    return np.where(up[..., None] > 0, light, rng.uniform(0.1, 0.4))


def _window(rng: np.random.Generator, azimuth: Map, elevation: Map) -> Map:
    """A bright rectangle with soft edges to the side, above or behind the camera (azimuth 0 is straight behind)."""
    centre, reach = (rng.uniform(-1.8, 1.8), rng.uniform(0.2, 1.1)), rng.uniform(0.15, 0.6, 2)
    inside = np.minimum(reach[0] - np.abs(azimuth - centre[0]), reach[1] - np.abs(elevation - centre[1]))
    return np.clip(inside / 0.08 + 0.5, 0, 1)[..., None] * rng.uniform(4, 20) * _tint(rng, 0.12)
