"""The configurations of what is trained here, and what their trainings have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from dualfocus.baselines.refinement import RefinementConfig
from dualfocus.baselines.va_network import VaConfig

Report = Callable[[str], None]  # takes a line now and then
Loss = Callable[[], Tensor]  # draws a batch and gives its loss


class _Training(BaseModel):
    """What both systems need; `minutes` and `steps` end the run at whichever comes first."""

    model_config = ConfigDict(extra="forbid")

    data: Path
    output: Path
    licence: str = ""
    images: int | None = Field(default=None, ge=1)  # spread evenly over the data; null for all
    batch: int = Field(default=8, ge=1)
    steps: int = Field(ge=1)
    minutes: float | None = Field(default=None, gt=0)
    learning_rate: float = Field(default=3e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    seed: int = 0


class VaTraining(_Training):
    """`data`: the training images of NYU, in any form or in a pack, or a folder with `rgb` and `depth`."""

    system: Literal["va-depth"]
    kind: Literal["nyu", "rgbd"] = "nyu"  # kind of data
    network: VaConfig = VaConfig()
    variational: float = Field(default=1.0, ge=0)  # weight of that loss beside SILog


class RefinementTraining(_Training):
    """`data`: the training images of NYU, blurred as HybridDepth does, or folders with stack.json and truth."""

    system: Literal["hybriddepth-style"]
    kind: Literal["nyu", "stacks"] = "nyu"  # kind of data
    network: RefinementConfig = RefinementConfig()
    planes: int = Field(default=5, ge=2)  # planes of NYU's stacks
    crop: int = Field(default=224, ge=32)


AnyTraining = Annotated[VaTraining | RefinementTraining, Field(discriminator="system")]
