"""Registration of two frames: Gauss-Newton on band-passed pictures of even contrast, coarse to fine.

Two neighbouring planes of a focal stack show the same scene with other blur. Blur by a symmetric lens moves nothing,
but it changes the contrast of every detail. So each picture is reduced to one band of frequencies and divided by its
local contrast: what is left of a detail has the same place and the same strength in both, or drowns in noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.alignment.motion import (
    Matrix,
    apply,
    compose,
    from_parameters,
    generators,
    inverse,
    normaliser,
    to_parameters,
)

Picture = NDArray[Any]  # (h, w) float32

_SMALLEST = 24  # shorter side in pixels of the coarsest level
_INNER, _OUTER, _LOCAL = 1.0, 3.0, 6.0  # sigmas in pixels of the band and of the window of local contrast
_STEPS = 12  # most Gauss-Newton steps of a level
_STILL = 0.01  # pixels: a step that moves less ends a level
_HUBER = 1.0  # robust deviations beyond which an error counts less
_LEAST_OVERLAP = 0.3  # share of the pixels that two pictures must have in common
_PERFECT, _DISTRUST = 1.01, 3  # information of a fit of correlation c counts by (1.01 - c)^-3
_BLOCK = 32  # pixels of a side
_SAMPLE = 100.0  # pixels over which detail of the band is one observation: about its wavelength squared
_DETAIL = 0.15  # least gradient energy of a block in its weakest direction, of the median energy


@dataclass(frozen=True)
class Level:
    """One size of a frame.

    Attributes:
        picture: (h, w) float32, band-passed, of even local contrast.
        scale: 3 x 3, pixels of this level to normalised coordinates.
    """

    picture: Picture
    scale: Matrix


@dataclass(frozen=True)
class Pair:
    """How one frame lies on another.

    Attributes:
        matrix: normalised coordinates of the first frame to those of the second.
        correlation: correlation coefficient of the two pictures where both are, in [-1, 1].
        information: (P, P) inverse covariance of the parameters, up to a factor common to all pairs.
        unmoved: the correlation without any motion.
        tracks: (B, 4) centres x, y of blocks of the first frame and where they are found in the second, normalised;
            they are found one by one, so what they disagree with the motion is its residual.
        observations: about how many independent details the fit rests on; bare areas count for nothing.
    """

    matrix: Matrix
    correlation: float
    information: NDArray[np.float64]
    unmoved: float = -1.0
    tracks: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    observations: float = 0.0


def pyramid(grey: Picture, full: tuple[int, int]) -> list[Level]:
    """Levels from fine to coarse of a (h, w) float32 picture, reduced from `full` (height, width)."""
    levels = []
    while True:
        levels.append(Level(even_contrast(grey), normaliser(grey.shape, full)))
        if min(grey.shape) < 2 * _SMALLEST:
            return levels
        half = (-(-grey.shape[0] // 2), -(-grey.shape[1] // 2))
        grey = cv2.resize(cv2.GaussianBlur(grey, (0, 0), 0.8), half[::-1], interpolation=cv2.INTER_AREA)


def even_contrast(grey: Picture) -> Picture:
    """One band of frequencies of a picture over its local contrast; about zero where there is only noise."""
    fine = cv2.GaussianBlur(grey, (0, 0), _INNER)
    band = fine - cv2.GaussianBlur(grey, (0, 0), _OUTER)
    contrast = cv2.sqrt(cv2.GaussianBlur(band * band, (0, 0), _LOCAL))
    floor = 2 * _band_noise(grey) + 0.05 * float(contrast.mean()) + 1e-4
    return band / (contrast + np.float32(floor))


def _band_noise(grey: Picture) -> float:
    """Deviation of white noise in the band, from the median of second differences (Immerkaer's mask)."""
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    deviation = float(np.median(np.abs(cv2.filter2D(grey, -1, mask)))) / 0.6745
    return 0.28 / _INNER * deviation  # a Gaussian of sigma s leaves 1 / (2 sqrt(pi) s) of white noise


def register(first: list[Level], second: list[Level], motion: str, start: Matrix, levels: int | None = None) -> Pair:
    """Find the motion that carries the second frame onto the first.

    Args:
        first: levels of the frame that stays.
        second: levels of the other.
        motion: the group of the motion.
        start: first guess.
        levels: how many of the finer levels to use; None for all.
    """
    found: list[Pair] = []
    matrix = start
    for one, other in reversed(list(zip(first, second, strict=True))[:levels]):
        found.append(_descend(one, other, motion, matrix))
        matrix = found[-1].matrix
    matrix, information = _agree(found, motion)
    moved = correlation(first[0].picture, *warp_level(first[0], second[0], matrix))
    unmoved = correlation(first[0].picture, *warp_level(first[0], second[0], np.eye(3)))
    observations = float(np.square(first[0].picture).sum()) / _SAMPLE
    return Pair(matrix, moved, information, unmoved, track_blocks(first[0], second[0], matrix), observations)


def _agree(found: list[Pair], motion: str) -> tuple[Matrix, NDArray[np.float64]]:
    """The motion that agrees best with those of all levels, and its information.

    Fine levels place detail more precisely, but a difference in blur hurts them most; it is no noise that averages
    out, so a poor fit counts less than its variance says.
    """
    finest = found[-1].matrix
    total, push = np.zeros_like(found[-1].information), np.zeros(len(found[-1].information))
    for pair in found:
        weight = pair.information / (_PERFECT - pair.correlation) ** _DISTRUST
        total += weight
        push += weight @ to_parameters(motion, compose(inverse(finest), pair.matrix))
    step = np.linalg.lstsq(total, push, rcond=1e-12)[0]
    return compose(finest, from_parameters(motion, step)), total


def track_blocks(one: Level, other: Level, matrix: Matrix) -> NDArray[np.float64]:
    """Blocks of the first picture that have detail in both directions, each placed in the second by itself.

    One Gauss-Newton step of a translation a block, from where the motion puts it: enough for the pixel or two that a
    wrong motion or the parallax of a moving camera leaves.

    Returns:
        (B, 4) normalised x, y in the first and in the second frame.
    """
    moved, inside = warp_level(one, other, matrix)
    error = (moved - one.picture) * inside
    gx, gy = ((a + b) * 0.5 * inside for a, b in zip(_gradient(one.picture), _gradient(moved), strict=True))
    shape = tuple(max(1, side // _BLOCK) for side in one.picture.shape)
    xx, xy, yy, ex, ey, whole = (
        cv2.resize(product.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
        for product in (gx * gx, gx * gy, gy * gy, gx * error, gy * error, inside)
    )
    determinant, trace = xx * yy - xy * xy, xx + yy
    weakest = 0.5 * (trace - np.sqrt(np.maximum(trace * trace - 4 * determinant, 0)))
    good = (whole > 0.99) & (weakest > _DETAIL * float(np.median(trace)) + 1e-9)
    dx = (xy * ey - yy * ex)[good] / determinant[good]
    dy = (xy * ex - xx * ey)[good] / determinant[good]
    row, column = np.nonzero(good)
    height, width = one.picture.shape
    centre = np.stack([(column + 0.5) * width / shape[1] - 0.5, (row + 0.5) * height / shape[0] - 0.5], axis=-1)
    found = centre + np.clip(np.stack([dx, dy], axis=-1), -_BLOCK / 4, _BLOCK / 4)
    return np.concatenate([apply(one.scale, centre), apply(matrix @ one.scale, found)], axis=-1)


def best_shift(first: list[Level], second: list[Level]) -> Matrix:
    """The translation at the peak of the phase correlation of the coarsest pictures."""
    one, other = first[-1], second[-1]
    window = cv2.createHanningWindow(one.picture.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(one.picture, other.picture, window)
    return from_parameters("translation", np.array([x * one.scale[0, 0], y * one.scale[1, 1]]))


def _descend(one: Level, other: Level, motion: str, matrix: Matrix) -> Pair:
    """Gauss-Newton with the mean of both gradients (as in efficient second-order minimisation) and Huber weights."""
    basis = _Basis(one, motion)
    gradient = _gradient(one.picture)
    information = np.eye(len(basis.fields))
    for _ in range(_STEPS):
        moved, inside = warp_level(one, other, matrix)
        if inside.mean() < _LEAST_OVERLAP:
            return Pair(matrix, -1.0, information)
        error = moved - one.picture
        weight = _huber(error, inside)
        gx, gy = ((a + b) * 0.5 for a, b in zip(gradient, _gradient(moved), strict=True))
        information, push = basis.normal_equations(gx, gy, error, weight)
        step = np.linalg.lstsq(information, push, rcond=1e-9)[0]
        matrix = compose(matrix, inverse(from_parameters(motion, step)))
        if np.abs(step).max() / one.scale[0, 0] < _STILL:
            break
    moved, inside = warp_level(one, other, matrix)
    return Pair(matrix, correlation(one.picture, moved, inside), information)


def warp_level(one: Level, other: Level, matrix: Matrix) -> tuple[Picture, NDArray[np.bool_]]:
    """The second picture in the pixels of the first, and where it is defined."""
    pixels = compose(np.linalg.inv(other.scale), matrix, one.scale)
    size = one.picture.shape[::-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpPerspective(other.picture, pixels, size, flags=flags)
    whole = np.full(other.picture.shape, 255, np.uint8)
    return moved, cv2.warpPerspective(whole, pixels, size, flags=flags) == 255


def correlation(one: Picture, other: Picture, inside: NDArray[np.bool_]) -> float:
    """Correlation coefficient of two pictures of mean zero where both are defined; -1 where they hardly overlap."""
    if inside.mean() < _LEAST_OVERLAP:
        return -1.0
    a, b = one[inside], other[inside]
    nothing = 1e-3 * len(a)  # energy of pictures without detail, whose rounding must not correlate
    return float(a @ b / np.sqrt((a @ a + nothing) * (b @ b + nothing)))


def _huber(error: Picture, inside: NDArray[np.bool_]) -> Picture:
    size = np.abs(error)
    limit = _HUBER * float(np.median(size[inside][::7])) / 0.6745 + 1e-6
    return np.where(inside, np.float32(limit) / np.maximum(size, np.float32(limit)), np.float32(0))


def _gradient(picture: Picture) -> tuple[Picture, Picture]:
    kernel = np.array([-0.5, 0, 0.5], np.float32)
    line = np.ones(1, np.float32)
    return cv2.sepFilter2D(picture, -1, kernel, line), cv2.sepFilter2D(picture, -1, line, kernel)


class _Basis:
    """The velocity fields of a motion's parameters at the pixels of a level.

    Each is a polynomial of degree 2 at most in x and y, so the sums of Gauss-Newton over all pixels are moments of a
    few pictures: cheap for any number of parameters.
    """

    def __init__(self, level: Level, motion: str) -> None:
        height, width = level.picture.shape
        x = level.scale[0, 0] * np.arange(width) + level.scale[0, 2]
        y = level.scale[1, 1] * np.arange(height) + level.scale[1, 2]
        self.columns = np.vander(x, 5, increasing=True).astype(np.float32)
        self.rows = np.vander(y, 5, increasing=True)
        self.scale = np.float32(level.scale[0, 0]), np.float32(level.scale[1, 1])
        self.fields = np.stack([_field(g) for g in generators(motion)])  # (P, 2, 3, 3)

    def normal_equations(
        self, gx: Picture, gy: Picture, error: Picture, weight: Picture
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """J^T W J and J^T W e for the error e, with gradients in pixels."""
        gx, gy = gx / self.scale[0], gy / self.scale[1]
        wx, wy = weight * gx, weight * gy
        push = np.stack([self._moments(wx * error), self._moments(wy * error)])[:, :3, :3]
        xx, xy, yy = self._moments(wx * gx), self._moments(wx * gy), self._moments(wy * gy)
        index = np.add.outer(np.arange(3), np.arange(3))
        squares = np.array([[xx, xy], [xy, yy]])[:, :, index[:, None, :, None], index[None, :, None, :]]
        information = np.einsum("kaij,abijmn,lbmn->kl", self.fields, squares, self.fields, optimize=True)
        return information, np.einsum("kaij,aij->k", self.fields, push)

    def _moments(self, picture: Picture) -> NDArray[np.float64]:
        """(5, 5) sums of a picture times x^i y^j."""
        return (self.rows.T @ (picture @ self.columns).astype(np.float64)).T


def _field(g: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3, 3) coefficients of x^i y^j in the velocity (u - w x, v - w y) of (u, v, w) = G (x, y, 1)."""
    field = np.zeros((2, 3, 3))
    for axis in range(2):
        field[axis, 1, 0], field[axis, 0, 1], field[axis, 0, 0] = g[axis]
    for axis, (i, j) in enumerate(((1, 0), (0, 1))):
        field[axis, 1 + i, j] -= g[2, 0]
        field[axis, i, 1 + j] -= g[2, 1]
    return field
