"""What every network does alike with its surfaces: the ablation switch, their channels and their scale."""

from __future__ import annotations

from torch import Tensor

SPATIAL_MODES = ("full", "no_loss", "no_projection", "off")


def check_spatial(mode: str) -> None:
    """Refuse an unknown mode of the spatial constraint (ValueError naming those that are known)."""
    if mode not in SPATIAL_MODES:
        raise ValueError(f"spatial: {mode!r} is not one of {', '.join(SPATIAL_MODES)}")


def surface_channels(mode: str, surfaces: int) -> int:
    """Channels that fusion reads beside V*: of C2 = ``surfaces``, unprojected both components, none when off."""
    return {"off": 0, "no_projection": 2 * surfaces}.get(mode, surfaces)


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
