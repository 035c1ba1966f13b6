"""The models by name: how each is built, and what else holds for one and not for another; no torch here.

A new network of a class that is there already is one more entry of `KINDS`; its recipe, for training, is in `training`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dualfocus.models.options import configure

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Kind:
    """What is known of a model before it is built.

    Attributes:
        build: name and options of a model -> the model, with fresh weights.
        options: defaults of this model, where they differ from those of its class.
        learned: whether it has weights; a model without any answers for single pixels, where networks answer on a grid
            of cells, and needs float32.
        looks: number of looks at a large photograph, unless the record of the weights says otherwise.
        constrained: whether it has the two constraints.
        scene_stride: pixels a side of the coarsest cells of the part that sees the scene without planes; None without
            such a part.
    """

    build: Callable[[str, dict[str, Any]], nn.Module]
    options: Mapping[str, Any] = field(default_factory=dict)
    learned: bool = True
    looks: int = 1
    constrained: bool = True
    scene_stride: int | None = None


def _small(name: str, options: dict[str, Any]) -> nn.Module:
    from dualfocus.models.small import DualFocusSmall, SmallConfig

    return DualFocusSmall(configure(SmallConfig, name, options))


def _volumetric(name: str, options: dict[str, Any]) -> nn.Module:
    from dualfocus.models.volumetric import VolumetricConfig, VolumetricNetwork

    return VolumetricNetwork(configure(VolumetricConfig, name, options))


def _classical(name: str, options: dict[str, Any]) -> nn.Module:
    from dualfocus.models.classical import Classical

    return Classical(**options)


KINDS = {
    "dualfocus-s": Kind(_small, looks=2, scene_stride=32),
    "dualfocus-xs": Kind(
        _small,
        {"encoder": (8, 16, 32, 64), "decoder": (16, 32, 64), "context": (16, 32, 64, 128), "surfaces": 8},
        scene_stride=32,
    ),
    "classical": Kind(_classical, learned=False, constrained=False),
    "dualfocus-paper": Kind(_volumetric),
    "dfv": Kind(_volumetric, {"volume": "difference", "spatial": "off"}, constrained=False),
}
MODELS = tuple(KINDS)
NETWORKS = tuple(name for name, kind in KINDS.items() if kind.learned)


def build_model(name: str, options: dict[str, Any] | None = None) -> nn.Module:
    """Build any of `MODELS`, see `build_network`."""
    kind = KINDS[name]
    return kind.build(name, {**kind.options, **(options or {})})


def build_network(name: str, options: dict[str, Any] | None = None) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: one of `NETWORKS`.
        options: changes to its configuration, e.g. `{"spatial": "off"}` for an ablation.

    Raises:
        ValueError: unknown name, option or value.
    """
    if name not in NETWORKS:
        raise ValueError(f"model: {name!r} is not a network; choose one of {', '.join(NETWORKS)}")
    return build_model(name, options)
