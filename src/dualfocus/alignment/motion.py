"""Planar motions as 3 x 3 matrices: the groups a frame may move in, and how their parameters act on pixels.

All matrices here act on normalised coordinates: the centre of the picture is (0, 0) and half its diagonal is 1, so that
a motion means the same at every size and its parameters are of one scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOTIONS = ("translation", "similarity", "affine", "homography")  # each holds the one before it

Matrix = NDArray[np.floating[Any]]

_GENERATORS: dict[str, list[list[list[float]]]] = {
    "translation": [[[0, 0, 1], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 0, 0]]],
}
_GENERATORS["similarity"] = [
    *_GENERATORS["translation"],
    [[1, 0, 0], [0, 1, 0], [0, 0, 0]],
    [[0, -1, 0], [1, 0, 0], [0, 0, 0]],
]
_GENERATORS["affine"] = [
    *_GENERATORS["similarity"],
    [[1, 0, 0], [0, -1, 0], [0, 0, 0]],
    [[0, 1, 0], [1, 0, 0], [0, 0, 0]],
]
_GENERATORS["homography"] = [
    *_GENERATORS["affine"],
    [[0, 0, 0], [0, 0, 0], [1, 0, 0]],
    [[0, 0, 0], [0, 0, 0], [0, 1, 0]],
]


def generators(motion: str) -> Matrix:
    """(P, 3, 3) matrices G_k; the parameters p of a small motion mean I + sum_k p_k G_k."""
    return np.array(_GENERATORS[motion], np.float64)


def from_parameters(motion: str, parameters: NDArray[np.floating[Any]]) -> Matrix:
    """The motion I + sum_k p_k G_k, scaled so that its last entry is 1."""
    matrix = np.eye(3) + np.tensordot(np.asarray(parameters, np.float64), generators(motion), axes=1)
    return matrix / matrix[2, 2]


def to_parameters(motion: str, matrix: Matrix) -> NDArray[np.float64]:
    """(P,) parameters of a motion near the identity; what the group cannot express is dropped."""
    basis = generators(motion).reshape(-1, 9)
    difference = (matrix / matrix[2, 2] - np.eye(3)).ravel()
    return (basis @ difference) / (basis * basis).sum(axis=1)


def inverse(matrix: Matrix) -> Matrix:
    """The motion back, scaled so that its last entry is 1."""
    back = np.linalg.inv(matrix)
    return back / back[2, 2]


def compose(*matrices: Matrix) -> Matrix:
    """The product, applied from the right, scaled so that its last entry is 1."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = product @ matrix
    return product / product[2, 2]


def apply(matrix: Matrix, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Move (..., 2) points x, y."""
    x, y = points[..., 0], points[..., 1]
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    return np.stack(
        [
            (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w,
            (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w,
        ],
        axis=-1,
    )


def half_diagonal(size: tuple[int, int]) -> float:
    """Half the diagonal in pixels of a picture of `size` (height, width): the unit of normalised coordinates."""
    return 0.5 * float(np.hypot(*size))


def normaliser(size: tuple[int, int], full: tuple[int, int]) -> Matrix:
    """Pixels of a picture of `size` (height, width), reduced from `full`, to normalised coordinates of `full`."""
    sy, sx = full[0] / size[0], full[1] / size[1]
    unit = half_diagonal(full)
    return np.array(
        [
            [sx / unit, 0, (0.5 * sx - 0.5 * full[1]) / unit],
            [0, sy / unit, (0.5 * sy - 0.5 * full[0]) / unit],
            [0, 0, 1],
        ]
    )


def in_pixels(matrix: Matrix, size: tuple[int, int], full: tuple[int, int] | None = None) -> Matrix:
    """A motion of normalised coordinates as one of the pixels (pixel centres are whole numbers) of `size`."""
    scale = normaliser(size, full or size)
    return compose(np.linalg.inv(scale), matrix, scale)


def grid(size: tuple[int, int], count: int = 9) -> NDArray[np.float64]:
    """(count * count, 2) normalised points that cover a picture of `size` evenly, its corners included."""
    unit = half_diagonal(size)
    y = np.linspace(-0.5, 0.5, count) * size[0] / unit
    x = np.linspace(-0.5, 0.5, count) * size[1] / unit
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def displacement(matrix: Matrix, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """How far (..., 2) points move, in half diagonals."""
    return np.linalg.norm(apply(matrix, points) - points, axis=-1)
