"""The benchmark `pathtraced`: scenes on a floor or in a corner, photographed by several cameras.

Nothing in it was seen in training: the meshes are made by rule or come from the held-out models that none of our
training scenes holds; materials and light are painted by rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dualfocus.optics import planes_even_in_dioptres
from dualfocus.rendering.draws import log_uniform, rotation, yaw
from dualfocus.rendering.environment import environment
from dualfocus.rendering.materials import paint, plaster
from dualfocus.rendering.meshes import Mesh, MeshLibrary
from dualfocus.rendering.pathtraced import Body, Lamp, ThinLens, TracedScene
from dualfocus.rendering.sensor import Sensor
from dualfocus.rendering.solids import solid, thin_structure
from dualfocus.rendering.stage import SQUARE, Stage, make_stage
from dualfocus.rendering.traced_set import Shot, write_set

MODELS = {
    "BlendSwap-CC-0/bookcase": "Michtek",
    "BlendSwap-CC-0/deckChair": "BigMouse",
    "BlendSwap-CC-0/desk": "Razi",
    "BlendSwap-CC-0/lbDesk": "Wiresoulstudio",
    "BlendSwap-CC-0/led_tv": "Nhumrod",
    "BlendSwap-CC-0/mano_cooktop": "Mano",
    "BlendSwap-CC-0/modernVanity": "Dobbs",
    "BlendSwap-CC-0/shippingContainer": "Bhoult",
    "BlendSwap-CC-0/tableFan": "Shivraj",
    "BlendSwap-CC-0/tatami": "Argonius",
    "BlendSwap-CC-0/technicalTable1": "Redsymbzone",
    "BlendSwap-CC-0/towel3": "Wfg5001",
    "BlendSwap-CC-BY/biurko3": "Hilux",
    "BlendSwap-CC-BY/book": "Jay-Artist",
    "BlendSwap-CC-BY/couch3": "MatBot",
    "BlendSwap-CC-BY/fountain": "Pndrdm & eTeks",
    "BlendSwap-CC-BY/kitchenIsland": "Jay-Artist",
    "BlendSwap-CC-BY/officeTable": "Nmn9",
    "BlendSwap-CC-BY/saltShaker": "Jswing",
    "BlendSwap-CC-BY/sofa2": "Derte21",
    "BlendSwap-CC-BY/sofa3": "3dModeling",
    "BlendSwap-CC-BY/spatifilum": "HeraSK",
    "BlendSwap-CC-BY/treadmill": "Muhtesemozcinar",
    "BlendSwap-CC-BY/yuccaPlant": "Betomo16",
}
"""Held-out models, and who made them, that are not in the path-traced scenes `dualfocus-s` was trained on either."""

_OWN_LICENCE = "rendered for this project from shapes, materials and light made by rule; Apache-2.0"


class BenchmarkCamera(NamedTuple):
    """A camera with its focus distances, the same for all its scenes; sensors are 4 : 3."""

    model: str
    focal_length_mm: float
    f_number: float
    sensor_width_mm: float
    near: float
    far: float
    planes: int

    def lens(self, width: int) -> ThinLens:
        """Its lens for pictures of this width."""
        return ThinLens(self.focal_length_mm, self.f_number, self.sensor_width_mm, width, width * 3 // 4)

    @property
    def focus_distances(self) -> list[float]:
        """Even in dioptres, metres."""
        return planes_even_in_dioptres(self.near, self.far, self.planes).tolist()


_ROOM = (
    BenchmarkCamera("full frame", 50, 2.0, 36, 0.9, 5.0, 6),
    BenchmarkCamera("APS-C", 35, 1.8, 23.5, 0.6, 3.0, 5),
    BenchmarkCamera("phone", 6.8, 1.8, 9.8, 0.12, 0.8, 5),
)
_CLOSE = (
    BenchmarkCamera("macro, four thirds", 60, 5.6, 17.3, 0.215, 0.265, 8),
    BenchmarkCamera("macro", 100, 4.0, 36, 0.27, 0.33, 6),
)


class Part(NamedTuple):
    """What the scenes of one part of the benchmark have in common."""

    cameras: tuple[BenchmarkCamera, ...]
    pitch: tuple[float, float]  # degrees that the camera looks down
    walls: bool
    objects: tuple[int, int]  # least and most
    thin: tuple[int, int]  # structures of tubes, likewise
    plain: float  # share of plain surfaces among objects; above a half, floor and walls are plain too


PARTS = {
    "general": Part(_ROOM, (8, 30), True, (8, 16), (0, 1), 0.1),
    "plain": Part(_ROOM, (8, 30), True, (2, 5), (0, 0), 0.7),
    "thin": Part(_ROOM, (4, 25), True, (2, 6), (4, 8), 0.3),
    "macro": Part(_CLOSE, (45, 75), False, (10, 22), (0, 1), 0.1),
}
_CYCLE = (*PARTS, "general")  # scene after scene, so that a set of any size has its parts


def write_pathtraced(
    out: str | Path,
    count: int = 40,
    seed: int = 0,
    mesh_folder: str | Path | None = None,
    width: int = 256,
    samples: int = 24,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Render the benchmark into `out/PART/INDEX`, resumable: see `write_set`.

    Args:
        out: folder to make or to continue.
        count: scenes in all.
        seed: of the set; the benchmark is seed 0.
        mesh_folder: catalogues that hold `MODELS`, see `dualfocus.rendering.meshes.MeshLibrary`; without it,
            every object is made by rule.
        width: of the pictures; 3/4 of it is their height.
        samples: paths a pixel.
        progress: called with (scenes present, scenes in all).

    Raises:
        ValueError: `out` holds scenes made with other options; a folder without the models.
    """
    meshes = None if mesh_folder is None else _library(mesh_folder)
    options = {"seed": seed, "samples": samples, "width": width, "models": meshes is not None}
    names = [f"{_CYCLE[index % len(_CYCLE)]}/{index:03d}" for index in range(count)]

    def compose(index: int, rng: np.random.Generator) -> Shot:
        return make_shot(rng, PARTS[_CYCLE[index % len(_CYCLE)]], width, meshes)

    write_set(out, names, options, compose, progress)


