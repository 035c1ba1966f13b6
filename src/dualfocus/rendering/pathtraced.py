"""Focal stacks by path tracing through a thin lens (Mitsuba 3, an extra), with exact depth along the optical axis."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dualfocus.rendering.llvm import LEAST, choose_llvm
from dualfocus.rendering.meshes import Mesh, write_ply

_VARIANTS = ("llvm_ad_rgb", "scalar_rgb")  # the first is several times faster and wants LLVM's shared library
Lamp = tuple[NDArray[np.float64], float, NDArray[np.float64]]
"""A ball of light: position (x, y, z) and radius in metres, radiance (3,)."""
_SUPERSAMPLE = {"llvm_ad_rgb": 3, "scalar_rgb": 1}  # this many by as many rays a pixel for the depth; odd


@dataclass(frozen=True)
class ThinLens:
    """A camera at the origin that looks along +z, y down.

    Attributes:
        focal_length_mm, f_number, sensor_width_mm: of the lens and the sensor.
        width, height: pixels; pixels are square.
    """

    focal_length_mm: float
    f_number: float
    sensor_width_mm: float
    width: int
    height: int

    @property
    def focal_px(self) -> float:
        """Focal length in pixels; the field of view does not change with focus."""
        return self.focal_length_mm / self.sensor_width_mm * self.width

    @property
    def half_width(self) -> float:
        """Of the picture at depth 1."""
        return self.sensor_width_mm / self.focal_length_mm / 2

    @property
    def aperture_radius(self) -> float:
        """In metres."""
        return self.focal_length_mm / self.f_number / 2000


@dataclass(frozen=True)
class Body:
    """A textured mesh in the scene.

    Attributes:
        mesh: of longest side 1.
        to_world: (4, 4), to metres in front of the camera.
        texture: (h, w, 3) float32, linear reflectance in [0, 1].
        repeat: how often the texture repeats along a side of 1.
        gloss: 0 matt; above, the roughness of a clear coat.
        name: of the mesh, for credit.
    """

    mesh: Mesh
    to_world: NDArray[np.float64]
    texture: NDArray[np.float32]
    repeat: float = 1.0
    gloss: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class TracedScene:
    """Everything that is rendered.

    Attributes:
        bodies: meshes with textures.
        ambient: radiance from all directions: (3,), or (h, w, 3) float32 along `environment.map_directions`.
        lamps: that light it, seen or unseen.
    """

    bodies: Sequence[Body]
    ambient: NDArray[np.floating]
    lamps: Sequence[Lamp]


class TracedStack(NamedTuple):
    """What comes out: radiance is linear and denoised.

    Attributes:
        planes: (N, H, W, 3) float32.
        all_in_focus: (H, W, 3) float32, through a pinhole.
        depth: (H, W) float32, z in metres, 0 where nothing is.
    """

    planes: NDArray[np.float32]
    all_in_focus: NDArray[np.float32]
    depth: NDArray[np.float32]


def mitsuba() -> Any:
    """The renderer with the fastest variant that works here.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    import mitsuba as mi

    if mi.variant() is None:
        choose_llvm()
        for variant in _VARIANTS:
            try:
                mi.set_variant(variant)
                if not variant.startswith("llvm") or _llvm_works(mi):
                    break
            except (ImportError, RuntimeError):
                continue
    return mi


def _llvm_works(mi: Any) -> bool:
    import drjit

    str(mi.Float(1) + 1)  # loads the library
    return drjit.detail.llvm_version()[0] >= LEAST


def trace_stack(
    scene: TracedScene, lens: ThinLens, focus_distances: Sequence[float], seed: int, samples: int = 24
) -> TracedStack:
    """Render every plane, the all-in-focus picture and the depth.

    Args:
        scene: what is seen.
        lens: the camera.
        focus_distances: metres, one plane for each.
        seed: of the sampling; the same seed gives the same picture on the same machine.
        samples: paths a pixel; each picture is denoised afterwards.
    """
    mi = mitsuba()
    with tempfile.TemporaryDirectory() as folder:
        loaded = mi.load_dict(_describe(mi, scene, Path(folder)))
    planes = []
    for n, distance in enumerate((*focus_distances, None)):
        sensor = _sensor(mi, lens, distance, samples)
        image = mi.render(
            loaded, sensor=sensor, spp=samples, seed=int(np.random.SeedSequence([seed, n]).generate_state(1)[0])
        )
        planes.append(_denoise(np.array(image, np.float32)[..., :3]))
    return TracedStack(np.stack(planes[:-1]), planes[-1], _depth(mi, loaded, lens))


def _sensor(mi: Any, lens: ThinLens, distance: float | None, samples: int) -> Any:
    """The loaded sensor. Its distance is data, not code: all planes run what was compiled for the first."""
    sensor = mi.load_dict(sensor_of(mi, lens, distance, samples))
    if distance is not None and mi.variant().startswith("llvm"):
        import drjit

        parameters = mi.traverse(sensor)
        for name in ("focus_distance", "aperture_radius"):
            drjit.make_opaque(parameters[name])
        parameters.update()
    return sensor


