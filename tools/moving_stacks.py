"""Focal stacks whose frames are known to have moved: rendered on a larger canvas, then warped and cut out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dualfocus.alignment.motion import Matrix, compose, from_parameters, half_diagonal, in_pixels, inverse
from dualfocus.rendering.capture import plan_focus
from dualfocus.rendering.layered import render_layers
from dualfocus.rendering.procedural import make_scene
from dualfocus.rendering.sensor import BORDER, Sensor, develop
from dualfocus.rendering.textures import TexturePool
from dualfocus.stack import FocalStack

KINDS = ("none", "breathing", "hand", "both", "pan")
LARGEST_ZOOM, LARGEST_SHIFT, LARGEST_TURN = 0.05, 30.0, np.deg2rad(1.0)  # of the first to the last plane; px; radians
FOCAL = 1.2  # half diagonals: a lens with a diagonal field of 80 degrees, for the perspective of a pan
_BLUR = 18  # px that the largest circle of confusion reaches over the border of a picture


@dataclass(frozen=True)
class MovingStack:
    """A focal stack with known motion.

    Attributes:
        stack: the photographs as the moving camera took them.
        still: the same as a camera that does not move would have taken them.
        motions: N normalised 3 x 3 matrices; m carries a point of the scene in `still` to its place in the frame.
        truth: (H, W) depth in the stack's result unit, in the frame of `still`.
        valid: (H, W) where the truth is inside the focus range.
    """

    stack: FocalStack
    still: FocalStack
    motions: list[Matrix]
    truth: NDArray[np.float32]
    valid: NDArray[np.bool_]


def draw_motions(rng: np.random.Generator, kind: str, coordinates: NDArray, size: tuple[int, int]) -> list[Matrix]:
    """Motions of a kind: focus breathing is linear in the focus coordinate, a hand wanders smoothly and trembles.

    Args:
        rng: random numbers.
        kind: one of `KINDS`; "pan" is a hand that turns the camera, a homography.
        coordinates: (N,) of the planes, 0 to 1.
        size: height, width of the pictures.
    """
    count, unit = len(coordinates), half_diagonal(size)
    motions: list[Matrix] = [np.eye(3)] * count
    if kind in ("breathing", "both"):
        zoom = rng.choice([-1, 1]) * LARGEST_ZOOM * rng.uniform(0.6, 1.0) * (coordinates - 0.5)
        centre = rng.uniform(-0.05, 0.05, 2)
        motions = [from_parameters("similarity", np.array([-z * centre[0], -z * centre[1], z, 0])) for z in zoom]
    if kind in ("hand", "both", "pan"):
        path = _wander(rng, count, 3)
        path[:, :2] *= LARGEST_SHIFT / unit * rng.uniform(0.5, 1.0)
        path[:, 2] *= LARGEST_TURN * rng.uniform(0.5, 1.0)
        for n, (x, y, turn) in enumerate(path):
            if kind == "pan":
                rotation = np.asarray(cv2.Rodrigues(np.array([-y / FOCAL, x / FOCAL, turn]))[0], np.float64)
                lens = np.diag([FOCAL, FOCAL, 1.0])
                hand = compose(lens, rotation, np.linalg.inv(lens))
            else:
                hand = from_parameters("similarity", np.array([x, y, np.cos(turn) - 1, np.sin(turn)]))
            motions[n] = compose(hand, motions[n])
    return motions


def _wander(rng: np.random.Generator, count: int, width: int) -> NDArray:
    """(count, width) smooth random walks with a tremble, the largest of each column (first two together) 1."""
    walk = np.cumsum(rng.normal(size=(count, width)), axis=0) + 0.3 * rng.normal(size=(count, width))
    walk -= walk[count // 2]
    walk[:, :2] /= np.linalg.norm(walk[:, :2], axis=1).max()
    walk[:, 2] /= np.abs(walk[:, 2]).max()
    return walk


def render_moving(
    seed: int, kind: str, size: tuple[int, int] = (480, 640), planes: int = 10, pool: TexturePool | None = None
) -> MovingStack:
    """A procedural scene with defocus, noise and drifting exposure, photographed by a moving camera."""
    rng = np.random.default_rng(seed)
    edge = _edge(size)
    margin = edge + _BLUR
    scene = make_scene(rng, pool, size, margin)
    inside = scene.visible_w()[margin:-margin, margin:-margin]
    plan = plan_focus(rng, inside, planes)
    coordinate = plan.scene_coordinate(scene.w)
    coc = np.abs(coordinate[:, None] - plan.coordinates.astype(np.float32)[None, :, None, None]) * plan.blur_px
    rgb, alpha, blur = (torch.from_numpy(a)[None] for a in (scene.rgb, scene.alpha[:, None], np.float32(coc)))
    light = render_layers(rgb, alpha, blur.clamp_(max=30.0), margin=_BLUR)[0].numpy()
    light *= np.float32(rng.uniform(0.15, 0.35) / light.mean())
    motions = draw_motions(rng, kind, plan.coordinates, size)
    unmoved: list[Matrix] = [np.eye(3)] * planes
    exposure = np.exp(rng.normal(0, 0.03, planes))
    sensor = Sensor(float(rng.uniform(2000, 20000)), 3.0, exposure, 0.4, np.zeros((planes, 4)), 92)
    larger = (size[0] + 2 * BORDER, size[1] + 2 * BORDER)
    frames = [_cut_out(light, m, size, larger) for m in (motions, unmoved)]
    shots = [develop(np.random.default_rng(seed + 1), light, sensor) for light in frames]
    truth = plan.scene_coordinate(scene.visible_w())[margin:-margin, margin:-margin]
    stacks = [FocalStack(images, plan.focus_distances) for images in shots]
    ends = stacks[0].coordinates[[0, -1]]
    depth = stacks[0].depth_from_coordinate(ends[0] + truth.astype(np.float64) * (ends[1] - ends[0]))
    return MovingStack(stacks[0], stacks[1], motions, np.asarray(depth, np.float32), (truth >= 0) & (truth <= 1))


def move_pathtraced(folder: Path, seed: int, kind: str) -> MovingStack:
    """A path-traced stack (stack.json with `depth_png`) from a moving camera; the picture loses its border."""
    from dualfocus.readers import load_stack

    rng = np.random.default_rng(seed)
    source = load_stack(folder)
    edge = 36
    size = (source.size[0] - 2 * edge, source.size[1] - 2 * edge)
    ends = source.coordinates[[0, -1]]
    u = (source.coordinates - ends[0]) / (ends[1] - ends[0])
    light = np.stack([source[n] for n in range(len(source))]).transpose(0, 3, 1, 2).astype(np.float32)
    motions = draw_motions(rng, kind, u, size)
    unmoved: list[Matrix] = [np.eye(3)] * len(source)
    frames = [_cut_out(light, m, size, size) for m in (motions, unmoved)]
    shots = [np.clip(np.rint(f), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1) for f in frames]
    with Image.open(folder / "depth.png") as image:
        depth = np.array(image)[edge:-edge, edge:-edge] * np.float32(source.extra["depth_png_scale_m"])
    where = source.normalised_coordinate(depth)
    stacks = [FocalStack(np.ascontiguousarray(images), source.focus_distances) for images in shots]
    return MovingStack(stacks[0], stacks[1], motions, depth, (depth > 0) & (where >= 0) & (where <= 1))


def residuals(
    estimated: list[Matrix], motions: list[Matrix], reference: int, common: NDArray[np.bool_]
) -> list[NDArray[np.float64]]:
    """Distance in pixels between estimated and true place, per plane, of every pixel of the common region.

    Args:
        estimated: N pixel motions from the result to each frame.
        motions: N true normalised motions from the still frame to each frame.
        reference: index of the reference frame.
        common: (H, W), in the reference frame.
    """
    size = (common.shape[0], common.shape[1])
    y, x = np.nonzero(common)
    points = np.stack([x, y], axis=-1)[:: max(1, len(x) // 20000)].astype(np.float64)
    result, back = [], inverse(estimated[reference])
    for matrix, motion in zip(estimated, motions, strict=True):
        true = in_pixels(compose(motion, inverse(motions[reference])), size)
        ours, theirs = (cv2.perspectiveTransform(points[None], m)[0] for m in (compose(matrix, back), true))
        result.append(np.linalg.norm(ours - theirs, axis=1))
    return result


def _edge(size: tuple[int, int]) -> int:
    """Pixels of canvas around a picture that the largest motion can show."""
    unit = half_diagonal(size)
    return int(np.ceil(LARGEST_SHIFT * 1.8 + unit * (LARGEST_ZOOM / 2 * 1.05 + LARGEST_TURN))) + 6


def _cut_out(light: NDArray, motions: list[Matrix], size: tuple[int, int], larger: tuple[int, int]) -> NDArray:
    """(N, 3, *larger) pictures of the canvas `light` (N, 3, h, w), each moved about the centre of the picture."""
    edge = [(canvas - side) / 2 for canvas, side in zip(light.shape[2:], larger, strict=True)]
    border = (larger[0] - size[0]) / 2
    result = np.empty((*light.shape[:2], *larger), np.float32)
    for n, motion in enumerate(motions):
        pixels = in_pixels(inverse(motion), size)  # frame to still
        before = np.array([[1, 0, -border], [0, 1, -border], [0, 0, 1]])
        after = np.array([[1, 0, edge[1] + border], [0, 1, edge[0] + border], [0, 0, 1]])
        source = np.ascontiguousarray(light[n].transpose(1, 2, 0))
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        moved = cv2.warpPerspective(source, after @ pixels @ before, larger[::-1], flags=flags)
        result[n] = moved.transpose(2, 0, 1)
    return result