def _library(folder: str | Path) -> MeshLibrary:
    library = MeshLibrary(folder, "held_out")
    missing = sorted(MODELS.keys() - set(library.names))
    if missing:
        raise ValueError(f"{folder}: its catalogues lack {missing[0]}; give those of the package sweethome3d-furniture")
    return library


def make_shot(rng: np.random.Generator, part: Part, width: int, meshes: MeshLibrary | None) -> Shot:
    """One scene of a part and its camera; without `meshes` all objects are made by rule."""
    camera = part.cameras[int(rng.integers(len(part.cameras)))]
    stage = make_stage(rng, camera.lens(width), camera.near, camera.far, part.pitch, part.walls)
    bodies = [_face(rng, stage, n, part.plain) for n in range(len(stage.faces))]
    bodies += [_standing(rng, stage, part.plain, meshes) for _ in range(_between(rng, part.objects))]
    bodies += [_thin(rng, stage) for _ in range(_between(rng, part.thin))]
    lamps = [_lamp(rng, stage) for _ in range(_between(rng, (0, 2)))]
    if rng.random() < 0.4:
        lamps += [_bulb(rng, stage) for _ in range(_between(rng, (2, 6)))]
    scene = TracedScene(bodies, environment(rng, stage.axes.T), lamps)
    sensor = replace(
        Sensor.ideal(camera.planes), full_well=log_uniform(rng, 4e3, 3e4), read_noise=float(rng.uniform(1, 4))
    )
    credits = dict.fromkeys(f"{body.name} by {MODELS[body.name]}" for body in bodies if body.name in MODELS)
    licence = "; ".join([_OWN_LICENCE, *credits])
    return Shot(scene, stage.lens, camera.model, camera.focus_distances, sensor, camera.far / 60_000, licence)


def _between(rng: np.random.Generator, ends: tuple[int, int]) -> int:
    return int(rng.integers(ends[0], ends[1] + 1))


def _face(rng: np.random.Generator, stage: Stage, face: int, plain: float) -> Body:
    """The floor (0) or a wall; its material repeats about once across the picture at half the farthest depth."""
    bare = plain > 0.5 or (face > 0 and rng.random() < 0.3)
    to_world = stage.face_matrix(face)
    repeat = np.linalg.norm(to_world[:, 0]) / (rng.uniform(0.5, 1.5) * stage.lens.half_width * stage.far)
    return Body(SQUARE, to_world, plaster(rng) if bare else paint(rng), float(repeat), name="wall" if face else "floor")


def _standing(rng: np.random.Generator, stage: Stage, plain: float, meshes: MeshLibrary | None) -> Body:
    """An object on the floor, 15 to 50 % of the picture's width, smaller where it would not fit."""
    mesh, name, turn = solid(rng), "made by rule", yaw(rng)
    if meshes is not None and rng.random() < 0.6:
        name = sorted(MODELS)[int(rng.integers(len(MODELS)))]
        mesh = meshes.load(name)
    elif rng.random() < 0.4:
        turn = rotation(rng)
    return _placed(rng, stage, mesh, turn, (0.15, 0.5), plain, name)


def _thin(rng: np.random.Generator, stage: Stage) -> Body:
    """Tubes 1.2 to 4 px thick, 50 to 110 % of the picture's width, both less where they would not fit."""
    share = rng.uniform(1.2, 4) / stage.lens.width / 2  # radius for a structure as large as the picture is wide
    return _placed(rng, stage, thin_structure(rng, share), yaw(rng), (0.5, 1.1), 0.5, "made by rule, thin")


def _placed(
    rng: np.random.Generator,
    stage: Stage,
    mesh: Mesh,
    turn: NDArray[np.float64],
    sizes: tuple[float, float],
    plain: float,
    name: str,
) -> Body:
    to_world = stage.stand_somewhere(rng, mesh, float(rng.uniform(*sizes)), turn)
    texture = plaster(rng) if rng.random() < plain else paint(rng)
    gloss = float(rng.uniform(0.1, 0.4)) if rng.random() < 0.35 else 0.0
    return Body(mesh, to_world, texture, float(rng.uniform(0.3, 1.2)), gloss, name)


def _lamp(rng: np.random.Generator, stage: Stage) -> Lamp:
    """A ball of light above and behind the camera, about as strong as what comes from all around."""
    place = stage.far * stage.axes @ rng.uniform([-1, 0.3, 0.2], [1, 1.2, 1])
    radius = stage.far * float(rng.uniform(0.05, 0.2))
    power = rng.uniform(0.5, 2) * (np.linalg.norm(place) + stage.far / 2) ** 2 / radius**2
    return place, radius, power * rng.uniform(0.7, 1, 3)


def _bulb(rng: np.random.Generator, stage: Stage) -> Lamp:
    """A light in the picture, a few pixels wide, much brighter than white: a disk where it is out of focus."""
    point = stage.floor_point(rng)
    place = point * max(rng.uniform(0.6, 0.95), 1.05 * stage.near / point[2])
    radius = rng.uniform(0.002, 0.006) * 2 * stage.lens.half_width * float(place[2])
    return place, float(radius), rng.uniform(10, 40) * rng.uniform(0.6, 1, 3)
