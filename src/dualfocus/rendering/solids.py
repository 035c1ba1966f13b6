"""Meshes made by rule: turned, bent and cut solids, and thin structures of tubes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dualfocus.rendering.meshes import Mesh, prepare

Points = NDArray[np.float64]
_AROUND = 48
_SIDES = 8  # of a tube


def solid(rng: np.random.Generator) -> Mesh:
    """A solid of any kind of this module, upright along y."""
    return _SOLIDS[int(rng.integers(len(_SOLIDS)))](rng)


def thin_structure(rng: np.random.Generator, radius: float) -> Mesh:
    """A grille, a branch or a tangle of wires, upright along y, about 1 in size, of tubes with this radius."""
    return _THIN[int(rng.integers(len(_THIN)))](rng, radius)


def _sheet(points: Points) -> Mesh:
    """A grid of points (rows, columns, 3) as two triangles a cell."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    return prepare(points.reshape(-1, 3), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))


def _vessel(rng: np.random.Generator) -> Mesh:
    """A profile of a few points, smoothed and turned about y; open at the top."""
    height = np.linspace(0, 1, 32)
    profile = np.interp(height, np.linspace(0, 1, 6), rng.uniform(0.15, 0.5, 6))
    profile = np.convolve(np.pad(profile, 3, mode="edge"), np.ones(7) / 7, "valid")
    profile, height = np.r_[0, profile], np.r_[0, height * rng.uniform(0.7, 1.6)]
    angle = np.linspace(0, 2 * np.pi, _AROUND + 1)
    ring = np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], axis=1)
    return _sheet(profile[:, None, None] * ring + height[:, None, None] * np.array([0, 1, 0]))


def _superquadric(rng: np.random.Generator) -> Mesh:
    """From box to ball to spindle."""
    squareness, stretch = rng.uniform(0.2, 1.6, 2), rng.uniform(0.4, 1.0, 3)
    v, u = np.meshgrid(np.linspace(-np.pi / 2, np.pi / 2, 32), np.linspace(-np.pi, np.pi, _AROUND + 1), indexing="ij")

    def power(value: Points, exponent: float) -> Points:
        return np.sign(value) * np.abs(value) ** exponent

    waist = power(np.cos(v), squareness[0])
    x, z = waist * power(np.cos(u), squareness[1]), waist * power(np.sin(u), squareness[1])
    return _sheet(np.stack([x, power(np.sin(v), squareness[0]), z], axis=2) * stretch)


def _prism(rng: np.random.Generator) -> Mesh:
    """A regular or star-shaped ground plan, pulled up and closed."""
    corners = 2 * int(rng.integers(3, 9))
    radius = np.where(np.arange(corners + 1) % 2, rng.uniform(0.5, 1.0), 1.0)
    angle = np.linspace(0, 2 * np.pi, corners + 1)
    plan = np.stack([radius * np.cos(angle), np.zeros_like(angle), radius * np.sin(angle)], axis=1)
    top = np.array([0, rng.uniform(0.3, 2.0), 0])
    return _sheet(np.stack([0 * plan, plan, plan + top, 0 * plan + top]))


def _ring(rng: np.random.Generator) -> Mesh:
    """A torus or a torus knot."""
    turns, winds = ((1, 0), (2, 3), (3, 2))[int(rng.integers(3))]
    t = np.linspace(0, 2 * np.pi, 128)
    out = 1 + 0.4 * np.cos(winds * t) * (winds > 0)
    path = np.stack([out * np.cos(turns * t), 0.4 * np.sin(winds * t), out * np.sin(turns * t)], axis=1)
    return _tubes([path], float(rng.uniform(0.1, 0.25)))


def _tubes(paths: Sequence[Points], radius: float) -> Mesh:
    """Tubes of one radius along paths (length, 3)."""
    corners, faces, start = [], [], 0
    angle = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)
    for path in paths:
        along = np.gradient(path, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        helper = np.eye(3)[np.abs(along).argmin(axis=1)]
        first = np.cross(along, helper)
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        second = np.cross(along, first)
        ring = np.cos(angle)[:, None] * first[:, None] + np.sin(angle)[:, None] * second[:, None]
        corners.append((path[:, None] + radius * ring).reshape(-1, 3))
        a = start + np.arange((len(path) - 1) * _SIDES)
        b = np.roll(a.reshape(-1, _SIDES), -1, axis=1).ravel()
        faces += [np.stack([a, b, b + _SIDES], 1), np.stack([a, b + _SIDES, a + _SIDES], 1)]
        start += len(path) * _SIDES
    return prepare(np.concatenate(corners), np.concatenate(faces))


def _grille(rng: np.random.Generator, radius: float) -> Mesh:
    """Upright bars between two rails, sometimes with crossbars."""
    bars, rails = int(rng.integers(5, 14)), int(rng.integers(2, 6))
    height = rng.uniform(0.5, 1.0)
    upright = [np.array([[x, 0, 0], [x, height, 0]]) for x in np.linspace(0, 1, bars)]
    level = [np.array([[0, y, 0], [1, y, 0]]) for y in np.linspace(0, height, rails)]
    return _tubes(upright + level, radius)


def _wires(rng: np.random.Generator, radius: float) -> Mesh:
    """A few cables that sag and wave."""
    t = np.linspace(0, 1, 40)
    paths = []
    for _ in range(int(rng.integers(3, 9))):
        ends, wave = rng.uniform(0, 1, (2, 3)) * (0.3, 0.8, 0.4), rng.normal(0, 0.05, (2, 3))
        ends[1, 0] = 1 - ends[1, 0]
        line = ends[0] + t[:, None] * (ends[1] - ends[0])
        paths.append(line + np.sin(np.pi * t)[:, None] * wave[0] + np.sin(3 * np.pi * t)[:, None] * wave[1])
    return _tubes(paths, radius)


def _branch(rng: np.random.Generator, radius: float) -> Mesh:
    """A twig that forks four times."""
    paths: list[Points] = []

    def grow(start: Points, direction: Points, length: float, forks: int) -> None:
        bend = rng.normal(0, 0.15, 3) * length
        t = np.linspace(0, 1, 8)[:, None]
        path = start + t * direction * length + t**2 * bend
        paths.append(path)
        if forks:
            for _ in range(int(rng.integers(2, 4))):
                turned = direction + rng.normal(0, 0.5, 3)
                grow(path[-1], turned / np.linalg.norm(turned), length * rng.uniform(0.6, 0.85), forks - 1)

    grow(np.zeros(3), np.array([0.0, 1.0, 0.0]), 0.35, 4)
    return _tubes(paths, radius)


_SOLIDS: tuple[Callable[[np.random.Generator], Mesh], ...] = (_vessel, _superquadric, _prism, _ring)
_THIN: tuple[Callable[[np.random.Generator, float], Mesh], ...] = (_grille, _wires, _branch)
