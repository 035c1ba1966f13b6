"""The camera side: where the planes of a focal stack lie, and a layered scene photographed at each of them."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from dualfocus.rendering.color import linear_to_srgb8
from dualfocus.rendering.draws import log_uniform
from dualfocus.rendering.layered import render_layers
from dualfocus.rendering.procedural import MARGIN, LayeredScene, make_scene
from dualfocus.rendering.psf import psf_shape
from dualfocus.rendering.sensor import BORDER, Sensor, crop_border, develop, sample_sensor, soften
from dualfocus.rendering.textures import TexturePool

MAX_COC = 25.0
PLANE_RANGE = (2, 12)
_SPACING_PX = (0.2, 7.0)
_LEAST_TOTAL_PX = 1.2  # CoC between the first and the last plane
PSF_SHAPES = (0.0, 0.0, 0.1, 0.25, 0.5, 1.0)  # disks are the commonest lenses; few values keep the kernel cache small


class RenderedStack(NamedTuple):
    """One rendered focal stack with its truth; planes run from near to far.

    Attributes:
        images: (N, H, W, 3) uint8, display-encoded.
        coordinates: (N,) float64, normalised inverse depth of the planes: 0 for the first (near), 1 for the last (far).
        truth: (H, W) float32, coordinate of the topmost surface; below 0 or above 1 outside the focus range.
        valid: (H, W) bool, truth inside [0, 1].
        all_in_focus: (H, W, 3) uint8, display-encoded, without noise.
        focus_distances: (N,) float64 in metres; 1 / distance is affine in `coordinates`.
        spacing_px: (N - 1,) float32, CoC diameter in px, at one plane, of a point in focus at its neighbour.
    """

    images: np.ndarray
    coordinates: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    all_in_focus: np.ndarray
    focus_distances: np.ndarray
    spacing_px: np.ndarray


@dataclass(frozen=True)
class FocusPlan:
    """Planes of a stack, and how the scene lies between them.

    Attributes:
        coordinates: (N,) increasing, 0 first and 1 last.
        blur_px: CoC diameter in px for a difference of 1 in the coordinate.
        far_end: coordinate of a scene point with w = 0, the far end of the scene.
        extent: coordinate difference between w = 0 and w = 1; coordinate = far_end - extent * w.
        focus_distances: (N,) metres.
    """

    coordinates: np.ndarray
    blur_px: float
    far_end: float
    extent: float
    focus_distances: np.ndarray

    def scene_coordinate(self, w: np.ndarray) -> np.ndarray:
        """Normalised focus coordinate, same shape, of scene points with blur coordinate `w`."""
        return np.float32(self.far_end) - np.float32(self.extent) * w


def plan_focus(
    rng: np.random.Generator, visible_w: np.ndarray, planes: int | tuple[int, int] = PLANE_RANGE
) -> FocusPlan:
    """Choose the planes for a scene whose picture shows `visible_w` (H, W), about [0, 1].

    In 60 % of the plans the focus range covers the scene (sometimes it is much wider), else it covers a part.

    Raises:
        ValueError: fewer than 2 planes.
    """
    count = planes if isinstance(planes, int) else int(rng.integers(planes[0], planes[1] + 1))
    if count < 2:
        raise ValueError(f"a focal stack needs at least 2 planes, not {count}")
    low, high = float(visible_w.min()), float(visible_w.max())
    far_end, extent = _place_scene(rng, visible_w, low, high)
    ends = far_end - extent * high, far_end - extent * low
    reach = max(1.0, ends[1], 1.0 - ends[0], ends[1] - ends[0])
    spacing = max(_SPACING_PX[0], _LEAST_TOTAL_PX / (count - 1)), min(_SPACING_PX[1], MAX_COC / (count - 1))
    total = np.exp(rng.uniform(np.log(spacing[0]), np.log(max(spacing)))) * (count - 1)
    coordinates, distances = _plane_positions(rng, count, ends[1])
    return FocusPlan(coordinates, float(min(total, MAX_COC / reach)), far_end, extent, distances)


def _place_scene(rng: np.random.Generator, w: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Far end and extent of the scene in the coordinate of the planes."""
    span = max(high - low, 1e-6)
    if rng.random() < 0.6:
        share = rng.uniform(0.15, 0.5) if rng.random() < 0.2 else rng.uniform(0.5, 1.0)
        slack = max(1.0 - share * span, 0.0)  # a flat scene (small span) takes up less than its share
        return float(rng.uniform(0.0, slack) + share * high), float(share)
    for _ in range(6):
        extent = rng.uniform(1.0, 2.5)
        anchor = float(w.flat[rng.integers(w.size)])
        offset = rng.uniform(0.1, 0.9) + extent * anchor
        inside = offset - extent * w[::4, ::4]
        if ((inside >= 0) & (inside <= 1)).mean() > 0.3:
            return float(offset), float(extent)
    return high / span, 1.0 / span


