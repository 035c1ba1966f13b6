"""Every figure of one prediction: depth errors, errors in the focus coordinate, and the honesty of the confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus import metrics
from dualfocus.benchmarks.reliability import ConfidenceHistogram
from dualfocus.datasets import Sample
from dualfocus.stack import FocalStack

TEXTURE_WINDOW = 9
ROUNDING = 1e-5  # what float32 depth may lose at the ends of the focus range
FLAT_WINDOW = 15
FLAT_LEVELS = 0.5  # mean gradient in grey levels of 255 per pixel: below it 8-bit pixels hardly change

COLUMNS: dict[str, str] = {
    "rmse": "root mean square error of depth",
    "mae": "mean absolute error of depth",
    "abs_rel": "mean |y - t| / t",
    "sq_rel": "mean (y - t)^2 / t",
    "mse": "mean square error of depth",
    "log_rms": "root mean square of ln y - ln t",
    "delta1": "fraction with max(y/t, t/y) < 1.25",
    "delta2": "fraction below 1.25^2",
    "delta3": "fraction below 1.25^3",
    "bump": "Bumpiness of the depth error, as DFV counts it",
    "correlation": "Pearson correlation of depth",
    "range_rmse": "RMSE in the focus coordinate / focus range, truth inside the focus range",
    "range_mae": "mean absolute error, likewise",
    "range_rmse_textured": "range_rmse on the textured half (texture strength above the median of the scene)",
    "plane_mae": "mean absolute error in mean plane spacings of the focus coordinate",
    "within_half_plane": "fraction with an error below half a mean plane spacing",
    "inside": "fraction of pixels with truth inside the focus range",
    "confidence": "mean confidence where the truth is inside the focus range",
    "confidence_textured": "mean confidence on the textured half",
    "confidence_flat": "mean confidence on flat areas (mean gradient below half a grey level in 15 x 15)",
    "flat": "fraction of flat areas among pixels inside the focus range",
    "valid": "fraction of measured pixels that the model calls valid (invalid ones are measured all the same)",
    "filled": "fraction of measured pixels without a finite prediction",
}


def measure(
    sample: Sample, result: Any, clip: tuple[float, float] | None = None
) -> tuple[dict[str, float], ConfidenceHistogram]:
    """All `COLUMNS` of one prediction, NaN where one has no meaning, and the histogram of its confidence.

    Args:
        sample: the stack with its truth.
        result: a `DepthResult` of that stack.
        clip: least and most depth, to which prediction and truth are clipped for the errors of depth.

    Raises:
        ValueError: the result has another size or unit than the stack, or the mask is empty.
    """
    stack, mask = sample.stack, sample.mask
    if result.depth.shape != stack.size or result.unit != stack.result_unit:
        raise ValueError(
            f"{sample.name}: the result is {result.depth.shape} in {result.unit!r}, "
            f"the stack {stack.size} in {stack.result_unit!r}"
        )
    depth, filled = _fill(stack, np.asarray(result.depth, np.float64))
    figures = dict.fromkeys(COLUMNS, float("nan"))
    compared = (depth, sample.truth) if clip is None else (np.clip(depth, *clip), np.clip(sample.truth, *clip))
    figures |= _depth_figures(stack, *compared, mask)
    figures |= {"valid": float(np.mean(result.valid[mask])), "filled": float(np.mean(filled[mask]))}
    at_infinity = np.isposinf(result.depth)  # a place like any other in the focus coordinate of a camera
    coordinate = stack.normalised_coordinate(np.where(at_infinity & stack.is_camera, np.inf, depth))
    true_coordinate = stack.normalised_coordinate(sample.truth)
    inside = mask & (true_coordinate >= -ROUNDING) & (true_coordinate <= 1 + ROUNDING)
    figures["inside"] = float(np.sum(inside) / np.sum(mask))
    histogram = ConfidenceHistogram()
    if inside.any():
        error = np.abs(np.where(inside, coordinate - true_coordinate, 0))
        confidence = np.asarray(result.confidence, np.float64)
        figures |= _coordinate_figures(error, inside, len(stack))
        histogram.add(confidence[inside], error[inside], error[inside] < 0.5 / (len(stack) - 1))
        figures["confidence"] = float(np.mean(confidence[inside]))
        if sample.all_in_focus is not None:
            figures |= _texture_figures(error, confidence, inside, sample.all_in_focus)
    return figures, histogram


def texture_strength(image: NDArray[Any], window: int) -> NDArray[np.float64]:
    """Mean gradient magnitude of the grey image over a square window, in grey levels of 255 per pixel.

    Args:
        image: (H, W, 3) or (H, W), integer or float in [0, 1].
        window: odd side of the window in pixels.
    """
    scale = 255 / np.iinfo(image.dtype).max if image.dtype.kind == "u" else 255
    grey = image.astype(np.float64) * scale
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    return _box_mean(np.hypot(*np.gradient(grey)), window)


def _fill(stack: FocalStack, depth: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Predictions that cannot be measured take the farthest finite plane; a model may not gain by leaving them out."""
    missing = ~np.isfinite(depth)
    if stack.is_camera:
        missing |= depth <= 0
    planes = stack.depth_from_coordinate(stack.coordinates)
    return np.where(missing, planes[np.isfinite(planes)].max(), depth), missing


def _depth_figures(
    stack: FocalStack, depth: NDArray[np.float64], truth: NDArray[Any], mask: NDArray[np.bool_]
) -> dict[str, float]:
    """Errors of depth in the result unit; ratios and Bump only where depth is a distance from the camera."""
    figures = {
        "rmse": metrics.root_mean_square_error(depth, truth, mask),
        "mae": metrics.mean_absolute_error(depth, truth, mask),
        "correlation": metrics.correlation(depth, truth, mask),
    }
    figures["mse"] = figures["rmse"] ** 2
    if stack.is_camera:
        figures |= metrics.depth_metrics(depth, truth, mask)
        figures["bump"] = metrics.bumpiness(depth, np.where(mask, truth, 0), mask)
    return figures


def _coordinate_figures(error: NDArray[np.float64], inside: NDArray[np.bool_], planes: int) -> dict[str, float]:
    e = error[inside]
    return {
        "range_rmse": float(np.sqrt(np.mean(e**2))),
        "range_mae": float(np.mean(e)),
        "plane_mae": float(np.mean(e) * (planes - 1)),
        "within_half_plane": float(np.mean(e < 0.5 / (planes - 1))),
    }


def _texture_figures(
    error: NDArray[np.float64], confidence: NDArray[np.float64], inside: NDArray[np.bool_], image: NDArray[Any]
) -> dict[str, float]:
    strength = texture_strength(image, TEXTURE_WINDOW)
    textured = inside & (strength > np.median(strength))
    flat = inside & (texture_strength(image, FLAT_WINDOW) < FLAT_LEVELS)
    figures = {"flat": float(np.sum(flat) / np.sum(inside))}
    if textured.any():
        figures["range_rmse_textured"] = float(np.sqrt(np.mean(error[textured] ** 2)))
        figures["confidence_textured"] = float(np.mean(confidence[textured]))
    if flat.any():
        figures["confidence_flat"] = float(np.mean(confidence[flat]))
    return figures


def _box_mean(image: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean over a window x window square, borders mirrored."""
    half = window // 2
    sums = np.pad(np.pad(image, half, mode="symmetric").cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    total = sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]
    return total / window**2
