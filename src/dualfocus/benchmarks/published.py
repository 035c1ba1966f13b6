"""Figures others have published, as data. They are shown beside ours in a table of their own, never in our columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedRow:
    """One row of somebody else's table.

    Attributes:
        method: its name.
        kind: what goes in: a focal stack (depth from focus) or a single image.
        rmse: in metres.
        abs_rel: mean |y - t| / t; None where it was not given.
        delta1: fraction below 1.25; None where it was not given.
        protocol: how it was measured, as far as is known.
        source: where the figure was read.
    """

    method: str
    kind: str
    rmse: float
    abs_rel: float | None
    delta1: float | None
    protocol: str
    source: str


_TABLE = "NYU table of the DualFocus paper (arXiv 2509.21992), read in a summary by a third party"
_STACKS = "synthetic focal stacks on NYU Depth v2, most plausibly HybridDepth's protocol; not confirmed, N not stated"
_SINGLE = "single-image protocol (640 x 480, Eigen crop), probably: not comparable with the focal-stack rows"

PUBLISHED: dict[str, tuple[PublishedRow, ...]] = {
    "nyu": (
        PublishedRow("Depth Anything", "single image", 0.206, 0.056, 0.984, _SINGLE, _TABLE),
        PublishedRow("HybridDepth", "depth from focus", 0.128, 0.026, 0.995, _STACKS, _TABLE),
        PublishedRow("DFV", "depth from focus", 0.094, 0.020, 0.998, _STACKS, _TABLE),
        PublishedRow("DualFocus", "depth from focus", 0.075, 0.013, 0.999, _STACKS, _TABLE),
        PublishedRow("DualFocus without both constraints", "depth from focus", 0.094, None, None, _STACKS, _TABLE),
    )
}