def _plane_positions(rng: np.random.Generator, count: int, farthest: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (N,) of the planes and focus distances in metres; `farthest` is the scene's far coordinate."""
    near = log_uniform(rng, 0.08, 2.0)
    ratio = log_uniform(rng, 1.1, 12.0)
    # the far end of the scene must stay at a finite distance: 1 - farthest * (1 - 1 / ratio) > 0
    if farthest > 1.0:
        ratio = min(ratio, 1.0 / (1.0 - 0.95 / farthest))
    kind = rng.random()
    steps = np.linspace(0.0, 1.0, count)
    if kind < 0.45:
        coordinates = steps
    elif kind < 0.6:
        ratio = min(ratio, 4.0)
        coordinates = (1.0 - 1.0 / (1.0 + steps * (ratio - 1.0))) / (1.0 - 1.0 / ratio)  # even in depth
    elif kind < 0.75:
        coordinates = steps ** rng.uniform(0.6, 1.6)
    else:
        coordinates = steps + np.r_[0.0, rng.uniform(-0.35, 0.35, count - 2), 0.0] / (count - 1)
    inverse = (1.0 - coordinates * (1.0 - 1.0 / ratio)) / near
    return coordinates, 1.0 / inverse


def capture_scene(
    rng: np.random.Generator, scene: LayeredScene, plan: FocusPlan, sensor: Sensor, psf: float | str
) -> RenderedStack:
    """Photograph `scene` at every plane of `plan`: blur in linear light, then the sensor."""
    inner = scene.margin
    truth = plan.scene_coordinate(scene.visible_w())[inner:-inner, inner:-inner]
    sharp = crop_border(soften(sharp_light(scene)[None], sensor.softness))[0]
    return RenderedStack(
        images=develop(rng, scene_light(scene, plan, psf), sensor),
        coordinates=plan.coordinates,
        truth=truth,
        valid=(truth >= 0.0) & (truth <= 1.0),
        all_in_focus=linear_to_srgb8(sharp.transpose(1, 2, 0)),
        focus_distances=plan.focus_distances,
        spacing_px=(np.diff(plan.coordinates) * plan.blur_px).astype(np.float32),
    )


def scene_light(scene: LayeredScene, plan: FocusPlan, psf: float | str) -> np.ndarray:
    """Linear light on the sensor at every plane, (N, 3, H, W) of the picture and `BORDER` px around it."""
    coordinate = plan.scene_coordinate(scene.w)
    planes = plan.coordinates.astype(np.float32)
    coc = np.abs(coordinate[:, None] - planes[None, :, None, None]) * np.float32(plan.blur_px)
    rgb, alpha, blur = (torch.from_numpy(a)[None] for a in (scene.rgb, scene.alpha[:, None], coc))
    return render_layers(rgb, alpha, blur.clamp_(max=1.2 * MAX_COC), psf=psf, margin=scene.margin - BORDER)[0].numpy()


def sharp_light(scene: LayeredScene) -> np.ndarray:
    """The same through a pinhole, (3, H, W)."""
    edge = scene.margin - BORDER
    return _flatten(scene.rgb, scene.alpha)[:, edge:-edge, edge:-edge]


def _flatten(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Everything sharp: layers composited without blur, (3, H, W)."""
    image = rgb[0] * alpha[0]
    for layer in range(1, len(rgb)):
        image = image + (rgb[layer] - image) * alpha[layer]
    return image


def render_stack(
    seed: int | np.random.SeedSequence | np.random.Generator,
    pool: TexturePool | None = None,
    *,
    size: int | tuple[int, int] = 160,
    planes: int | tuple[int, int] | None = None,
    psf: float | str | None = None,
    clean: bool = False,
) -> RenderedStack:
    """A random procedural scene, photographed by a random camera. The same seed gives the same bits.

    Args:
        seed: number, SeedSequence or Generator; the global random state is neither read nor changed.
        pool: photographs for the surfaces; None for noise textures only.
        size: side or (height, width) of the pictures in px.
        planes: number of planes, or (least, most); default 2 to 12, any number up to 48 makes sense.
        psf: "disk", "gaussian" or the Gaussian's share; random by default.
        clean: leave out noise, drift, misalignment, softness and JPEG.
    """
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
    height, width = (size, size) if isinstance(size, int) else size
    scene = make_scene(rng, pool, (height, width), MARGIN)
    inside = scene.visible_w()[MARGIN:-MARGIN, MARGIN:-MARGIN]
    plan = plan_focus(rng, inside, PLANE_RANGE if planes is None else planes)
    shape = float(rng.choice(PSF_SHAPES)) if psf is None else psf_shape(psf)
    sensor = sample_sensor(rng, len(plan.coordinates), (height, width))
    if clean:
        sensor = Sensor.ideal(len(plan.coordinates))
    return capture_scene(rng, expose(scene, np.exp(rng.uniform(np.log(0.08), np.log(0.4)))), plan, sensor, shape)


def expose(scene: LayeredScene, mean: float) -> LayeredScene:
    """Scale the light so that the picture has about this mean, 1 being white."""
    found = float(_flatten(scene.rgb[:, :, ::4, ::4], scene.alpha[:, ::4, ::4]).mean())
    return replace(scene, rgb=scene.rgb * np.float32(mean / max(found, 1e-3)))
