"""A focal stack under control: a seeded scene, a camera that is the same for every seed, and one thing to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.sample import Sample
from dualfocus.rendering.capture import FocusPlan, expose, scene_light, sharp_light
from dualfocus.rendering.color import linear_to_srgb8
from dualfocus.rendering.procedural import LayeredScene, make_scene
from dualfocus.rendering.sensor import Sensor, crop_border, develop
from dualfocus.rendering.textures import TexturePool
from dualfocus.stack import FocalStack

NEAR_M, FAR_M = 0.5, 2.0  # first and last plane
EXPOSURE = 0.25  # mean of a picture, 1 being white
_READ_NOISE = 2.0  # electrons
_ORDINARY = ((0.0, 1.0),)

Size = tuple[int, int]


class Subject(NamedTuple):
    """A scene, and the part of its picture that is measured.

    Attributes:
        scene: layers in the blur coordinate w, 0 its far and 1 its near end.
        measured: (H, W) bool.
    """

    scene: LayeredScene
    measured: NDArray[np.bool_]


def any_scene(rng: np.random.Generator, pool: TexturePool, size: Size) -> Subject:
    """A procedural scene as networks are trained on, all of it measured."""
    return Subject(make_scene(rng, pool, size), np.ones(size, bool))


def layered_blur(scene: LayeredScene, plan: FocusPlan, seed: int) -> NDArray[np.float32]:
    """Light (N, 3, H, W) by the renderer of the training data, a disk as the blur; no randomness."""
    return scene_light(scene, plan, psf="disk")


@dataclass(frozen=True)
class Setup:
    """Everything that an experiment may change, at its usual value.

    Attributes:
        planes: how many, evenly spaced in inverse depth between `NEAR_M` and `FAR_M`.
        blur_px: CoC, at the last plane, of a point in focus at the first.
        place: coordinates of the near and the far end of the scene; 0 is the first plane, 1 the last.
        counted: intervals of the true coordinate that are measured; beyond a plane the right answer is that plane.
        noise: deviation of the shot noise at white in per cent of white.
        jpeg: quality, 0 for none.
        drift: deviation of the planes' exposure in per cent.
        motion_px: deviation of the planes' motion along each axis, in px.
        misplaced: deviation of where the planes really are from where they are said to be, in plane spacings.
        subject: makes the scene.
        blur: makes the light of the planes.
    """

    planes: int = 5
    blur_px: float = 16.0
    place: tuple[float, float] = (0.05, 0.95)
    counted: tuple[tuple[float, float], ...] = _ORDINARY
    noise: float = 1.0
    jpeg: int = 0
    drift: float = 0.0
    motion_px: float = 0.0
    misplaced: float = 0.0
    subject: Callable[[np.random.Generator, TexturePool, Size], Subject] = any_scene
    blur: Callable[[LayeredScene, FocusPlan, int], NDArray[np.float32]] = layered_blur

    def plan(self, rng: np.random.Generator) -> FocusPlan:
        """Where the planes really are."""
        off = rng.standard_normal(self.planes) * self.misplaced / (self.planes - 1)
        near, far = self.place
        said = np.linspace(0, 1, self.planes)
        return FocusPlan(said + off, self.blur_px, far, far - near, _distances(said))

    def sensor(self, rng: np.random.Generator) -> Sensor:
        """The camera; the same draws for every value of drift and motion, scaled."""
        exposure = np.exp(rng.standard_normal(self.planes) * self.drift / 100)
        similarity = np.zeros((self.planes, 4))
        similarity[:, 2:] = rng.standard_normal((self.planes, 2)) * self.motion_px
        full_well = (100 / self.noise) ** 2 if self.noise else 0.0
        return Sensor(full_well, _READ_NOISE, exposure, 0.0, similarity, self.jpeg)

    def photograph(self, seed: int, pool: TexturePool, size: Size) -> Sample:
        """The focal stack of this seed with its truth."""
        subject = self.subject(np.random.default_rng([seed, 0]), pool, size)
        scene, plan = expose(subject.scene, EXPOSURE), self.plan(np.random.default_rng([seed, 1]))
        light = self.blur(scene, plan, seed)
        images = develop(np.random.default_rng([seed, 3]), light, self.sensor(np.random.default_rng([seed, 2])))
        edge = scene.margin
        truth = plan.scene_coordinate(scene.visible_w())[edge:-edge, edge:-edge]
        counted = np.any([(truth >= low) & (truth <= high) for low, high in self.counted], axis=0)
        depth = _distances(np.clip(truth, 0, 1).astype(np.float64)).astype(np.float32)
        sharp = linear_to_srgb8(crop_border(sharp_light(scene)).transpose(1, 2, 0))
        return Sample(str(seed), FocalStack(images, plan.focus_distances), depth, subject.measured & counted, sharp)


def hard_edged(rng: np.random.Generator, pool: TexturePool, size: Size) -> Subject:
    """A procedural scene whose silhouettes are cut at pixels, as a mesh can be."""
    subject = any_scene(rng, pool, size)
    alpha = (subject.scene.alpha > 0.5).astype(np.float32)
    return subject._replace(scene=replace(subject.scene, alpha=alpha))


def _distances(coordinate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres of normalised inverse depths, any shape."""
    return 1 / (1 / NEAR_M + coordinate * (1 / FAR_M - 1 / NEAR_M))
