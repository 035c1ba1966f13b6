"""Scenes in the manner of FoD500: heaps of objects close to a tiny lens, five fixed focus distances.

256 x 256 pixels, 2.9 mm f/1, sensor 3.1 mm wide (our assumption), depth 0.1 to 3 m, planes at 0.1, 0.15, 0.3, 0.7 and
1.5 m.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dualfocus.rendering.draws import log_uniform, rotation
from dualfocus.rendering.meshes import FURNITURE_LICENCE, Mesh, MeshLibrary
from dualfocus.rendering.pathtraced import Body, ThinLens, TracedScene
from dualfocus.rendering.sensor import Sensor
from dualfocus.rendering.stage import SQUARE, matrix
from dualfocus.rendering.textures import TexturePool
from dualfocus.rendering.traced_set import Shot

LENS = ThinLens(focal_length_mm=2.9, f_number=1.0, sensor_width_mm=3.1, width=256, height=256)
FOCUS_DISTANCES_M = (0.1, 0.15, 0.3, 0.7, 1.5)
NEAREST_M, FARTHEST_M = 0.1, 3.0
_DEPTH_UNIT_M = 5e-5  # of depth.png: 16 bits reach 3.3 m


def make_fod(rng: np.random.Generator, meshes: MeshLibrary, textures: TexturePool) -> Shot:
    """One scene before the lens, for `write_drawn_set`."""
    scene, clean = make_fod_scene(rng, meshes, textures), Sensor.ideal(len(FOCUS_DISTANCES_M))
    return Shot(scene, LENS, "thin lens", FOCUS_DISTANCES_M, clean, _DEPTH_UNIT_M, FURNITURE_LICENCE)


def make_fod_scene(rng: np.random.Generator, meshes: MeshLibrary, textures: TexturePool) -> TracedScene:
    """A wall somewhere behind and 12 to 28 objects, sizes and places drawn so that all depths get their share."""
    wall = float(rng.uniform(0.6, 0.95)) * FARTHEST_M
    bodies = [_body(rng, SQUARE, _wall_place(rng, wall), textures, repeat=float(rng.uniform(1, 4)))]
    for _ in range(int(rng.integers(12, 29))):
        name = meshes.names[int(rng.integers(len(meshes.names)))]
        depth = log_uniform(rng, NEAREST_M * 1.3, wall * 0.8)
        bodies.append(
            _body(rng, meshes.load(name), _object_place(rng, depth), textures, float(rng.uniform(0.5, 3)), name)
        )
    lamps = []
    for _ in range(int(rng.integers(1, 4))):
        radius = float(rng.uniform(0.05, 0.3))
        behind = -radius - rng.uniform(0.05, 0.8)  # never in the picture, nor around the camera
        place = np.array([rng.uniform(-1.5, 1.5), rng.uniform(-2.0, 0.3), behind])
        power = rng.uniform(0.4, 2.0) * float(place @ place + 0.3) / radius**2
        lamps.append((place, radius, power * rng.uniform(0.7, 1.0, 3)))
    return TracedScene(bodies, rng.uniform(0.15, 0.6) * rng.uniform(0.8, 1.0, 3), lamps)


def _body(
    rng: np.random.Generator,
    mesh: Mesh,
    to_world: NDArray[np.float64],
    textures: TexturePool,
    repeat: float,
    name: str = "wall",
) -> Body:
    texture = np.clip(textures.surface(rng, 256, 256).transpose(1, 2, 0), 0.02, 0.9).astype(np.float32)
    gloss = float(rng.uniform(0.15, 0.6)) if rng.random() < 0.25 else 0.0
    return Body(mesh, to_world, texture, repeat, gloss, name)


def _object_place(rng: np.random.Generator, depth: float) -> NDArray[np.float64]:
    """Random rotation, 15 to 60 % of the picture's width in size, wholly behind the nearest depth."""
    half_width = depth * LENS.sensor_width_mm / LENS.focal_length_mm / 2
    size = min(2 * half_width * float(rng.uniform(0.15, 0.6)), (depth - NEAREST_M) * 1.1)
    turned = size * rotation(rng)
    return matrix(turned, np.array([*(rng.uniform(-1, 1, 2) * half_width), depth]))


def _wall_place(rng: np.random.Generator, depth: float) -> NDArray[np.float64]:
    """A square that fills the picture, slanted so that no part of it leaves the depth range."""
    tilt = rng.uniform(-0.25, 0.25, 2)
    slanted = np.array([[1, 0, 0], [0, 1, 0], [tilt[0], tilt[1], 1]])
    return matrix(3.2 * depth * slanted, np.array([0, 0, depth * (1 - 0.6 * np.abs(tilt).sum())]))
