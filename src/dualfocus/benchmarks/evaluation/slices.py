"""Where the errors are: pixels grouped by texture, nearness of a depth edge, blur, and place in the focus range.

The groups depend on the sample alone, never on the prediction, so that models are compared on the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.benchmarks.evaluation.texture import TEXTURE_WINDOW, texture_strength
from dualfocus.datasets import Sample
from dualfocus.metrics import is_right
from dualfocus.optics import circle_of_confusion_px, pixel_pitch
from dualfocus.stack import FocalStack
from dualfocus.stack.distances import PER_METRE

EDGE_STEP = 0.05  # share of the focus range between two neighbouring pixels, from which they are an edge

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """One way to group pixels.

    Attributes:
        what: the quantity, with its unit.
        bounds: increasing; group k holds bounds[k - 1] <= quantity < bounds[k], the first and the last are open.
    """

    what: str
    bounds: tuple[float, ...]

    @property
    def groups(self) -> list[str]:
        """What each group holds, in words."""
        low, high = f"below {self.bounds[0]:g}", f"{self.bounds[-1]:g} and more"
        between = [f"{a:g} to {b:g}" for a, b in zip(self.bounds, self.bounds[1:], strict=False)]
        return [low, *between, high]


SLICES: dict[str, Slice] = {
    "texture": Slice("texture strength, grey levels of 255 per pixel", (0.5, 1, 2, 4, 8)),
    "edge": Slice("distance to the nearest depth edge in pixels", (2, 4, 8, 16, 32)),
    "blur": Slice("circle of confusion in the plane that is sharpest there, pixels", (0.5, 1, 2, 4, 8)),
    "blur_change": Slice("change of the circle of confusion over the stack, pixels", (1, 2, 4, 8, 16)),
    "plane_distance": Slice("distance to the nearest plane in mean plane spacings", (0.1, 0.2, 0.3, 0.4)),
    "place": Slice("place in the focus range, 0 the nearest plane and 1 the farthest", (0.2, 0.4, 0.6, 0.8)),
}
_STARTS = np.cumsum([0, *(len(s.groups) for s in SLICES.values())])
COLUMNS = ("pixels", "plane_mae", "range_rmse", "within_half_plane", "confidence")


def slice_groups(sample: Sample, true_coordinate: Array, inside: Mask) -> dict[str, NDArray[np.intp]]:
    """The group of every counted pixel in each slice that the sample has.

    Args:
        sample: the stack with its truth.
        true_coordinate: (H, W) truth in the normalised focus coordinate, finite where counted.
        inside: (H, W) bool, the pixels counted.

    Returns:
        slice name to (counted pixels,) group numbers. `blur` and `blur_change` need a known camera, and stand in for
        `plane_distance`.
    """
    values = {
        "texture": _texture(sample),
        "edge": edge_distance(true_coordinate, sample.mask),
        "place": true_coordinate,
    }
    blur = _blur(sample.stack, sample.truth, inside)
    if blur is None:
        values["plane_distance"] = _plane_distance(sample.stack, true_coordinate)
    else:
        values["blur"], values["blur_change"] = blur
    return {name: np.searchsorted(SLICES[name].bounds, values[name][inside], side="right") for name in values}


class SliceSums:
    """Sums over the pixels of each group of each slice.

    Attributes:
        sums: (groups of all slices, 5): pixels, error in plane spacings, squared error in focus ranges, errors below
            half a spacing, confidence.
    """

    def __init__(self, sums: Array | None = None) -> None:
        self.sums = np.zeros((_STARTS[-1], len(COLUMNS))) if sums is None else sums

    def add(self, groups: dict[str, NDArray[np.intp]], error: Array, confidence: Array, planes: int) -> None:
        """Count pixels: `slice_groups`, errors in focus ranges and confidence, (pixels,) each, and the plane count."""
        right = is_right(error, planes).astype(np.float64)
        weights = (np.ones_like(error), error * (planes - 1), error**2, right, confidence)
        for start, (name, rule) in zip(_STARTS, SLICES.items(), strict=False):
            if name in groups:
                rows = slice(start, start + len(rule.groups))
                size = len(rule.groups)
                self.sums[rows] += np.stack([np.bincount(groups[name], w, minlength=size) for w in weights], axis=1)

    def merge(self, other: SliceSums) -> None:
        """Add the pixels of another image."""
        self.sums += other.sums

    def table(self) -> dict[str, list[dict[str, Any]]]:
        """Slice to rows of `group`, `pixels`, and the means over them: the `COLUMNS`; only slices that have pixels."""
        found = {}
        for start, (name, rule) in zip(_STARTS, SLICES.items(), strict=False):
            rows = self.sums[start : start + len(rule.groups)]
            if rows[:, 0].any():
                found[name] = [_row(group, row) for group, row in zip(rule.groups, rows, strict=True)]
        return found

    def save(self, path: Path) -> None:
        """Write the sums as .npy."""
        with path.open("wb") as file:
            np.save(file, self.sums)

    @classmethod
    def load(cls, path: Path) -> SliceSums:
        """Read what `save` wrote (ValueError when it is something else)."""
        sums = np.load(path, allow_pickle=False)
        if sums.shape != cls().sums.shape:
            raise ValueError(f"sums of shape {sums.shape}")
        return cls(sums)


def edge_distance(true_coordinate: Array, known: Mask) -> Array:
    """Distance of every pixel to the nearest depth edge in pixels; infinite in a map without any.

    An edge lies on both sides of a step of more than 5 % of the focus range between neighbours whose truth is known.

    Args:
        true_coordinate: (H, W) truth in the normalised focus coordinate.
        known: (H, W) bool.
    """
    edge = np.zeros(known.shape, bool)
    for later, earlier in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        both = known[later] & known[earlier]
        step = np.zeros(both.shape)
        np.subtract(true_coordinate[later], true_coordinate[earlier], out=step, where=both)
        edge[later] |= np.abs(step) > EDGE_STEP
        edge[earlier] |= np.abs(step) > EDGE_STEP
    if not edge.any():
        return np.full(known.shape, np.inf)
    return cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)


def _texture(sample: Sample) -> Array:
    """Texture strength of the true all-in-focus image; without one, of whichever plane has most at a pixel."""
    if sample.all_in_focus is not None:
        return texture_strength(sample.all_in_focus, TEXTURE_WINDOW)
    strongest = np.zeros(sample.stack.size)
    for plane in sample.stack:
        np.maximum(strongest, texture_strength(plane, TEXTURE_WINDOW), out=strongest)
    return strongest


def _blur(stack: FocalStack, truth: NDArray[Any], inside: Mask) -> tuple[Array, Array] | None:
    """Circle of confusion of the nearest plane and its change over the stack, (H, W) in pixels; None without camera."""
    camera = stack.camera
    if camera is None or not stack.is_camera:
        return None
    focal_length, f_number, width = camera.focal_length_mm, camera.f_number, camera.sensor_width_mm
    if focal_length is None or f_number is None or width is None:
        return None
    per_metre = PER_METRE[stack.result_unit]
    depth = np.where(inside, truth, 1).astype(np.float64) / per_metre
    distances = stack.depth_from_coordinate(stack.coordinates) / per_metre
    pitch = pixel_pitch(width / 1000, max(stack.size))
    blur = [circle_of_confusion_px(depth, s, focal_length / 1000, f_number, pitch, breathing=False) for s in distances]
    least = np.min(blur, axis=0)
    return least, np.max(blur, axis=0) - least


def _plane_distance(stack: FocalStack, true_coordinate: Array) -> Array:
    planes = stack.normalised_coordinate(stack.depth_from_coordinate(stack.coordinates))
    nearest = np.min([np.abs(true_coordinate - plane) for plane in planes], axis=0)
    return nearest * (len(stack) - 1)


def _row(group: str, sums: Array) -> dict[str, Any]:
    pixels, *totals = sums.tolist()
    error, squared, within, confidence = (total / pixels if pixels else float("nan") for total in totals)
    means = (pixels, error, squared**0.5, within, confidence)
    return {"group": group, **dict(zip(COLUMNS, means, strict=True))}
