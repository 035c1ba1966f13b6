"""Every figure of one prediction: depth errors, errors in the focus coordinate, and the honesty of the confidence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dualfocus import metrics
from dualfocus.benchmarks.evaluation.reliability import ConfidenceHistogram
from dualfocus.benchmarks.evaluation.slices import SliceSums, slice_groups
from dualfocus.benchmarks.evaluation.texture import TEXTURE_WINDOW, texture_strength
from dualfocus.benchmarks.protocols.protocol import BenchmarkProtocol, ComparedMaps
from dualfocus.datasets import Sample
from dualfocus.outputs import DepthResult
from dualfocus.stack import FocalStack

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
    "log10": "mean |log10 y - log10 t|",
    "silog": "root of mean g^2 - (mean g)^2 / 2, g = ln y - ln t",
    "d1_05": "fraction with max(y/t, t/y) < 1.05",
    "d1_15": "fraction below 1.15",
    "delta1": "fraction below 1.25",
    "delta2": "fraction below 1.25^2",
    "delta3": "fraction below 1.25^3",
    "boundary_f1": "scale-invariant boundary F1 of Depth Pro, 0 to 1",
    "bump": "Bumpiness of the depth error, as DFV counts it",
    "badpix": "fraction with |y - t| > 0.07 (protocols of DFV and of signed disparity)",
    "avg_unc": "mean predicted standard deviation over the whole map, padding included",
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
    "ause": "area under the sparsification error of the confidence / mean error; 0 is the best order",
    "valid": "fraction of measured pixels that the model calls valid (invalid ones are measured all the same)",
    "filled": "fraction of measured pixels without a finite prediction",
}


class Measured(NamedTuple):
    """What is kept of one prediction: the `COLUMNS`, NaN where one has no meaning, and sums to pool over images."""

    figures: dict[str, float]
    histogram: ConfidenceHistogram
    slices: SliceSums


class Yardstick:
    """One sample under one protocol: what depends on the truth alone is worked out once for all models.

    Args:
        sample: the stack with its truth.
        protocol: whose space, mask and clipping the errors of depth follow; None compares depth as it is.
    """

    def __init__(self, sample: Sample, protocol: BenchmarkProtocol | None = None) -> None:
        self.sample, self.protocol = sample, protocol
        stack, truth = sample.stack, np.asarray(sample.truth, np.float64)
        self.mask = self._compare(np.where(sample.mask, truth, 1)).mask
        self.true_coordinate = stack.normalised_coordinate(truth)
        self.inside = self.mask & (self.true_coordinate >= -ROUNDING) & (self.true_coordinate <= 1 + ROUNDING)
        self.groups = slice_groups(sample, self.true_coordinate, self.inside)
        self.textured: NDArray[np.bool_] | None = None
        if sample.all_in_focus is not None:
            strength = texture_strength(sample.all_in_focus, TEXTURE_WINDOW)
            self.textured = self.inside & (strength > np.median(strength))
            self.flat = self.inside & (texture_strength(sample.all_in_focus, FLAT_WINDOW) < FLAT_LEVELS)

    def measure(self, result: DepthResult) -> Measured:
        """All figures of one prediction.

        Args:
            result: the prediction for the sample's stack, or for the stack as the protocol pads it.

        Raises:
            ValueError: the result has another size or unit than the stack.
        """
        stack = self.sample.stack
        part = self._part(result)
        given, valid = np.asarray(result.depth, np.float64)[part], result.valid[part]
        depth, filled = fill(stack, given)
        figures = dict.fromkeys(COLUMNS, float("nan"))
        figures |= _depth_figures(self.sample, self._compare(depth), self.protocol)
        figures["avg_unc"] = self._mean_std(result)
        histogram, slices = ConfidenceHistogram(), SliceSums()
        if self.mask.any():
            figures["inside"] = float(np.sum(self.inside) / np.sum(self.mask))
            figures |= {"valid": float(np.mean(valid[self.mask])), "filled": float(np.mean(filled[self.mask]))}
        if self.inside.any():
            error = self.coordinate_error(given)
            confidence = np.asarray(result.confidence, np.float64)[part]
            figures |= _coordinate_figures(error[self.inside], len(stack))
            figures |= self._texture_figures(error, confidence)
            figures["confidence"] = float(np.mean(confidence[self.inside]))
            e, c = error[self.inside], confidence[self.inside]
            slices.add(self.groups, e, c, len(stack))
            if np.isfinite(c).all():  # predictions from files have none
                histogram.add(c, e, metrics.is_right(e, len(stack)))
                figures["ause"] = metrics.sparsification_error(c, e)
        return Measured(figures, histogram, slices)

    def coordinate_error(self, depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """(H, W) absolute error in focus ranges where the truth is inside the focus range, 0 elsewhere.

        Args:
            depth: (H, W) as predicted; what is missing is filled.
        """
        stack = self.sample.stack
        at_infinity = np.isposinf(depth)  # a place like any other in the focus coordinate of a camera
        filled, _ = fill(stack, depth)
        coordinate = stack.normalised_coordinate(np.where(at_infinity & stack.is_camera, np.inf, filled))
        error = np.zeros(stack.size)
        return np.abs(np.subtract(coordinate, self.true_coordinate, out=error, where=self.inside))

    def _compare(self, depth: NDArray[np.float64]) -> ComparedMaps:
        if self.protocol is None:
            return ComparedMaps(depth, np.asarray(self.sample.truth, np.float64), self.sample.mask)
        return self.protocol.compare(self.sample, depth)

    def _part(self, result: DepthResult) -> tuple[slice, slice]:
        """The pixels of the result that are the sample's; a padded one has more below and to the right."""
        stack = self.sample.stack
        padded = stack.size if self.protocol is None else self.protocol.padded_size(stack)
        if result.depth.shape not in (stack.size, padded) or result.unit != stack.result_unit:
            raise ValueError(
                f"{self.sample.name}: the result is {result.depth.shape} in {result.unit!r}, "
                f"the stack {stack.size} in {stack.result_unit!r}"
            )
        return slice(stack.size[0]), slice(stack.size[1])

    def _mean_std(self, result: DepthResult) -> float:
        """DFV's average uncertainty, in the protocol's space."""
        std = result.std if self.protocol is None else self.protocol.carried_std(result.depth, result.std)
        return float(np.mean(std))

    def _texture_figures(self, error: NDArray[np.float64], confidence: NDArray[np.float64]) -> dict[str, float]:
        if self.textured is None:
            return {}
        figures = {"flat": float(np.sum(self.flat) / np.sum(self.inside))}
        if self.textured.any():
            figures["range_rmse_textured"] = float(np.sqrt(np.mean(error[self.textured] ** 2)))
            figures["confidence_textured"] = float(np.mean(confidence[self.textured]))
        if self.flat.any():
            figures["confidence_flat"] = float(np.mean(confidence[self.flat]))
        return figures


