"""The all-in-focus image: every detail from the planes in which it is sharp.

The planes are blended scale by scale, in a Laplacian pyramid (Burt and Kolczynski 1993), one plane in memory at a time.
The estimated depth says which planes are candidates at a pixel, the sharpness at this and all finer scales which of
them count there: depth alone is too coarse along edges, and sharpness alone takes noise and the rims of blurred things
for detail.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.pixels import white

_LEVELS = 3
_TILE = 1024  # side in pixels without halo; a multiple of 2^_LEVELS, as is the halo
_HALO = 40  # pixels around a tile that a coefficient of its coarsest level depends on
_MOST_THREADS = 4  # threads, each of which works on a tile, in about 60 MB
_NOISE = 8.0  # grey levels of 255: detail weaker than this says little
_REACH = 4.0  # deviations from the estimated position beyond which a plane is no candidate
_LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)

Map = NDArray[np.float32]


class FocusPosition(NamedTuple):
    """Where pixels are in focus, both (H, W) in plane spacings.

    Attributes:
        plane: fractional plane index.
        spread: deviation of the planes that are candidates.
    """

    plane: Map
    spread: Map


class _Tile(NamedTuple):
    """A box of pixels: with halo (rows, columns) and without."""

    outer: tuple[slice, slice]
    core: tuple[slice, slice]


class _Sums(NamedTuple):
    """Weighted coefficients (h, w, 3) and weights (h, w) of the planes so far, for every level, finest first."""

    total: list[Map]
    weights: list[Map]


def spread(std: NDArray) -> Map:
    """Deviation of the planes that are candidates, from that of the estimate, both in plane spacings."""
    return np.float32(0.5) * np.sqrt(np.square(std, dtype=np.float32) + np.float32(1))


def compose(frames: Callable[[int], NDArray], planes: int, position: FocusPosition, dtype: np.dtype) -> NDArray:
    """Blend the planes at full size, one in memory at a time.

    Args:
        frames: n -> (H, W, 3) full-size plane, planes near to far; called once for each, in order.
        planes: N.
        position: where every pixel is in focus, (H, W).
        dtype: type of the photographs; uint16 stays, everything else becomes uint8.

    Returns:
        (H, W, 3) uint8 or uint16.
    """
    size = position.plane.shape
    levels = min(_LEVELS, max(0, min(size).bit_length() - 3))  # the coarsest level keeps a few pixels
    sizes = [tuple(-(-side >> level) for side in size) for level in range(levels + 1)]
    sums = _Sums([np.zeros((*s, 3), np.float32) for s in sizes], [np.full(s, 1e-12, np.float32) for s in sizes])
    tiles = list(_tiles(*size))
    first, last = (_range(position, tiles, sign) for sign in (-1, 1))
    with ThreadPoolExecutor(min(_MOST_THREADS, cv2.getNumThreads())) as threads:
        for n in range(planes):
            wanted = [tile for tile, begin, end in zip(tiles, first, last, strict=True) if begin <= n <= end]
            list(threads.map(partial(_add_tile, sums, position, frames(n), n), wanted))
    return _collapse(sums, dtype)


def _add_tile(sums: _Sums, position: FocusPosition, frame: NDArray, n: int, tile: _Tile) -> None:
    """Add plane n to the sums in the core of a tile; tiles share no pixel, so that threads need not wait."""
    levels = len(sums.total) - 1
    details, shares = _plane_tile(frame[tile.outer], _prior(position, tile, n), levels)
    for level in range(levels + 1):
        whole, part = _at_level(tile, level)
        share = shares[level][part]
        cv2.accumulateProduct(details[level][part], _three(share), sums.total[level][whole])
        sums.weights[level][whole] += share


def _plane_tile(pixels: NDArray, prior: Map, levels: int) -> tuple[list[Map], list[Map]]:
    """Coefficients (h, w, 3) of every level of a plane, and their weights (h, w), coarsest last.

    The weight of a level is what the finer level found, times the cube of how far its own detail exceeds the noise: the
    finest scales, which the rims of blurred things do not have, decide for the coarser ones as well, and where no scale
    has detail the depth decides.
    """
    image: Map = pixels.astype(np.float32)
    if pixels.dtype != np.uint8:
        image *= np.float32(255 / white(pixels.dtype))
    details, shares = [], []
    for _ in range(levels):
        below: Map = np.asarray(cv2.pyrDown(image), np.float32)
        image -= cv2.pyrUp(below, dstsize=image.shape[1::-1])
        grey = cv2.transform(image, _LUMA)
        detail: Map = np.asarray(cv2.GaussianBlur(cv2.multiply(grey, grey, dst=grey), (5, 5), 1), np.float32)
        detail *= np.float32(1 / _NOISE**2)
        detail += 1
        prior = prior * detail
        prior *= detail
        prior *= detail
        details.append(image)
        shares.append(prior)
        image, prior = below, np.asarray(cv2.pyrDown(prior), np.float32)
    return [*details, image], [*shares, prior]


def _three(values: Map) -> Map:
    """(h, w) -> (h, w, 3): OpenCV has no broadcasting, and NumPy's is slow where the last axis is short."""
    return np.asarray(cv2.merge((values, values, values)), np.float32)


