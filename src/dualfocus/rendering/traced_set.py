"""Path-traced scenes on disk: a folder with a `stack.json` for each, so that every reader of stacks takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.atomic import remove_leftovers, replacing
from dualfocus.readers.sidecar import SIDECAR
from dualfocus.rendering.color import linear_to_srgb8
from dualfocus.rendering.meshes import MeshLibrary
from dualfocus.rendering.options import keep_options
from dualfocus.rendering.pathtraced import ThinLens, TracedScene, TracedStack, mitsuba, trace_stack
from dualfocus.rendering.sensor import BORDER, Sensor, develop
from dualfocus.rendering.textures import TexturePool


@dataclass(frozen=True)
class Shot:
    """A scene and how it is photographed.

    Attributes:
        scene: what is seen.
        lens: the camera.
        model: its name.
        focus_distances: metres, near to far.
        sensor: what it adds to the planes.
        depth_unit: metres for one level of the 16-bit truth.
        licence: of what is in the picture.
    """

    scene: TracedScene
    lens: ThinLens
    model: str
    focus_distances: Sequence[float]
    sensor: Sensor
    depth_unit: float
    licence: str


def write_set(
    out: str | Path,
    names: Sequence[str],
    options: Mapping[str, Any],
    compose: Callable[[int, np.random.Generator], Shot],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Render scenes into folders below `out`; those that are there are kept, so a stopped run goes on.

    Scene i depends on (options["seed"], i) and what `compose` makes of it alone.

    Args:
        out: folder to make or to continue.
        names: of the scenes' folders, relative to it.
        options: of the set, kept in `set.json`; `seed` and `samples` (paths a pixel) among them.
        compose: makes scene i with a generator of its own.
        progress: called with (scenes present, scenes in all).

    Raises:
        ValueError: `out` holds scenes made with other options.
    """
    folder, seed, samples = Path(out), options["seed"], options["samples"]
    folder.mkdir(parents=True, exist_ok=True)
    keep_options(folder / "set.json", options)
    for index, name in enumerate(names):
        if not (folder / name).is_dir():
            rng = np.random.default_rng([seed, index])
            shot = compose(index, rng)
            traced = trace_stack(shot.scene, shot.lens, shot.focus_distances, seed * 100_000 + index, samples)
            _write(folder / name, shot, traced, samples, rng)
        if progress:
            progress(index + 1, len(names))


def write_drawn_set(
    out: str | Path,
    count: int,
    seed: int,
    make: Callable[..., Shot],
    mesh_folder: str | Path,
    texture_folder: str | Path | None = None,
    *,
    split: str = "train",
    samples: int = 24,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> None:
    """Render `count` scenes of one split of meshes and textures into `out/0000` ..., resumable: see `write_set`.

    Args:
        out: folder to make or to continue.
        count: scenes in all.
        seed: of the set.
        make: composes a scene from a generator, a `MeshLibrary`, a `TexturePool` and `options`.
        mesh_folder: catalogues, see `MeshLibrary`.
        texture_folder: images; None for noise textures.
        split: "train", "held_out" or "all", of meshes and textures.
        samples: paths a pixel.
        progress: called with (scenes present, scenes in all).
        options: of `make`, kept in `set.json` beside the others.

    Raises:
        ValueError: `out` holds scenes made with other options or textures; folders without meshes or textures.
    """
    meshes, textures = MeshLibrary(mesh_folder, split), TexturePool(texture_folder, split)

    def compose(_: int, rng: np.random.Generator) -> Shot:
        return make(rng, meshes, textures, **options)

    kept = {"seed": seed, "split": split, "samples": samples, **options, "textures": textures.fingerprint()}
    write_set(out, [f"{index:04d}" for index in range(count)], kept, compose, progress)


def _write(target: Path, shot: Shot, traced: TracedStack, samples: int, rng: np.random.Generator) -> None:
    """One scene's folder, complete or not at all."""
    remove_leftovers(target)
    with replacing(target) as folder:
        folder.mkdir()
        _write_files(folder, shot, traced, samples, rng)


def _write_files(folder: Path, shot: Shot, traced: TracedStack, samples: int, rng: np.random.Generator) -> None:
    exposure = np.float32(0.75 / max(float(np.quantile(traced.all_in_focus, 0.95)), 1e-6))
    names = [f"{n}.png" for n in range(len(traced.planes))]
    for name, image in zip(names, _photograph(rng, traced.planes * exposure, shot.sensor), strict=True):
        Image.fromarray(image).save(folder / name)
    Image.fromarray(linear_to_srgb8(traced.all_in_focus * exposure)).save(folder / "all_in_focus.png")
    level = np.rint(traced.depth / shot.depth_unit).clip(0, 65535).astype(np.uint16)
    Image.fromarray(level).save(folder / "depth.png")
    lens = shot.lens
    sidecar = {
        "images": names,
        "focus_distances": list(shot.focus_distances),
        "unit": "m",
        "order": "near_to_far",
        "camera": {
            "model": shot.model,
            "focal_length_mm": lens.focal_length_mm,
            "f_number": lens.f_number,
            "sensor_width_mm": lens.sensor_width_mm,
        },
        "aligned": True,
        "depth_png": "depth.png",
        "depth_png_scale_m": shot.depth_unit,
        "all_in_focus": "all_in_focus.png",
        "source": f"path-traced with Mitsuba {mitsuba().__version__}, {samples} samples, denoised",
        "licence": shot.licence,
        "objects": [body.name for body in shot.scene.bodies],
    }
    (folder / SIDECAR).write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")


def _photograph(rng: np.random.Generator, light: NDArray[np.float32], sensor: Sensor) -> NDArray[np.uint8]:
    """Planes (N, H, W, 3) of linear light as the sensor encodes them."""
    edge = (BORDER, BORDER)
    return develop(rng, np.pad(light.transpose(0, 3, 1, 2), ((0, 0), (0, 0), edge, edge), mode="edge"), sensor)