def fill(stack: FocalStack, depth: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Predictions that cannot be measured take the farthest finite plane; a model may not gain by leaving them out."""
    missing = ~np.isfinite(depth)
    if stack.is_camera:
        missing |= depth <= 0
    planes = stack.depth_from_coordinate(stack.coordinates)
    return np.where(missing, planes[np.isfinite(planes)].max(), depth), missing


def _depth_figures(sample: Sample, compared: ComparedMaps, protocol: BenchmarkProtocol | None) -> dict[str, float]:
    """Errors in the protocol's space; Bump and, unless values have a sign, ratios where depth is a camera's distance.

    Where pixels have weights there are weighted errors alone. An image without a pixel that counts has no figure, but
    zeros in DFV's protocols, and so enters their means.
    """
    y, t, mask = compared
    stack, weight = sample.stack, sample.weight
    metric_set = "masked" if protocol is None else protocol.metric_set
    figures: dict[str, float] = {}
    if mask.any():
        figures["rmse"] = metrics.root_mean_square_error(y, t, mask, weight)
        figures["mae"] = metrics.mean_absolute_error(y, t, mask, weight)
        figures["mse"] = figures["rmse"] ** 2
        if weight is not None:
            return figures
        figures["correlation"] = metrics.correlation(y, t, mask)
        if stack.is_camera:
            figures["bump"] = metrics.bumpiness(y, np.where(mask, t, 0), mask)
        if metric_set == "signed":
            figures["badpix"] = metrics.bad_pixels(y, t, mask)
        elif stack.is_camera:
            figures |= metrics.fossa_metrics(y, t, mask)
    if metric_set == "dfv":
        figures |= {name: value / _scale(name) for name, value in metrics.dfv_metrics(y, t).items()}
    return figures


def _scale(name: str) -> int:
    """DFV's percents are kept as fractions, and shown as percent by its protocols."""
    return 100 if name == "badpix" or name.startswith("delta") else 1


def _coordinate_figures(error: NDArray[np.float64], planes: int) -> dict[str, float]:
    return {
        "range_rmse": float(np.sqrt(np.mean(error**2))),
        "range_mae": float(np.mean(error)),
        "plane_mae": float(np.mean(error) * (planes - 1)),
        "within_half_plane": float(np.mean(metrics.is_right(error, planes))),
    }
