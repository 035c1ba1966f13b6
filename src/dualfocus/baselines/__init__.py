"""Systems of others behind the same `predict`: single-image models, and focus combined with them.

Each is made by `dualfocus.load_model` from its name, a colon and what it needs, or from its own weights file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

    from dualfocus.baselines.baseline import Baseline

BASELINES = ("depth-anything", "depth-anything-aligned", "va-depth", "hybriddepth-style")  # before a colon in a name
TRAINED = ("va-depth", "hybriddepth-style")  # those with weights files of this package's making


def find_baseline(name: str | os.PathLike[str], device: torch.device) -> Baseline | None:
    """Make a system from its name, or None for a name that is not of one.

    Args:
        name: `depth-anything:FOLDER_OR_HUB_NAME`, `depth-anything-aligned:` likewise,
            `hybriddepth-style:RELATIVE`, or the path of a weights file of `python -m dualfocus.baselines.train`.
        device: the device to run on.

    Raises:
        ValueError: a system whose weights cannot be had.
    """
    kind, _, what = str(name).partition(":")
    if kind in ("depth-anything", "depth-anything-aligned"):
        from dualfocus.baselines.depth_anything import AlignedDepthAnything, DepthAnything

        return (DepthAnything if kind == "depth-anything" else AlignedDepthAnything)(what, device)
    if kind == "hybriddepth-style":
        from dualfocus.baselines.hybriddepth import open_hybriddepth

        return open_hybriddepth(what, device)
    if kind == "va-depth":
        raise ValueError(
            "no weights ship for va-depth; train it with `python -m dualfocus.baselines.train"
            " configs/baselines/va-depth.yaml` and pass the path of the .safetensors file it writes"
        )
    from dualfocus.models.weights import load_weights, read_record

    path = Path(name)
    if path.suffix != ".safetensors" or not path.is_file() or read_record(path)["model"] not in TRAINED:
        return None
    network: Any
    network, record = load_weights(path, build_baseline)
    if record["model"] == "va-depth":
        from dualfocus.baselines.va_depth import VaDepth

        return VaDepth(network, path, device)
    from dualfocus.baselines.hybriddepth import load_hybriddepth

    return load_hybriddepth(network, path, device)


def build_baseline(name: str, options: dict[str, Any]) -> nn.Module:
    """The network of a trained system with fresh weights (ValueError for an unknown one; TypeError for an option)."""
    if name == "va-depth":
        from dualfocus.baselines.va_network import VaConfig, VaNetwork

        return VaNetwork(VaConfig(**options))
    from dualfocus.baselines.refinement import Refinement, RefinementConfig

    return Refinement(RefinementConfig(**options))
