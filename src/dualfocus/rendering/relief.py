"""Smooth fields of the blur coordinate w (inverse depth in scene units, larger = nearer), each (height, width)."""

import numpy as np

from dualfocus.rendering.noise import fractal, grid


def plane(rng: np.random.Generator, height: int, width: int, slope: float) -> np.ndarray:
    """A plane: affine in the image, because inverse depth is. `slope` is the typical rise across the canvas."""
    y, x = grid(height, width)
    tilt = rng.normal(0.0, slope, 2).astype(np.float32)
    return tilt[0] * y / height + tilt[1] * x / width


def room(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Inside of a convex room: the largest of 1 to 5 planes. Returns w and the number of the face at each pixel."""
    y, x = grid(height, width)
    v, u = y / height, x / width
    faces = [0.1 * rng.normal() * v + 0.1 * rng.normal() * u]
    directions = rng.permutation(4)[: int(rng.integers(0, 5))]
    roll = rng.normal(0.0, 0.15)
    for side in directions:
        angle = side * np.pi / 2 + roll + rng.normal(0.0, 0.1)
        steep, start = rng.uniform(0.8, 3.0), rng.uniform(-0.1, 0.45)
        faces.append(steep * (np.cos(angle) * v + np.sin(angle) * u - start))
    stacked = np.stack([np.broadcast_to(face, (height, width)) for face in faces]).astype(np.float32)
    return stacked.max(0), stacked.argmax(0)


def quadric(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A curved sheet: bowl, ridge or saddle."""
    y, x = grid(height, width)
    v, u = y / height - rng.uniform(-0.4, 0.4), x / width - rng.uniform(-0.4, 0.4)
    a, b, c = rng.normal(0.0, 1.2, 3)
    return (a * v * v + b * u * v + c * u * u + plane(rng, height, width, 0.4)).astype(np.float32)


def height_field(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Hills on a plane, smooth to rough."""
    field = fractal(rng, height, width, rng.uniform(1.9, 3.2))
    return field * np.float32(rng.uniform(0.05, 0.3)) + plane(rng, height, width, 0.5)


def bulge(alpha: np.ndarray, strength: float) -> np.ndarray:
    """A rounded bump over a silhouette that goes on smoothly beyond its edge (so the blurred rim has a CoC too)."""
    height, width = alpha.shape
    y, x = grid(height, width)
    mass = max(float(alpha.sum()), 1.0)
    cy, cx = float((alpha * y).sum()) / mass, float((alpha * x).sum()) / mass
    spread = (alpha * ((y - cy) ** 2 + (x - cx) ** 2)).sum() / mass
    squared = ((y - cy) ** 2 + (x - cx) ** 2) / max(2.0 * float(spread), 4.0)
    return (strength * (1.0 - squared) / (1.0 + squared)).astype(np.float32)


def box_faces(rng: np.random.Generator, alpha: np.ndarray, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """A convex solid seen from outside: the smallest of 2 or 3 planes. Returns w and the number of the face."""
    height, width = alpha.shape
    y, x = grid(height, width)
    mass = max(float(alpha.sum()), 1.0)
    cy, cx = float((alpha * y).sum()) / mass, float((alpha * x).sum()) / mass
    start, count = rng.uniform(0, 2 * np.pi), int(rng.integers(2, 4))
    faces = []
    for k in range(count):
        angle, steep = start + 2 * np.pi * k / count, slope * rng.uniform(0.5, 2.0)
        faces.append(-steep * ((y - cy) / height * np.cos(angle) + (x - cx) / width * np.sin(angle)))
    stacked = np.stack([np.broadcast_to(face, (height, width)) for face in faces]).astype(np.float32)
    return stacked.min(0), stacked.argmin(0)
