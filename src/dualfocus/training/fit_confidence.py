"""Fitting the map from the confidence that a network reports to the share of right answers, on held-out stacks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from scipy.optimize import brentq, isotonic_regression, minimize
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dualfocus.inference.confidence_map import plane_group, shifted
from dualfocus.inference.focus_maps import Size
from dualfocus.inference.runners import runner_of
from dualfocus.inference.windows import LONGEST
from dualfocus.metrics import is_right
from dualfocus.models.record import ConfidenceMap
from dualfocus.training.objective import Batch, network_input, to_device

PLANE_STARTS = [2, 3, 4, 6, 9]  # least N of each range that has a shift of its own

_BINS = 200
_KNOTS = 41
_CENTRES = (np.arange(_BINS) + 0.5) / _BINS
_MOST_SHIFT = 8.0  # of the log-odds: carries a confidence of 3 % to 99 %, and those of 0.1 % to 75 %


def fit_confidence_map(network: nn.Module, batches: Iterable[Batch], device: torch.device) -> ConfidenceMap:
    """The map of "error below half a plane spacing" on the network's confidence.

    Args:
        network: the network, in evaluation mode.
        batches: held-out stacks; pixels count where the truth is known and inside the focus range.
        device: device of the network.
    """
    count, right = np.zeros((2, len(PLANE_STARTS), _BINS))
    for planes, said, hit in _answers(network, batches, device):
        group = plane_group(planes, PLANE_STARTS)
        count[group] += np.bincount(_bins(said), minlength=_BINS)
        right[group] += np.bincount(_bins(said), weights=hit, minlength=_BINS)
    return fit_shifts(count, right)


def with_range(
    fitted: ConfidenceMap, start: int, network: nn.Module, batches: Iterable[Batch], device: torch.device
) -> ConfidenceMap:
    """A map with one more range of N, under whose scale and shift the right and wrong answers are likeliest.

    Args:
        fitted: the map, which stays as it is for fewer planes.
        start: least N of the range, above those of all others.
        network: see `fit_confidence_map`.
        batches: stacks of at least `start` planes; those with fewer are left out.
        device: device of the network.

    Raises:
        ValueError: a map without ranges, or with one at or above `start`; no stack of so many planes.
    """
    if max(fitted.get("planes", [start])) >= start:
        raise ValueError(f"a range from {start} planes on needs a map with ranges, all of fewer planes")
    answers = [(said, hit) for planes, said, hit in _answers(network, batches, device) if planes >= start]
    if not answers:
        raise ValueError(f"no stack of {start} or more planes to fit the confidence on")
    said, hit = (np.concatenate(values) for values in zip(*answers, strict=True))

    def surprise(step: np.ndarray) -> float:
        measured = np.interp(shifted(said, step[0], step[1]), fitted["said"], fitted["measured"])
        return float(-np.log(np.clip(np.where(hit, measured, 1 - measured), 1e-3, None)).mean())

    shift, scale = minimize(surprise, [1.0, 1.0], method="Powell", bounds=[(-5, 5), (0.2, 5)]).x.tolist()
    return fitted | {
        "planes": [*fitted["planes"], start],
        "shift": [*fitted["shift"], round(shift, 3)],
        "scale": [*fitted.get("scale", [1.0] * len(fitted["planes"])), round(scale, 3)],
    }


@torch.no_grad()
def _answers(
    network: nn.Module, batches: Iterable[Batch], device: torch.device
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """N of each batch, and for its pixels that count the confidence and whether the error is below half a spacing."""
    network.eval()
    for batch in batches:
        planes = batch["coordinates"].shape[1]
        coordinate, confidence = _estimate(network, to_device(batch, device))
        truth = batch["truth"].numpy()
        inside = batch["known"].numpy() & (truth >= 0) & (truth <= 1)
        yield planes, confidence[inside], is_right(np.abs(coordinate - truth), planes)[inside]


def _estimate(network: nn.Module, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Coordinate and confidence, (B, H, W) each, put together from parts for stacks too long for the network."""
    images, coordinates = network_input(batch), batch["coordinates"]
    if len(coordinates[0]) <= LONGEST:
        output = network(images, coordinates)
        return output.coordinate.float().cpu().numpy(), output.confidence.float().cpu().numpy()
    found = []
    for stack, u in zip(images, coordinates.double().cpu().numpy(), strict=True):

        def read(n: int, size: Size, stack: Tensor = stack) -> Tensor:
            return stack[n] if stack.shape[-2:] == size else interpolate(stack[n : n + 1], size, mode="area")[0]

        found.append(runner_of(network).estimate(read, u, (stack.shape[-2], stack.shape[-1])))
    return np.stack([maps.coordinate for maps in found]), np.stack([maps.confidence for maps in found])


def fit_shifts(count: np.ndarray, right: np.ndarray) -> ConfidenceMap:
    """The map from pixels and right answers, (groups of N, equal bins of confidence) each.

    A group's shift makes its mean confidence its share of right answers; a group without pixels has none.
    """
    shift = [_shift(*rows) if rows[0].sum() else 0.0 for rows in zip(count, right, strict=True)]
    moved = [_bins(shifted(_CENTRES, value)) for value in shift]
    pooled = [
        np.sum([np.bincount(m, weights=r, minlength=_BINS) for m, r in zip(moved, rows, strict=True)], axis=0)
        for rows in (count, right)
    ]
    return ConfidenceMap(**smooth_map(*pooled), planes=PLANE_STARTS, shift=[round(value, 3) for value in shift])


def smooth_map(count: np.ndarray, right: np.ndarray) -> ConfidenceMap:
    """The increasing curve from pixels and right answers in equal bins of confidence, both of any length.

    Isotonic regression; a trace of the identity keeps it strictly increasing, so that pixels keep their order.
    """
    centres = (np.arange(len(count)) + 0.5) / len(count)
    share = np.where(count > 0, right / np.maximum(count, 1), centres)
    fitted = isotonic_regression(share, weights=count + 1e-3).x
    knots = np.linspace(0, 1, _KNOTS)
    measured = 0.98 * np.interp(knots, centres, fitted) + 0.02 * knots
    return ConfidenceMap(said=[round(k, 4) for k in knots.tolist()], measured=[round(m, 5) for m in measured.tolist()])


def _bins(confidence: np.ndarray) -> np.ndarray:
    return np.minimum((confidence * _BINS).astype(int), _BINS - 1)


def _shift(count: np.ndarray, right: np.ndarray) -> float:
    """The shift of the log-odds at which the mean confidence of these pixels is their share of right answers.

    The mean grows with the shift. Where nearly all answers are right, or none, it may not get there: the most it may.
    """

    def gap(shift: float) -> float:
        return float((shifted(_CENTRES, shift) * count).sum() - right.sum()) / float(count.sum())

    if gap(_MOST_SHIFT) <= 0 or gap(-_MOST_SHIFT) >= 0:
        return math.copysign(_MOST_SHIFT, -gap(0.0))
    return float(brentq(gap, -_MOST_SHIFT, _MOST_SHIFT, xtol=1e-6))
