"""Every figure of one prediction: depth errors, errors in the focus coordinate, and the honesty of the confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus import metrics
from dualfocus.benchmarks.protocol import Comparison, Protocol
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
    "badpix": "percent with |y - t| > 0.07 (protocols of DFV)",
    "avg_unc": "mean predicted standard deviation over the whole map, padding included, in the protocol's space",
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
    sample: Sample, result: Any, protocol: Protocol | None = None
) -> tuple[dict[str, float], ConfidenceHistogram]:
    """All `COLUMNS` of one prediction, NaN where one has no meaning, and the histogram of its confidence.

    Args:
        sample: the stack with its truth.
        result: a `DepthResult` of that stack, or of the stack as the protocol pads it.
        protocol: whose space, mask and clipping the errors of depth follow; None compares depth as it is.

    Raises:
        ValueError: the result has another size or unit than the stack, or the mask is empty.
    """
    stack = sample.stack
    size = stack.size if protocol is None else protocol.padded_size(stack)
    if result.depth.shape not in (stack.size, size) or result.unit != stack.result_unit:
        raise ValueError(
            f"{sample.name}: the result is {result.depth.shape} in {result.unit!r}, "
            f"the stack {stack.size} in {stack.result_unit!r}"
        )
    part = (slice(stack.size[0]), slice(stack.size[1]))  # the padding is below and to the right
    given, valid = np.asarray(result.depth, np.float64)[part], result.valid[part]
    depth, filled = _fill(stack, given)
    figures = dict.fromkeys(COLUMNS, float("nan"))
    if protocol is None:
        compared = Comparison(depth, np.asarray(sample.truth, np.float64), sample.mask)
    else:
        compared = protocol.compare(sample, depth)
        figures["avg_unc"] = float(np.mean(protocol.carried_std(result.depth, result.std)))
    mask = compared.mask
    figures |= _depth_figures(stack, compared, protocol)
    histogram = ConfidenceHistogram()
    if not mask.any():
        return figures, histogram
    figures |= {"valid": float(np.mean(valid[mask])), "filled": float(np.mean(filled[mask]))}
    at_infinity = np.isposinf(given)  # a place like any other in the focus coordinate of a camera
    coordinate = stack.normalised_coordinate(np.where(at_infinity & stack.is_camera, np.inf, depth))
    true_coordinate = stack.normalised_coordinate(sample.truth)
    inside = mask & (true_coordinate >= -ROUNDING) & (true_coordinate <= 1 + ROUNDING)
    figures["inside"] = float(np.sum(inside) / np.sum(mask))
    if inside.any():
        error = np.abs(np.where(inside, coordinate - true_coordinate, 0))
        confidence = np.asarray(result.confidence, np.float64)[part]
        figures |= _coordinate_figures(error, inside, len(stack))
        if np.isfinite(confidence[inside]).all():  # predictions from files have none
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


def _depth_figures(stack: FocalStack, compared: Comparison, protocol: Protocol | None) -> dict[str, float]:
    """Errors in the protocol's space; ratios and Bump only where depth is a distance from the camera."""
    y, t, mask = compared
    if protocol is not None and protocol.metric_set == "dfv":
        figures = metrics.dfv_metrics(y, t)  # percent, and zeros for an image without truth
        return figures | ({"mae": metrics.mean_absolute_error(y, t, mask)} if mask.any() else {})
    figures = {
        "rmse": metrics.root_mean_square_error(y, t, mask),
        "mae": metrics.mean_absolute_error(y, t, mask),
        "correlation": metrics.correlation(y, t, mask),
    }
    figures["mse"] = figures["rmse"] ** 2
    if stack.is_camera:
        figures |= metrics.depth_metrics(y, t, mask)
        figures["bump"] = metrics.bumpiness(y, np.where(mask, t, 0), mask)
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