def _describe(mi: Any, scene: TracedScene, folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 5},
        "ambient": _ambient(mi, scene.ambient),
    }
    for n, (place, radius, radiance) in enumerate(scene.lamps):
        emitter = {"type": "area", "radiance": {"type": "rgb", "value": radiance.tolist()}}
        content[f"lamp{n}"] = {"type": "sphere", "center": place.tolist(), "radius": radius, "emitter": emitter}
    for n, body in enumerate(scene.bodies):
        path = folder / f"{n}.ply"
        # Repeated by its coordinates: as `to_uv` of the texture every body would be compiled by itself.
        write_ply(path, body.mesh, body.to_world, body.repeat)
        texture = {
            "type": "bitmap",
            "bitmap": mi.Bitmap(np.ascontiguousarray(body.texture, np.float32)),
            "raw": True,
            "wrap_mode": "mirror",
        }
        material: dict[str, Any] = {"type": "diffuse", "reflectance": texture}
        if body.gloss > 0:
            material = {"type": "principled", "base_color": texture, "roughness": body.gloss, "specular": 0.5}
        two_sided = {"type": "twosided", "material": material}
        content[f"body{n}"] = {"type": "ply", "filename": str(path), "face_normals": True, "bsdf": two_sided}
    return content


def _ambient(mi: Any, radiance: NDArray[np.floating]) -> dict[str, Any]:
    if radiance.ndim == 1:
        return {"type": "constant", "radiance": {"type": "rgb", "value": radiance.tolist()}}
    return {"type": "envmap", "bitmap": mi.Bitmap(np.ascontiguousarray(radiance, np.float32))}


def sensor_of(mi: Any, lens: ThinLens, distance: float | None, samples: int) -> dict[str, Any]:
    """Thin lens focused at `distance`, or a pinhole for None."""
    sensor: dict[str, Any] = {
        "type": "perspective",
        "fov": float(np.degrees(2 * np.arctan(lens.sensor_width_mm / (2 * lens.focal_length_mm)))),
        "fov_axis": "x",
        "near_clip": 1e-3,
        "far_clip": 1e3,
        "to_world": mi.ScalarTransform4f().look_at(origin=[0, 0, 0], target=[0, 0, 1], up=[0, -1, 0]),
        "film": {"type": "hdrfilm", "width": lens.width, "height": lens.height, "rfilter": {"type": "box"}},
        "sampler": {"type": "independent", "sample_count": samples},
    }
    if distance is not None:
        sensor |= {"type": "thinlens", "aperture_radius": lens.aperture_radius, "focus_distance": float(distance)}
    return sensor


def _depth(mi: Any, scene: Any, lens: ThinLens) -> NDArray[np.float32]:
    """Depth along the axis: pinhole rays through a grid inside every pixel, the lower median where most of them hit."""
    fine = _SUPERSAMPLE[mi.variant()]
    x = (np.arange(lens.width * fine) + 0.5) / fine - lens.width / 2
    y = (np.arange(lens.height * fine) + 0.5) / fine - lens.height / 2
    gx, gy = (grid.ravel() / lens.focal_px for grid in np.meshgrid(x, y))
    direction = np.stack([gx, gy, np.ones_like(gx)]).astype(np.float32)
    length = np.linalg.norm(direction, axis=0)
    distance = _intersect(mi, scene, direction / length)
    z = np.where(np.isfinite(distance), distance / length, np.nan).reshape(lens.height, fine, lens.width, fine)
    cells = np.sort(z.transpose(0, 2, 1, 3).reshape(lens.height, lens.width, fine * fine), axis=-1)
    hits = np.isfinite(cells).sum(axis=-1)  # sorted to the front
    middle = np.take_along_axis(cells, np.maximum(hits - 1, 0)[..., None] // 2, axis=-1)[..., 0]  # never a mean
    return np.where(2 * hits > fine * fine, middle, 0).astype(np.float32)


def _intersect(mi: Any, scene: Any, direction: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distances (M,) along unit directions (3, M) from the origin, inf where nothing is."""
    if mi.variant().startswith("scalar"):
        found = []
        for d in direction.T.tolist():
            hit = scene.ray_intersect(mi.Ray3f(o=[0, 0, 0], d=d))
            found.append(hit.t if hit.is_valid() else np.inf)
        return np.array(found, np.float64)
    hit = scene.ray_intersect(mi.Ray3f(mi.Point3f(0, 0, 0), mi.Vector3f(*direction)))
    distance = np.array(hit.t, np.float64)
    return np.where(np.array(hit.is_valid()), distance, np.inf)


def _denoise(image: NDArray[np.float32]) -> NDArray[np.float32]:
    import pyoidn

    return np.asarray(pyoidn.denoise(np.ascontiguousarray(np.nan_to_num(image)), hdr=True), np.float32)
