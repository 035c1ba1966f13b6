"""Is the spatial constraint alive? How well the surfaces' gradients fit the true depth, in and out of focus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from dualfocus.losses import sharpness_weights, spatial_variational_loss
from dualfocus.training.objective import Batch, network_input, sample_cells

IN_FOCUS, OUT_OF_FOCUS = 0.4, 0.05  # sharpness weights above and below which a plane counts as either
BASELINES = (1, 2, 4, 8)


class HasSurfaces(Protocol):
    """A network with the spatial constraint."""

    def surface_gradients(self, images: Tensor) -> dict[int, Tensor]:
        """theta_grad(z*_n) by the stride of its level."""
        ...


class SurfaceError(NamedTuple):
    """Errors of theta_grad(z*_n) at one level and baseline, in plane spacings a cell, means over stacks.

    `flat` is what a decoder that always says 0 would have: a constraint that does anything is well below it.
    """

    stride: int
    baseline: int
    in_focus: float
    in_focus_flat: float
    out_of_focus: float
    out_of_focus_flat: float


@torch.no_grad()
def surface_errors(
    network: HasSurfaces, batches: Iterable[Batch], baselines: Sequence[int] = BASELINES
) -> list[SurfaceError]:
    """Measure a network in evaluation mode on stacks with truth.

    Args:
        network: a DualFocus network.
        batches: of the training's validation, sides multiples of 32.
        baselines: in cells, see `dualfocus.losses.spatial_variational_loss`.

    Returns:
        a row for every level and baseline, fine to coarse; none for a network without surfaces.
    """
    found: dict[tuple[int, int], list[tuple[float, float, float, float]]] = {}
    for batch in batches:
        for stride, gradient in network.surface_gradients(network_input(batch)).items():
            for baseline in baselines:
                row = _errors(gradient, batch, stride, baseline)
                if row is not None:
                    found.setdefault((stride, baseline), []).append(row)
    return [SurfaceError(*key, *torch.tensor(rows).mean(dim=0).tolist()) for key, rows in sorted(found.items())]


def _errors(gradient: Tensor, batch: Batch, stride: int, baseline: int) -> tuple[float, float, float, float] | None:
    """In focus, flat there, out of focus, flat there; None where there is nothing to measure."""
    spacings = batch["coordinates"].shape[1] - 1
    truth = sample_cells(batch["truth"], stride) * spacings
    valid = sample_cells(batch["known"], stride) & (truth >= 0) & (truth <= spacings)
    q = sharpness_weights(truth, batch["coordinates"] * spacings)
    errors = []
    for chosen in (q > IN_FOCUS, q < OUT_OF_FOCUS):
        weight = (chosen & valid[:, None]).to(gradient.dtype)
        if not weight.any() or baseline >= min(truth.shape[-2:]):
            return None
        # The loss is a mean over pixels, but a difference counts only where it has both ends. Gradients of one over
        # flat ground count them, one along x and one along y: by half of that, this is a mean over chosen planes.
        share = (
            spatial_variational_loss(torch.ones_like(gradient), torch.zeros_like(truth), weight, valid, baseline) / 2
        )
        if share == 0:
            return None
        for values in (gradient, torch.zeros_like(gradient)):
            errors.append(float(spatial_variational_loss(values, truth, weight, valid, baseline) / share))
    return errors[0], errors[1], errors[2], errors[3]
