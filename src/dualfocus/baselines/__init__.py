"""Systems of others behind the same ``predict``: single-image models, and focus combined with them.

Each is made by :func:`dualfocus.load_model` from its name, a colon and what it needs, or from its own weights file.
"""

from __future__ import annotations

import torch

from dualfocus.baselines.baseline import Baseline

KINDS = ("depth-anything", "depth-anything-aligned", "va-depth", "hybriddepth-style")


def is_baseline(name: str) -> bool:
    """Whether a name for ``load_model`` means one of these systems; their weights files are told by their record."""
    return name.partition(":")[0] in KINDS


def open_baseline(name: str, device: torch.device) -> Baseline:
    """Make a system from its name.

    Args:
        name: ``KIND:WHAT``; WHAT is a folder or hub name for ``depth-anything``.
        device: to run on.

    Raises:
        ValueError: nothing after the colon, or weights that cannot be had.
    """
    kind, _, what = name.partition(":")
    from dualfocus.baselines.depth_anything import AlignedDepthAnything, DepthAnything

    return (AlignedDepthAnything if kind == "depth-anything-aligned" else DepthAnything)(what, device)
