"""A system in the manner of HybridDepth: relative depth of one picture, brought to metres by focus, then refined."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dualfocus.baselines.baseline import Baseline, Scene, per_metre
from dualfocus.baselines.refinement import LARGEST_RATIO, LEAST_M, Refinement, RefinementConfig
from dualfocus.baselines.relative import RelativeModel, open_relative
from dualfocus.baselines.scale_shift import fit_scale_shift
from dualfocus.inference.fingerprint import fingerprint
from dualfocus.outputs import DepthResult


class Combined(NamedTuple):
    """What the refinement sees, every map (H, W) float32.

    Attributes:
        aligned: G, relative depth after the global fit, in metres.
        ratio: D / G, D being the depth from focus; 1 where not finite.
        std: standard deviation of D in metres; 0 where not finite.
    """

    aligned: NDArray[np.float32]
    ratio: NDArray[np.float32]
    std: NDArray[np.float32]


class HybridDepthStyle(Baseline):
    """Relative depth + focus + global scale and shift + refinement.

    Args:
        name: as it was asked for.
        config: which models, and how they are fitted.
        refinement: trained, or None to stop after the global fit.
        device: the device to run on.
        relative: a model in place of the one the configuration names.

    Raises:
        ValueError: a model that cannot be loaded.
    """

    def __init__(
        self,
        name: str,
        config: RefinementConfig,
        refinement: Refinement | None,
        device: torch.device,
        relative: RelativeModel | None = None,
    ) -> None:
        from dualfocus.inference.torch_model import load_torch_model

        self.name, self.config, self.device = name, config, device
        self.relative = open_relative(config.relative, device) if relative is None else relative
        self.focus = load_torch_model(config.focus, device=device.type)
        self.refinement = None if refinement is None else refinement.eval().to(device)

    def answer(self, scene: Scene) -> DepthResult:
        """Depth in the result unit; confidence, spread and validity are the focus model's."""
        unit = per_metre(scene.stack, self.name)
        focused = self.focus.predict(scene.stack)
        combined = self.combine(scene, focused)
        notes = [f"{self.name}: relative depth by {self.relative.name} of {scene.source}, focus by {self.config.focus}"]
        if self.refinement is None:
            notes.append("global scale and shift alone: no trained refinement")
            depth = np.maximum(combined.aligned, LEAST_M)
        else:
            maps = (torch.from_numpy(part)[None].to(self.device) for part in combined)
            with torch.inference_mode():
                depth = self.refinement(*maps)[0].cpu().numpy()
        return dataclasses.replace(
            focused, depth=(depth * unit).astype(np.float32), model=self.name, warnings=[*focused.warnings, *notes]
        )

    def combine(self, scene: Scene, focused: DepthResult) -> Combined:
        """The global fit of the relative depth to the depth from focus.

        A relative inverse depth of 0 or less has no depth: such pixels do not count, and take the farthest of others.

        Args:
            scene: what was asked.
            focused: depth from focus of its stack.
        """
        unit = per_metre(scene.stack, self.name)
        inverse = self.relative.inverse_depth(scene.picture, None if scene.sample is None else scene.sample.name)
        focus = focused.depth.astype(np.float64) / unit
        weight = focused.confidence if self.config.fit == "confidence" else None
        aligned = align(inverse, focus, weight, self.config.space)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = focus / aligned
        ratio = np.where(np.isfinite(ratio), np.clip(ratio, 0, LARGEST_RATIO), 1)
        std = np.nan_to_num(focused.std / unit, nan=0, posinf=0)
        return Combined(*(np.ascontiguousarray(part, np.float32) for part in (aligned, ratio, std)))

    def fingerprint(self) -> str:
        """Short hash of the three models and the fit, so that a resumed evaluation notices other ones."""
        models = " ".join(fingerprint(model) for model in (self.relative, self.focus, self.refinement))
        return hashlib.sha256(f"{models} {self.config.fit} {self.config.space}".encode()).hexdigest()[:16]


def align(
    inverse: NDArray[np.floating], focus: NDArray[np.floating], weight: NDArray[np.floating] | None, space: str
) -> NDArray[np.float64]:
    """Relative depth on the line that fits depth from focus best.

    Args:
        inverse: (H, W) relative inverse depth.
        focus: (H, W) depth from focus.
        weight: (H, W) of the fit, or None for equal ones.
        space: "depth" fits 1 / inverse to focus; "inverse" fits inverse to 1 / focus.

    Returns:
        (H, W) in the unit of `focus`; in "inverse" the line may cross 0, beyond which lies the farthest focus.
    """
    inverse = np.asarray(inverse, np.float64)
    known = np.isfinite(inverse) & (inverse > 0)
    if space == "depth":
        source = np.divide(1, inverse, out=np.full_like(inverse, np.nan), where=known)
        scale, shift = fit_scale_shift(source, focus, weight)
        farthest = np.nanmax(source) if known.any() else np.nan
        return scale * np.where(known, source, farthest) + shift
    target = np.divide(1, focus, out=np.full_like(inverse, np.nan), where=np.isfinite(focus) & (focus > 0))
    scale, shift = fit_scale_shift(inverse, target, weight)
    return 1 / np.maximum(scale * inverse + shift, np.nanmin(target))


def open_hybriddepth(what: str, device: torch.device) -> HybridDepthStyle:
    """The global fit alone, of the relative model `what`, to `dualfocus-s`."""
    if not what:
        raise ValueError(
            "no weights ship for hybriddepth-style; train its refinement with `python -m dualfocus.baselines.train"
            " configs/baselines/hybriddepth-style.yaml` and pass the file it writes, or name a relative model for the"
            " global fit alone, e.g. hybriddepth-style:ramp"
        )
    return HybridDepthStyle(f"hybriddepth-style:{what}", RefinementConfig(relative=what), None, device)


def load_hybriddepth(refinement: Refinement, path: Path, device: torch.device) -> HybridDepthStyle:
    """The whole system, as the record of its weights file says."""
    return HybridDepthStyle(f"hybriddepth-style:{path.name}", refinement.config, refinement, device)
