"""The same scene blurred in other ways: gathered as by the peers' renderers, and path-traced through a thin lens.

`python -m dualfocus.analysis.blurs` prints how near layered and gathered pictures are to path-traced ones.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dualfocus.analysis.setup import Setup, Size, hard_edged, layered_blur
from dualfocus.metrics import psnr
from dualfocus.rendering.capture import FocusPlan, sharp_light
from dualfocus.rendering.gather import gather_blur
from dualfocus.rendering.meshes import Mesh, write_ply
from dualfocus.rendering.pathtraced import ThinLens, mitsuba, sensor_of
from dualfocus.rendering.procedural import LayeredScene
from dualfocus.rendering.sensor import BORDER
from dualfocus.rendering.textures import TexturePool

SAMPLES = 64  # rays a pixel
_FOCAL_MM, _PITCH_MM = 50.0, 0.2  # a field of view of ordinary width, and pixels so large that 200 make a sensor
_FARTHEST = 0.02  # dioptres of what a scene hides beyond infinity


def gathered_blur(scene: LayeredScene, plan: FocusPlan, seed: int) -> NDArray[np.float32]:
    """Every pixel of the sharp picture blurred by its own CoC, with a window that holds the largest; no randomness."""
    edge = scene.margin - BORDER
    sharp = torch.from_numpy(np.ascontiguousarray(sharp_light(scene)))
    seen = plan.scene_coordinate(scene.visible_w())[edge:-edge, edge:-edge]
    radius = np.abs(seen - plan.coordinates[:, None, None]).astype(np.float32) * np.float32(plan.blur_px / 2)
    window = 2 * int(np.ceil(radius.max())) + 1
    return gather_blur(sharp.expand(len(radius), -1, -1, -1), torch.from_numpy(radius)[:, None], window).numpy()


def traced_blur(scene: LayeredScene, plan: FocusPlan, seed: int) -> NDArray[np.float32]:
    """Layers as self-luminous sheets at their depths, photographed by path tracing (Mitsuba, an extra).

    Args:
        scene: one with hard silhouettes; a sheet has a square for each opaque pixel.
        plan: the plan of the planes.
        seed: the seed of the sampling.
    """
    mi = mitsuba()
    near, far = (1 / plan.focus_distances[[0, -1]]).tolist()
    edge = scene.margin - BORDER
    height, width = (side - 2 * edge for side in scene.w.shape[1:])
    focal_px = _FOCAL_MM / _PITCH_MM
    aperture_mm = 1000 * plan.blur_px / (focal_px * (near - far))
    lens = ThinLens(_FOCAL_MM, _FOCAL_MM / aperture_mm, _PITCH_MM * width, width, height)
    inverse = near + plan.scene_coordinate(_at_corners(scene.w)) * (far - near)
    mesh = _sheets(1 / np.maximum(inverse, _FARTHEST), scene.alpha > 0.5, focal_px)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheets.ply"
        write_ply(path, mesh, np.eye(4))
        body = {"type": "ply", "filename": str(path), "emitter": _glow(mi, scene.rgb)}
        loaded = mi.load_dict({"type": "scene", "integrator": {"type": "path", "max_depth": 1}, "body": body})
    distances = 1 / (near + plan.coordinates * (far - near))
    return np.stack([_photograph(mi, loaded, lens, s, seed) for s in distances.tolist()])


def _photograph(mi: Any, scene: Any, lens: ThinLens, distance: float, seed: int) -> NDArray[np.float32]:
    sampler = {"type": "multijitter", "sample_count": SAMPLES}  # over the aperture: a quarter of the noise
    sensor = mi.load_dict(sensor_of(mi, lens, distance, SAMPLES) | {"sampler": sampler})
    return np.array(mi.render(scene, sensor=sensor, seed=seed), np.float32)[..., :3].transpose(2, 0, 1)


def _at_corners(w: NDArray[np.float32]) -> NDArray[np.float64]:
    """(L, H, W) of pixels to (L, H + 1, W + 1) of their corners."""
    padded = np.pad(w.astype(np.float64), ((0, 0), (1, 1), (1, 1)), mode="edge")
    return (padded[:, 1:, 1:] + padded[:, 1:, :-1] + padded[:, :-1, 1:] + padded[:, :-1, :-1]) / 4


def _sheets(z: NDArray[np.float64], opaque: NDArray[np.bool_], focal_px: float) -> Mesh:
    """Two triangles for each opaque pixel (L, H, W), seen from the origin just where the pixel is; they face it."""
    layers, rows, columns = opaque.shape
    n, y, x = np.mgrid[:layers, : rows + 1, : columns + 1]
    across, down = (x - columns / 2) * z / focal_px, (y - rows / 2) * z / focal_px
    place = np.stack([across, down, z, x / columns, (n + y / rows) / layers], axis=-1)
    a, b, c, d = (place[:, i : i + rows, j : j + columns][opaque] for i, j in ((0, 0), (0, 1), (1, 1), (1, 0)))
    corners = np.concatenate([np.stack([a, c, b], axis=1), np.stack([a, d, c], axis=1)]).astype(np.float32)
    return Mesh(corners[..., :3], corners[..., 3:])


def _glow(mi: Any, rgb: NDArray[np.float32]) -> dict[str, Any]:
    """The layers (L, 3, H, W), one below the other, as the light of the sheets."""
    image = mi.Bitmap(np.ascontiguousarray(rgb.transpose(0, 2, 3, 1).reshape(-1, rgb.shape[3], 3)))
    radiance = {"type": "bitmap", "bitmap": image, "raw": True, "filter_type": "nearest", "wrap_mode": "clamp"}
    return {"type": "area", "radiance": radiance}


def fidelity(seed: int, size: Size = (160, 160)) -> NDArray[np.float64]:
    """PSNR in dB of each plane of a noiseless stack against the path-traced one, (2, N): layered and gathered."""
    setup, pool = Setup(noise=0, subject=hard_edged), TexturePool()
    ways = (traced_blur, layered_blur, gathered_blur)
    traced, *others = (replace(setup, blur=way).photograph(seed, pool, size).stack for way in ways)
    return np.array([[psnr(a, b) for a, b in zip(stack, traced, strict=True)] for stack in others])


if __name__ == "__main__":
    seeds = range(5000, 5008)
    layered, gathered = np.mean([fidelity(seed) for seed in seeds], axis=(0, 2))
    print(f"{len(seeds)} scenes of 5 planes: layered {layered:.1f} dB, gathered {gathered:.1f} dB against path-traced")
