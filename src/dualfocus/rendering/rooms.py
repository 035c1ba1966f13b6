"""Path-traced rooms to train on, with what layered scenes lack: bare walls and cards whose depth their outline tells.

Floor, walls and placing are those of the benchmark `pathtraced`; its shapes, materials, light and cameras are its own.
Here meshes and pictures come from the training split, light from lamps, and every scene has another camera.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dualfocus.optics import planes_even_in_dioptres
from dualfocus.rendering.draws import log_uniform, yaw
from dualfocus.rendering.meshes import FURNITURE_LICENCE, Mesh, MeshLibrary
from dualfocus.rendering.pathtraced import Body, Lamp, ThinLens, TracedScene
from dualfocus.rendering.sensor import Sensor
from dualfocus.rendering.stage import SQUARE, Stage, make_stage
from dualfocus.rendering.textures import TexturePool
from dualfocus.rendering.traced_set import Shot

_SENSOR_MM = 24.0
_TEXTURE = 256  # pixels


def make_room(rng: np.random.Generator, meshes: MeshLibrary, textures: TexturePool, width: int = 256) -> Shot:
    """One room and its camera, for `write_drawn_set`: half of them bare, with a few objects, the others full.

    Args:
        rng: draws everything.
        meshes: of the furniture.
        textures: of the surfaces.
        width: of the pictures; 3/4 of it is their height.
    """
    stage = _stage(rng, width)
    bare = 0.7 if rng.random() < 0.5 else 0.15  # share of surfaces without texture
    objects = int(rng.integers(2, 7) if bare > 0.5 else rng.integers(6, 17))
    bodies = [_face(rng, stage, n, textures, bare) for n in range(len(stage.faces))]
    bodies += [_standing(rng, stage, meshes, textures, bare) for _ in range(objects)]
    lamps = [_lamp(rng, stage) for _ in range(int(rng.integers(1, 4)))]
    ambient = rng.uniform(0.2, 0.8) * rng.uniform(0.8, 1.0, 3)
    distances = _focus_distances(rng, stage)
    sensor = replace(
        Sensor.ideal(len(distances)), full_well=log_uniform(rng, 2e3, 4e4), read_noise=float(rng.uniform(0.5, 4))
    )
    scene = TracedScene(bodies, ambient, lamps)
    return Shot(scene, stage.lens, "drawn at random", distances, sensor, stage.far / 50_000, FURNITURE_LICENCE)


def _stage(rng: np.random.Generator, width: int) -> Stage:
    """A corner of a room for a camera whose blur, from the nearest depth to the farthest, is 2.5 to 14 px wide."""
    while True:
        near = log_uniform(rng, 0.1, 1.5)
        far = near * rng.uniform(2.5, 7)
        half_width = np.tan(np.radians(rng.uniform(32, 62)) / 2)
        focal_mm = _SENSOR_MM / 2 / half_width
        focal_px = width / 2 / half_width
        aperture_mm = 1000 * log_uniform(rng, 2.5, 14) * width / 256 / focal_px / (1 / near - 1 / far)
        lens = ThinLens(float(focal_mm), float(focal_mm / aperture_mm), _SENSOR_MM, width, width * 3 // 4)
        try:
            return make_stage(rng, lens, near, far, (4, 40), walls=True)
        except ValueError:
            continue  # too wide a picture for so little depth


def _focus_distances(rng: np.random.Generator, stage: Stage) -> list[float]:
    """Three to ten, about even in dioptres, about from the nearest depth to the farthest; metres."""
    planes = int(rng.integers(3, 11))
    near, far = stage.near * rng.uniform(0.95, 1.25), stage.far * rng.uniform(0.85, 1.05)
    dioptres = 1 / planes_even_in_dioptres(near, far, planes)
    step = (dioptres[0] - dioptres[-1]) / (planes - 1)
    dioptres[1:-1] += rng.choice([0, 0.3]) * step * rng.uniform(-1, 1, planes - 2)
    return (1 / dioptres).tolist()


def _face(rng: np.random.Generator, stage: Stage, face: int, textures: TexturePool, bare: float) -> Body:
    """The floor (0) or a wall."""
    to_world = stage.face_matrix(face)
    side = float(np.linalg.norm(to_world[:, 0]))
    repeat = side / (rng.uniform(0.5, 2.0) * stage.lens.half_width * stage.far)
    plain = rng.random() < max(bare, 0.4 if face else 0.0)
    return Body(SQUARE, to_world, _surface(rng, textures, plain), repeat, name="wall" if face else "floor")


def _standing(rng: np.random.Generator, stage: Stage, meshes: MeshLibrary, textures: TexturePool, bare: float) -> Body:
    """A card or a model on the floor, 15 to 60 % of the picture's width, smaller where it would not fit."""
    card = rng.random() < 0.25
    name = "card" if card else meshes.names[int(rng.integers(len(meshes.names)))]
    mesh: Mesh = SQUARE if card else meshes.load(name)
    share = float(rng.uniform(0.15, 0.6))
    to_world = stage.stand_somewhere(rng, mesh, share, yaw(rng))
    gloss = float(rng.uniform(0.15, 0.6)) if rng.random() < 0.25 else 0.0
    texture = _surface(rng, textures, rng.random() < bare)
    return Body(mesh, to_world, texture, float(rng.uniform(0.3, 2)), gloss, name)


def _surface(rng: np.random.Generator, textures: TexturePool, plain: bool) -> NDArray[np.float32]:
    """Reflectance (h, w, 3); a plain one is a colour with a hundredth or so of the texture's contrast."""
    texture = textures.surface(rng, _TEXTURE, _TEXTURE).transpose(1, 2, 0)
    if plain:
        colour = rng.uniform(0.1, 0.85) * rng.uniform(0.7, 1.0, 3)
        texture = colour * (1 + log_uniform(rng, 0.002, 0.06) * (texture - texture.mean()) / (texture.std() + 1e-3))
    return np.clip(texture, 0.02, 0.9).astype(np.float32)


def _lamp(rng: np.random.Generator, stage: Stage) -> Lamp:
    """A ball of light above and behind the camera."""
    radius = stage.far * float(rng.uniform(0.03, 0.3))
    place = stage.axes @ (rng.uniform([-0.8, 0.1, 0.1], [0.8, 1.0, 0.8]) * stage.far + np.array([0, radius, radius]))
    power = rng.uniform(0.3, 2) * (np.linalg.norm(place) + stage.far / 2) ** 2 / radius**2
    return place, radius, power * rng.uniform(0.7, 1.0, 3)
