"""A stage for path-traced scenes: a camera that looks down at a floor, with or without the walls of a corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualfocus.rendering.meshes import Mesh, prepare
from dualfocus.rendering.pathtraced import ThinLens

Array = NDArray[np.float64]
SQUARE = prepare(np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) / 2, np.array([[0, 1, 2], [0, 2, 3]]))
_GRID = 16  # rays across the picture that look for the ends of the depth
_TRIES = 1000
_LEAST_FLOOR = 0.2  # of the picture
_SHRINK = 0.97  # of an object that does not fit where it was tried


@dataclass(frozen=True)
class Stage:
    """Faces of a convex corner around the camera, all in its frame (x right, y down, z ahead; metres).

    Attributes:
        lens: the camera.
        near, far: depths between which everything visible lies.
        axes: (3, 3), columns right, up and back, level with the floor.
        faces: (F, 4), outward unit normal and distance from the camera; the floor is the first.
    """

    lens: ThinLens
    near: float
    far: float
    axes: Array
    faces: Array

    def floor_point(self, rng: np.random.Generator) -> Array:
        """A point (3,) of the floor that the camera sees where nothing stands in front, not close to the border."""
        while True:
            rays = _rays(self.lens, *rng.uniform(-0.9, 0.9, (2, 1)))
            depths = _depths(self.faces, rays)[0]
            if depths.argmin() == 0 and np.isfinite(depths[0]):
                return rays[0] * depths[0]

    def stand(self, mesh: Mesh, point: Array, size: float, turn: Array) -> Array | None:
        """Matrix (4, 4) that sets a mesh on the floor, or None when it would leave the depths.

        Args:
            mesh: to be placed.
            point: (3,) of the floor, below its middle.
            size: of its longest side, metres.
            turn: (3, 3) rotation in the frame of the axes.
        """
        corners = size * mesh.corners.reshape(-1, 3) @ turn.T
        raised = point - self.axes[:, 1] * corners[:, 1].min()
        depth = corners @ self.axes[2] + raised[2]
        if not self.near < depth.min() <= depth.max() < self.far:
            return None
        return matrix(size * self.axes @ turn, raised)

    def stand_somewhere(self, rng: np.random.Generator, mesh: Mesh, share: float, turn: Array) -> Array:
        """Matrix (4, 4) that sets a mesh somewhere on the floor, smaller where it would not fit.

        Args:
            rng: draws the place.
            mesh: to be placed.
            share: of its longest side in the width of the picture there.
            turn: (3, 3) rotation in the frame of the axes.
        """
        while True:
            point = self.floor_point(rng)
            to_world = self.stand(mesh, point, share * 2 * self.lens.half_width * point[2], turn)
            if to_world is not None:
                return to_world
            share *= _SHRINK

    def face_matrix(self, face: int) -> Array:
        """Matrix (4, 4) that makes the unit square a face, wide enough to leave the picture."""
        normal, distance = self.faces[face, :3], self.faces[face, 3]
        across = np.cross(self.axes[:, 1] if face else self.axes[:, 2], normal)
        return matrix(6 * self.far * np.stack([across, np.cross(normal, across), normal], axis=1), distance * normal)


def matrix(linear: Array, place: Array) -> Array:
    """(4, 4) of a linear map (3, 3) and a place (3,)."""
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = linear, place
    return found


def make_stage(
    rng: np.random.Generator, lens: ThinLens, near: float, far: float, pitch: tuple[float, float], walls: bool
) -> Stage:
    """Draw a stage whose visible depths lie between `near` and `far` and nearly reach `far`, with enough floor.

    Args:
        rng: draws pitch, height and walls until they fit.
        lens: the camera.
        near: metres.
        far: metres.
        pitch: least and most degrees that the camera looks down.
        walls: two, at a right angle, or the floor alone.

    Raises:
        ValueError: nothing fits.
    """
    rays = _rays(lens, *(x.ravel() for x in np.meshgrid(*[np.linspace(-1, 1, _GRID)] * 2)))
    for _ in range(_TRIES):
        down, turn = np.radians(rng.uniform(*pitch)), np.radians(rng.uniform(-40, 40))
        sine, cosine = np.sin(down), np.cos(down)
        axes = np.array([[1, 0, 0], [0, -cosine, sine], [0, -sine, -cosine]])
        faces = [[*-axes[:, 1], rng.uniform(0.1, 0.6) if walls else 1.0]]
        if walls:
            aside = turn - np.copysign(np.pi / 2, turn)
            for angle, distance in ((turn, 1.0), (aside, rng.uniform(0.2, 0.8))):
                faces.append([*(axes @ np.array([np.sin(angle), 0, -np.cos(angle)])), distance])
        depths = _depths(np.array(faces), rays)
        depth, floor = depths.min(axis=1), np.mean(depths.argmin(axis=1) == 0)
        scale = far * rng.uniform(0.85, 0.98) / depth.max()
        if np.isfinite(depth).all() and depth.min() * scale > 1.02 * near and floor > _LEAST_FLOOR:
            return Stage(lens, near, far, axes, np.array(faces) * [1, 1, 1, scale])
    raise ValueError(f"no stage between {near:g} and {far:g} m for this camera: widen the range or the pitch")


def _rays(lens: ThinLens, x: Array, y: Array) -> Array:
    """Rays (M, 3) with z = 1 through places (M,) of the picture, -1 and 1 at its borders."""
    return np.stack([x * lens.half_width, y * lens.half_width * lens.height / lens.width, np.ones_like(x)], axis=1)


def _depths(faces: Array, rays: Array) -> Array:
    """Depths (M, F) at which rays meet each face, infinite where they do not."""
    towards = rays @ faces[:, :3].T
    return np.divide(faces[:, 3], towards, out=np.full(towards.shape, np.inf), where=towards > 1e-9)
