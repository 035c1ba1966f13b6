"""Scenes in the manner of FoD500: heaps of objects close to a tiny lens, five fixed focus distances.

256 x 256 pixels, 2.9 mm f/1, sensor 3.1 mm wide (our assumption), depth 0.1 to 3 m, planes at 0.1, 0.15, 0.3, 0.7 and
1.5 m. Path-traced; one folder with a `stack.json` for each scene, so that every reader of stacks takes them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.rendering.color import linear_to_srgb8
from dualfocus.rendering.meshes import Mesh, MeshLibrary, prepare
from dualfocus.rendering.pathtraced import Body, ThinLens, TracedScene, TracedStack, mitsuba, trace_stack
from dualfocus.rendering.textures import TexturePool

LENS = ThinLens(focal_length_mm=2.9, f_number=1.0, sensor_width_mm=3.1, width=256, height=256)
FOCUS_DISTANCES_M = (0.1, 0.15, 0.3, 0.7, 1.5)
NEAREST_M, FARTHEST_M = 0.1, 3.0
SAMPLES = 24
_DEPTH_UNIT_M = 5e-5  # of depth.png: 16 bits reach 3.3 m
_SQUARE = prepare(np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) / 2, np.array([[0, 1, 2], [0, 2, 3]]))


def make_fod_scene(rng: np.random.Generator, meshes: MeshLibrary, textures: TexturePool) -> TracedScene:
    """A wall somewhere behind and 12 to 28 objects, sizes and places drawn so that all depths get their share."""
    wall = float(rng.uniform(0.6, 0.95)) * FARTHEST_M
    bodies = [_body(rng, _SQUARE, _wall_place(rng, wall), textures, repeat=float(rng.uniform(1, 4)))]
    for _ in range(int(rng.integers(12, 29))):
        name = meshes.names[int(rng.integers(len(meshes.names)))]
        depth = float(np.exp(rng.uniform(np.log(NEAREST_M * 1.3), np.log(wall * 0.8))))
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
    matrix = np.eye(4)
    matrix[:3, :3] = size * _rotation(rng)
    matrix[:3, 3] = [*(rng.uniform(-1, 1, 2) * half_width), depth]
    return matrix


def _wall_place(rng: np.random.Generator, depth: float) -> NDArray[np.float64]:
    """A square that fills the picture, slanted so that no part of it leaves the depth range."""
    tilt = rng.uniform(-0.25, 0.25, 2)
    matrix = np.eye(4)
    size = 3.2 * depth
    matrix[:3, 0] = size * np.array([1, 0, tilt[0]])
    matrix[:3, 1] = size * np.array([0, 1, tilt[1]])
    matrix[:3, 2] = [0, 0, size]
    matrix[2, 3] = depth * (1 - 0.6 * np.abs(tilt).sum())
    return matrix


def _rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Evenly over all rotations, by a random unit quaternion."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def write_fod(
    out: str | Path,
    count: int,
    seed: int,
    mesh_folder: str | Path,
    texture_folder: str | Path | None = None,
    split: str = "train",
    samples: int = SAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Render ``count`` scenes into ``out/0000`` ...; scenes that are there are kept, so a stopped run goes on.

    Scene i depends on (seed, i) and the options alone. Meshes and textures come from ``split``.

    Args:
        out: folder to make or to continue.
        count: scenes in all.
        seed: of the set.
        mesh_folder: catalogues, see :class:`dualfocus.rendering.meshes.MeshLibrary`.
        texture_folder: images; None for noise textures.
        split: "train" or "held_out".
        samples: paths a pixel.
        progress: called with (scenes present, scenes in all).

    Raises:
        ValueError: ``out`` holds scenes made with other options; folders without meshes or textures.
    """
    meshes, textures = MeshLibrary(mesh_folder, split), TexturePool(texture_folder, split)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    options = {"seed": seed, "split": split, "samples": samples, "textures": texture_folder is not None}
    _check_options(folder / "set.json", options)
    for index in range(count):
        target = folder / f"{index:04d}"
        if not target.is_dir():
            scene = make_fod_scene(np.random.default_rng([seed, index]), meshes, textures)
            traced = trace_stack(scene, LENS, FOCUS_DISTANCES_M, seed * 100_000 + index, samples)
            _write(target, traced, samples, [body.name for body in scene.bodies])
        if progress:
            progress(index + 1, count)


def _check_options(path: Path, options: dict[str, object]) -> None:
    if not path.exists():
        path.write_text(json.dumps(options) + "\n", encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != options:
        raise ValueError(f"{path.parent}: holds scenes made with other options ({path.name}); give another folder")


def _write(target: Path, traced: TracedStack, samples: int, objects: list[str]) -> None:
    """One scene's folder, complete or not at all."""
    temporary = target.with_name(target.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    exposure = 0.75 / max(float(np.quantile(traced.all_in_focus, 0.95)), 1e-6)
    names = [f"{n}.png" for n in range(len(traced.planes))]
    for name, image in zip([*names, "all_in_focus.png"], [*traced.planes, traced.all_in_focus], strict=True):
        Image.fromarray(linear_to_srgb8(image * np.float32(exposure))).save(temporary / name)
    level = np.rint(traced.depth / _DEPTH_UNIT_M).clip(0, 65535).astype(np.uint16)
    Image.fromarray(level).save(temporary / "depth.png")
    sidecar = {
        "images": names,
        "focus_distances": list(FOCUS_DISTANCES_M),
        "unit": "m",
        "order": "near_to_far",
        "camera": {
            "model": "thin lens",
            "focal_length_mm": LENS.focal_length_mm,
            "f_number": LENS.f_number,
            "sensor_width_mm": LENS.sensor_width_mm,
        },
        "aligned": True,
        "depth_png": "depth.png",
        "depth_png_scale_m": _DEPTH_UNIT_M,
        "all_in_focus": "all_in_focus.png",
        "source": f"path-traced with Mitsuba {mitsuba().__version__}, {samples} samples, denoised",
        "licence": "meshes: Sweet Home 3D furniture library (BlendSwap CC0 and CC-BY, authors in its catalogues);"
        " textures: as the folder they came from",
        "objects": objects,
    }
    (temporary / "stack.json").write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, target)
