"""The map from the confidence a network says to the share of right answers that was measured on held-out stacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import nn

from dualfocus.training.objective import Batch, network_input, to_device

_BINS = 200
_KNOTS = 41


class ConfidenceMap(TypedDict):
    """A piecewise linear, increasing map: ``measured`` at the points ``said``."""

    said: list[float]
    measured: list[float]


@torch.no_grad()
def fit_confidence_map(network: nn.Module, batches: Iterable[Batch], device: torch.device) -> ConfidenceMap:
    """Isotonic regression of "error below half a plane spacing" on the network's confidence.

    Args:
        network: in evaluation mode.
        batches: held-out stacks; pixels count where the truth is known and inside the focus range.
        device: of the network.
    """
    network.eval()
    count, right = np.zeros(_BINS), np.zeros(_BINS)
    for batch in batches:
        batch = to_device(batch, device)
        output = network(network_input(batch), batch["coordinates"])
        half = 0.5 / (batch["coordinates"].shape[1] - 1)
        inside = batch["known"] & (batch["truth"] >= 0) & (batch["truth"] <= 1)
        hit = ((output.coordinate - batch["truth"]).abs() < half)[inside].cpu().numpy()
        said = output.confidence[inside].float().cpu().numpy()
        place = np.minimum((said * _BINS).astype(int), _BINS - 1)
        count += np.bincount(place, minlength=_BINS)
        right += np.bincount(place, weights=hit, minlength=_BINS)
    return smooth_map(count, right)


def smooth_map(count: np.ndarray, right: np.ndarray) -> ConfidenceMap:
    """The map from pixels and right answers in equal bins of confidence, both of any length.

    A trace of the identity keeps it strictly increasing, so that the order of pixels never changes.
    """
    centres = (np.arange(len(count)) + 0.5) / len(count)
    share = np.where(count > 0, right / np.maximum(count, 1), centres)
    fitted = isotonic_regression(share, weights=count + 1e-3).x
    knots = np.linspace(0, 1, _KNOTS)
    measured = 0.98 * np.interp(knots, centres, fitted) + 0.02 * knots
    return ConfidenceMap(said=[round(k, 4) for k in knots.tolist()], measured=[round(m, 5) for m in measured.tolist()])
