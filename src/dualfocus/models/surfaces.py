"""Surfaces z* of every network: from gradient fields to what the fusion and theta_grad read, by the ablation switch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor

# The ablation switch of the spatial constraint. no_loss: the network is unchanged, the trainer leaves L_sv out;
# no_projection: the gradient field is fused as it is; off: no gradient field and no surfaces, V* alone.
SpatialMode = Literal["full", "no_loss", "no_projection", "off"]
SPATIAL_MODES: tuple[str, ...] = get_args(SpatialMode)
Projection = Callable[[Tensor], Tensor]  # gradient fields, (M, C2, 2, h, w), to surfaces, (M, C2, h, w)


def check_spatial(mode: str) -> None:
    """Refuse an unknown mode of the spatial constraint (ValueError naming those that are known)."""
    if mode not in SPATIAL_MODES:
        raise ValueError(f"spatial: {mode!r} is not one of {', '.join(SPATIAL_MODES)}")


def surface_channels(mode: SpatialMode, surfaces: int) -> int:
    """Channels that fusion reads beside V*: of C2 = `surfaces`, unprojected both components, none when off."""
    return {"off": 0, "no_projection": 2 * surfaces}.get(mode, surfaces)


def integrate(field: Tensor, mode: SpatialMode, project: Projection) -> Tensor:
    """Surfaces of gradient fields, as theta_grad reads them; every plane by itself.

    Args:
        field: Gamma, (M, C2, 2, h, w).
        mode: any but `off`, which has no gradient fields.
        project: the integrable projection.

    Returns:
        z*, (M, C2, h, w); with `no_projection` the gradient field, (M, 2 C2, h, w).
    """
    return field.flatten(1, 2) if mode == "no_projection" else project(field)


def surfaces_for_fusion(surfaces: Tensor, mode: SpatialMode, planes: int) -> Tensor:
    """What the fusion reads of the surfaces of whole stacks.

    Args:
        surfaces: what `integrate` returned, (B * N, C, h, w), planes of one stack adjacent.
        mode: as there.
        planes: N.

    Returns:
        z* normalised; with `no_projection` the gradient field as it is.
    """
    return surfaces if mode == "no_projection" else normalise_surfaces(surfaces, planes)


def normalise_surfaces(surfaces: Tensor, planes: int) -> Tensor:
    """Divide by one scale per stack and channel, shared by its planes, so that the contrast between planes stays.

    The scale is the root mean square of the surfaces over planes and space, so that what fusion reads does not grow
    with the image, as surfaces integrated over more pixels do.

    Args:
        surfaces: z*, (B * N, C, h, w), planes of one stack adjacent.
        planes: N.

    Returns:
        the same shape.
    """
    stacks = surfaces.unflatten(0, (-1, planes))
    scale = stacks.square().mean(dim=(1, 3, 4), keepdim=True).sqrt() + 1e-4
    return (stacks / scale).flatten(0, 1)
