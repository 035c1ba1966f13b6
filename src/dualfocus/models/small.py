"""`dualfocus-s`: the two variational constraints in a network made for CPUs.

Dense 3x3 blocks, plane mixing by channel shifts instead of 3-D kernels, the projection at 1/16 of the image, since
finer surfaces were found to learn nothing (docs/method.md), and convex upsampling of two moments instead of N
probability maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualfocus.models.collapse import collapse
from dualfocus.models.context import SceneContext, posterior_scores
from dualfocus.models.encoder import PlaneEncoder
from dualfocus.models.layers import ConvNorm, PlaneResidual, add_in_place_if_no_grad, pad_to_multiple, plane_features
from dualfocus.models.level_entry import LevelEntry
from dualfocus.models.output import FocusOutput, TrainingOutput
from dualfocus.models.projection import integrable_projection
from dualfocus.models.surfaces import (
    Projection,
    SpatialMode,
    check_spatial,
    integrate,
    surface_channels,
    surfaces_for_fusion,
)
from dualfocus.models.upsampling import convex_upsample
from dualfocus.models.volume import differential_volume, focus_moments, side_coordinates

_FINEST = 2  # level of the fusion at 1/4, whose scores are the answer


@dataclass(frozen=True)
class SmallConfig:
    """Shape of `dualfocus-s`; `dualfocus-xs` is narrower (`dualfocus.models.kinds`).

    Attributes:
        encoder: channels at 1/2, 1/4, 1/8 and 1/16.
        decoder: channels of the fusion at 1/4, 1/8 and 1/16.
        context: channels of the context at 1/4, 1/8, 1/16 and 1/32.
        surfaces: C2.
        spatial: ablation switch of the spatial constraint, see `dualfocus.models.surfaces`.
    """

    encoder: tuple[int, int, int, int] = (20, 40, 64, 112)
    decoder: tuple[int, int, int] = (32, 48, 96)
    context: tuple[int, int, int, int] = (40, 48, 80, 160)
    surfaces: int = 16
    spatial: SpatialMode = "full"

    def __post_init__(self) -> None:
        """Refuse an unknown ablation mode."""
        check_spatial(self.spatial)


class GradientHead(nn.Module):
    """Predicts the gradient field Gamma_n of `surfaces` channels from V*_n alone, shared over planes."""

    def __init__(self, inputs: int, surfaces: int, hidden: int) -> None:
        super().__init__()
        self.surfaces = surfaces
        self.body = nn.Sequential(ConvNorm(inputs, hidden, kernel=1), nn.Conv2d(hidden, 2 * surfaces, 3, padding=1))

    def forward(self, volume: Tensor) -> Tensor:
        """(M, inputs, h, w) -> Gamma, (M, surfaces, 2, h, w), components x then y."""
        return self.body(volume).unflatten(1, (self.surfaces, 2))


class DualFocusSmall(nn.Module):
    """The default network; any N >= 2, any image size."""

    stride = 16

    def __init__(self, config: SmallConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SmallConfig()
        _, quarter, eighth, sixteenth = config.encoder
        fine, middle, coarse = config.decoder
        self.encoder = PlaneEncoder(config.encoder)
        extra = surface_channels(config.spatial, config.surfaces)
        if config.spatial != "off":
            self.gradient_head = GradientHead(2 * sixteenth, config.surfaces, coarse)
            self.gradient_decoder = nn.Conv2d(extra, 2, 3, padding=1)  # theta_grad
        self.enter_coarse = LevelEntry(sixteenth, extra, coarse, enlarge=False)
        self.enter_middle = LevelEntry(eighth, coarse, middle, enlarge=True)
        self.enter_fine = LevelEntry(quarter, middle, fine, enlarge=True)
        # embeds `plane_features`; the name is that of the weights files
        self.place = nn.ModuleList([nn.Linear(4, width) for width in (coarse, middle, fine)])
        self.fuse_coarse = nn.ModuleList([PlaneResidual(coarse) for _ in range(3)])
        self.fuse_middle = nn.ModuleList([PlaneResidual(middle), PlaneResidual(middle)])
        self.fuse_fine = nn.ModuleList([PlaneResidual(fine), PlaneResidual(fine)])
        self.scores = nn.ModuleList([nn.Conv2d(width, 1, 3, padding=1) for width in (coarse, middle, fine)])
        self.context = SceneContext(fine, config.context)

    def forward(self, images: Tensor, coordinates: Tensor) -> FocusOutput:
        """Estimate the focus coordinate of every pixel.

        Args:
            images: (B, N, 3, H, W) in [0, 1], display-encoded, planes near to far.
            coordinates: (B, N), increasing, 0 at the first plane and 1 at the last.

        Returns:
            `FocusOutput`; `probability` is at 1/4 size.
        """
        planes, height, width = images.shape[1], *images.shape[-2:]
        padded = pad_to_multiple(images.flatten(0, 1), self.stride)
        features = self.encoder(padded)
        surface, gradient = self.surfaces(features[2], planes)
        fused, scores = self.fuse(features, surface, coordinates)
        collapsed = self.collapse(fused, scores[-1], padded, coordinates)
        return self.read_out(scores, collapsed, coordinates, (height, width), _by_stride(gradient, planes))

    def surface_gradients(self, images: Tensor) -> dict[int, Tensor]:
        """What theta_grad decodes from every surface, for measurements of the spatial constraint.

        Args:
            images: (B, N, 3, H, W), sides multiples of `stride`: nothing is padded here.

        Returns:
            the gradients by stride, 16 alone: (B, N, 2, H / 16, W / 16); empty where there are no surfaces.
        """
        planes = images.shape[1]
        _, gradient = self.surfaces(self.encoder(images.flatten(0, 1))[2], planes)
        return _by_stride(gradient, planes)

    def surfaces(
        self, sixteenth: Tensor, planes: int, project: Projection = integrable_projection
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradient field, projection and theta_grad of every plane.

        Args:
            sixteenth: V at 1/16, (B * N, C, h, w).
            planes: N.
            project: the integrable projection; a graph for export has its own.

        Returns:
            what fusion reads, (B * N, C2, h, w), and theta_grad's output, (B * N, 2, h, w); None and None without
            surfaces.
        """
        if self.config.spatial == "off":
            return None, None
        surface = self.plane_surfaces(stack_differences(sixteenth, planes), project)
        return surfaces_for_fusion(surface, self.config.spatial, planes), self.gradient_decoder(surface)

    def plane_surfaces(self, volume: Tensor, project: Projection = integrable_projection) -> Tensor:
        """Each plane's surface by itself, before the scale that all planes share.

        Args:
            volume: V* at 1/16, (M, 2C, h, w).
            project: see `surfaces`.

        Returns:
            z*, (M, C2, h, w), see `dualfocus.models.surfaces.integrate`.
        """
        return integrate(self.gradient_head(volume), self.config.spatial, project)

    def fuse(
        self, features: tuple[Tensor, Tensor, Tensor], surface: Tensor | None, coordinates: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Coarse-to-fine fusion of V* and z* over space and planes.

        Args:
            features: V at 1/4, 1/8 and 1/16, (B * N, C, h, w) each.
            surface: what `surfaces` returned.
            coordinates: (B, N).

        Returns:
            decoder features at 1/4, (B * N, C, h, w); scores at 1/16, 1/8 and 1/4, (B * N, 1, h, w), outside training
            at 1/4 alone.
        """
        x: Tensor | None = surface
        scores: list[Tensor] = []
        for level, volume in enumerate(reversed(features)):
            x, score = self.fuse_level(level, volume, x, coordinates)
            if score is not None:
                scores.append(score)
        assert x is not None
        return x, scores

    def fuse_level(
        self, level: int, volume: Tensor, coarser: Tensor | None, coordinates: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """One level of the fusion.

        Args:
            level: 0, 1 and 2 for 1/16, 1/8 and 1/4.
            volume: V of the level, (B * N, C, h, w).
            coarser: features of the coarser level, (B * N, C', h / 2, w / 2); at 1/16 what fusion reads of the
                surfaces, (B * N, C2, h, w), if there are any.
            coordinates: (B, N).

        Returns:
            features, (B * N, C'', h, w), and scores, (B * N, 1, h, w), None where nobody reads them.
        """
        planes = coordinates.shape[1]
        enter = (self.enter_coarse, self.enter_middle, self.enter_fine)[level]
        blocks = (self.fuse_coarse, self.fuse_middle, self.fuse_fine)[level]
        x = enter(volume, coarser, planes)
        del volume  # frees its memory, where the caller keeps no reference, for the blocks
        x = add_in_place_if_no_grad(x, self.place[level](plane_features(coordinates).to(x.dtype))[:, :, None, None])
        for block in blocks:
            x = block(x, planes)
        return x, self.scores[level](x) if self.training or level == _FINEST else None

    def collapse(self, fused: Tensor, scores: Tensor, images: Tensor, coordinates: Tensor) -> Tensor:
        """What the planes show in focus, for `read_out`.

        Args:
            fused: decoder features, (B * N, C, h, w).
            scores: local scores at 1/4, (B * N, 1, h, w).
            images: the padded images, (B * N, 3, 4 h, 4 w), in [0, 1] or 8 bits.
            coordinates: (B, N).

        Returns:
            (B, C', h, w), see `dualfocus.models.collapse.collapse`.
        """
        folded = (-1, coordinates.shape[1])
        probability = _over_planes(scores, folded[1]).softmax(dim=1)
        return collapse(images.unflatten(0, folded), fused.unflatten(0, folded), probability, coordinates.float())

    def read_out(
        self,
        scores: list[Tensor],
        collapsed: Tensor,
        coordinates: Tensor,
        size: tuple[int, int],
        gradients: dict[int, Tensor] | None = None,
    ) -> FocusOutput:
        """Context, probability, expectation over planes, upsampling and confidence, cropped to the image.

        Args:
            scores: see `fuse`.
            collapsed: what `collapse` returned.
            coordinates: (B, N).
            size: H, W of the image.
            gradients: theta_grad's output by stride, handed on to the losses in training; None for none.
        """
        planes = coordinates.shape[1]
        u = coordinates.float()
        hidden = self.context(collapsed, size)
        prior = self.context.prior(hidden)
        probability = posterior_scores(_over_planes(scores[-1], planes), prior, u).softmax(dim=1)
        first, second = focus_moments(probability, u)
        weights = self.context.weights(hidden)
        up = convex_upsample(torch.stack((first, second), dim=1), weights, 4)[..., : size[0], : size[1]]
        coordinate = up[:, 0]
        std = (up[:, 1] - coordinate.square()).clamp(min=0).sqrt()
        logit = self.context.confidence(hidden, collapsed, prior, probability, u)[:, : size[0], : size[1]]
        rows, columns = (size[0] + 3) // 4, (size[1] + 3) // 4  # graphs round divisions towards 0
        training = None
        if self.training:
            coarse = [_over_planes(score, planes).softmax(dim=1) for score in reversed(scores)]
            maps = [(prior.mean[:, 0], 4)]
            maps += [(focus_moments(p, u)[0], stride) for p, stride in zip(coarse, (4, 8, 16), strict=True)]
            training = TrainingOutput(gradients or {}, side_coordinates(maps, size), logit)
        return FocusOutput(probability[..., :rows, :columns], coordinate, std, logit.sigmoid(), training)


def _by_stride(gradient: Tensor | None, planes: int) -> dict[int, Tensor]:
    """theta_grad's output, (B * N, 2, h, w), as `TrainingOutput` has it."""
    return {} if gradient is None else {16: gradient.float().unflatten(0, (-1, planes))}


def _over_planes(scores: Tensor, planes: int) -> Tensor:
    """(B * N, 1, h, w) -> (B, N, h, w), float32."""
    return scores.float().unflatten(0, (-1, planes))[:, :, 0]


def stack_differences(level: Tensor, planes: int) -> Tensor:
    """V* of folded planes: (B * N, C, h, w) -> (B * N, 2C, h, w)."""
    return differential_volume(level.unflatten(0, (-1, planes))).flatten(0, 1)