def _divided(total: Map, weights: Map) -> Map:
    """`total`, (h, w, 3), divided by `weights`, (h, w), in place."""
    return np.divide(total, _three(weights), out=total)


def _prior(position: FocusPosition, tile: _Tile, n: int) -> Map:
    """How much of a candidate plane n is, (h, w): a Gaussian that ends at `_REACH`.

    It is computed for every second pixel and interpolated: beside an edge of the depth, which is seldom right to the
    pixel, the planes of both sides are candidates.
    """
    rows, columns = tile.outer
    every = (slice(rows.start, rows.stop, 2), slice(columns.start, columns.stop, 2))
    offset = (position.plane[every] - np.float32(n)) / position.spread[every]
    prior = np.maximum(np.exp(np.float32(-0.5) * offset * offset) - np.float32(np.exp(-0.5 * _REACH**2)), 0)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return np.asarray(cv2.pyrUp(prior, dstsize=size), np.float32)


def _range(position: FocusPosition, tiles: list[_Tile], sign: int) -> list[float]:
    """First (sign -1) or last (1) plane that is a candidate in each tile."""
    ends = (sign * position.plane[tile.outer] + _REACH * position.spread[tile.outer] for tile in tiles)
    return [sign * float(end.max()) for end in ends]


def _tiles(height: int, width: int) -> Iterator[_Tile]:
    """Tiles that cover the image."""
    for top, left in itertools.product(range(0, height, _TILE), range(0, width, _TILE)):
        bottom, right = min(top + _TILE, height), min(left + _TILE, width)
        outer = (
            slice(max(0, top - _HALO), min(height, bottom + _HALO)),
            slice(max(0, left - _HALO), min(width, right + _HALO)),
        )
        yield _Tile(outer, (slice(top, bottom), slice(left, right)))


def _at_level(tile: _Tile, level: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The core of a tile at a level of the pyramid: in the whole map, and in the tile's own."""
    whole = tuple(slice(s.start >> level, -(-s.stop >> level)) for s in tile.core)
    starts = [s.start >> level for s in tile.outer]
    part = tuple(slice(s.start - start, s.stop - start) for s, start in zip(whole, starts, strict=True))
    return (whole[0], whole[1]), (part[0], part[1])


def _collapse(sums: _Sums, dtype: np.dtype) -> NDArray:
    """The image of a pyramid of weighted sums, which are used up."""
    total, weights = sums
    image = _divided(total.pop(), weights.pop())
    while total:
        finer = _divided(total.pop(), weights.pop())
        finer += cv2.pyrUp(image, dstsize=finer.shape[1::-1])
        image = finer
    if dtype == np.uint16:
        image *= np.float32(65535 / 255)
    np.clip(image, 0, 65535 if dtype == np.uint16 else 255, out=image)
    return np.rint(image, out=image).astype(np.uint16 if dtype == np.uint16 else np.uint8)
