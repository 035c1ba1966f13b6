"""A photograph with dense depth turned into a layered scene, and photographed as a focal stack."""

import numpy as np
import torch
from torch.nn import functional

from dualfocus.rendering.capture import (
    PLANE_RANGE,
    PSF_SHAPES,
    FocusPlan,
    RenderedStack,
    capture_scene,
    plan_focus,
)
from dualfocus.rendering.color import srgb_to_linear
from dualfocus.rendering.procedural import MARGIN, LayeredScene
from dualfocus.rendering.psf import psf_shape
from dualfocus.rendering.sensor import Sensor, sample_sensor

SLICES = 14


def layered_scene(rgb: np.ndarray, depth: np.ndarray, *, slices: int = SLICES, margin: int = MARGIN) -> LayeredScene:
    """Cut an RGB-D picture into soft slices of inverse depth.

    Slice k holds the pixels whose inverse depth falls into its share of the range, with soft membership, and goes on
    behind nearer ones: what they hide is filled from farther pixels only (pull-push), so that a blurred edge uncovers
    plausible background and a slanted surface has no seams.

    Args:
        rgb: (H, W, 3) uint8 display-encoded.
        depth: (H, W) in any unit; pixels that are not finite and positive are holes and filled from neighbours.
        slices: number of layers.
        margin: border added all around by repeating the edge.

    Raises:
        ValueError: when the sizes differ or no depth is valid.
    """
    if rgb.shape[:2] != depth.shape:
        raise ValueError(f"the image is {rgb.shape[:2]} but its depth is {depth.shape}; they must be the same size")
    valid = np.isfinite(depth) & (depth > 0)
    if not valid.any():
        raise ValueError("the depth map has no finite positive value")
    inverse = np.where(valid, 1.0 / np.where(valid, depth, 1.0), 0.0).astype(np.float32)
    inverse = _pull_push(inverse[None], valid.astype(np.float32))[0]
    low, high = float(inverse[valid].min()), float(inverse[valid].max())
    pad = ((margin, margin), (margin, margin))
    w = np.pad((inverse - low) / max(high - low, 1e-6 * high), pad, mode="edge").astype(np.float32)
    linear = srgb_to_linear(rgb.transpose(2, 0, 1).astype(np.float32) / 255.0)
    return _slice(np.pad(linear, ((0, 0), *pad), mode="edge"), w, slices, margin)


def _slice(rgb: np.ndarray, w: np.ndarray, slices: int, margin: int) -> LayeredScene:
    """Layer k is the scene with all that is nearer than slice k taken away and filled; its farther part is clear."""
    softness = 0.5 / slices
    layers_rgb: list[np.ndarray] = []
    layers_alpha: list[np.ndarray] = []
    layers_w: list[np.ndarray] = []
    for k in range(slices):
        floor, ceiling = k / slices, (k + 1) / slices
        if not ((w >= floor - softness) & (w <= ceiling + softness)).any():
            continue
        remaining = (w <= ceiling + softness).astype(np.float32)
        filled = _pull_push(np.concatenate([rgb, w[None]]), remaining)
        opaque = np.clip((filled[3] - floor) / softness + 0.5, 0.0, 1.0) if layers_w else np.ones_like(w)
        # beyond its silhouette the layer goes on at the depth of its rim, so that the blurred rim has its own CoC
        rim = _pull_push(filled[3:], (opaque > 0.5).astype(np.float32)) if (opaque > 0.5).any() else filled[3:]
        layers_rgb.append(filled[:3])
        layers_w.append(rim[0])
        layers_alpha.append(opaque)
    return LayeredScene(np.stack(layers_rgb), np.stack(layers_alpha).astype(np.float32), np.stack(layers_w), margin)


def _pull_push(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fill (C, H, W) where `weight` (H, W) is 0 from coarser and coarser averages of where it is 1."""
    value = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None] * torch.from_numpy(weight)
    mask = torch.from_numpy(weight)[None, None]
    pyramid = [(value, mask)]
    while max(pyramid[-1][1].shape[-2:]) > 1:
        value, mask = (functional.avg_pool2d(t, 2, ceil_mode=True, count_include_pad=False) for t in pyramid[-1])
        pyramid.append((value, mask))
    result = pyramid[-1][0] / pyramid[-1][1].clamp(min=1e-8)
    for value, mask in reversed(pyramid[:-1]):
        coarse = functional.interpolate(result, size=mask.shape[-2:], mode="bilinear", align_corners=False)
        known = (mask > 0).to(value.dtype)
        result = known * value / mask.clamp(min=1e-8) + (1.0 - known) * coarse
    return result[0].numpy()


def render_rgbd(
    rgb: np.ndarray,
    depth: np.ndarray,
    seed: int | np.random.SeedSequence | np.random.Generator,
    *,
    planes: int | tuple[int, int] | None = None,
    plan: FocusPlan | None = None,
    psf: float | str | None = None,
    clean: bool = False,
    slices: int = SLICES,
) -> RenderedStack:
    """A focal stack of an RGB-D picture, with the random camera of `render_stack`; options have the same meaning.

    `plan` fixes the planes instead (in the coordinate w of `layered_scene`). `focus_distances` are those of the
    random camera, not of `depth`.
    """
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
    scene = layered_scene(rgb, depth, slices=slices)
    if plan is None:
        inside = scene.visible_w()[MARGIN:-MARGIN, MARGIN:-MARGIN]
        plan = plan_focus(rng, inside, PLANE_RANGE if planes is None else planes)
    count = len(plan.coordinates)
    shape = float(rng.choice(PSF_SHAPES)) if psf is None else psf_shape(psf)
    sensor = Sensor.ideal(count) if clean else sample_sensor(rng, count, depth.shape)
    return capture_scene(rng, scene, plan, sensor, shape)
