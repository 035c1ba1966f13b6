"""What the scenes draw at random in more than one module."""

import numpy as np
from numpy.typing import NDArray


def log_uniform(rng: np.random.Generator, least: float, most: float) -> float:
    """A number whose logarithm is even between those of the ends."""
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))


def rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, 3), evenly over all rotations, by a random unit quaternion."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def yaw(rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, 3), evenly over the turns about the upright."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
