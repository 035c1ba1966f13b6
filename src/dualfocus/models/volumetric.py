"""`dfv` and `dualfocus-paper`: ResNet-18 features and four 3-D decoder levels.

`dfv` (Yang et al., CVPR 2022) replaces the focus volume by its differences. `dualfocus-paper` (Woo and Lee,
NeurIPS 2025) keeps the volume beside its differences, adds the projected surfaces at every level, and is
trained with both variational losses. One class, so that a comparison changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.models.layers import pad_to_multiple
from dualfocus.models.output import FocusOutput, TrainingOutput
from dualfocus.models.projection import project_inside
from dualfocus.models.resnet_encoder import PyramidPooling, ResNetEncoder, scaled
from dualfocus.models.surfaces import SpatialMode, check_spatial, integrate, surface_channels, surfaces_for_fusion
from dualfocus.models.volume import differential_volume, focus_moments, side_coordinates

_GRADIENT_WIDTHS = (64, 256, 384, 576)  # hidden channels of the gradient heads at 1/4 ... 1/32: 27 M in all


@dataclass(frozen=True)
class VolumetricConfig:
    """What is switched on.

    Attributes:
        volume: `difference` (DFV) or `both` (DualFocus's V*).
        spatial: ablation switch of the spatial constraint, see `dualfocus.models.surfaces`.
        surfaces: C2 at every level.
        width: factor of all other channel counts, for comparisons that must fit a small machine.
    """

    volume: str = "both"
    spatial: SpatialMode = "full"
    surfaces: int = 16
    width: float = 1.0

    def __post_init__(self) -> None:
        """Refuse unknown choices."""
        if self.volume not in ("difference", "both"):
            raise ValueError(f"volume: {self.volume!r} is not one of difference, both")
        check_spatial(self.spatial)
        if not self.width > 0:
            raise ValueError(f"width: {self.width!r} must be above 0")


def difference_volume(volume: Tensor) -> Tensor:
    """DFV's volume: `V_n - V_{n+1}` for n < N, and `V_N` itself for the last plane; (B, N, C, H, W)."""
    return torch.cat((volume[:, :-1] - volume[:, 1:], volume[:, -1:]), dim=1)


class Residual3d(nn.Module):
    """Two 3x3x3 convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv3d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs))
        self.second = nn.Sequential(nn.Conv3d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs))
        self.shortcut: nn.Module = nn.Identity() if inputs == outputs else nn.Conv3d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, N, H, W) -> (B, outputs, N, H, W)."""
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


class Decoder(nn.Module):
    """One level: two residual blocks, optional pyramid pooling, a classifier; all but the finest hand features up."""

    def __init__(self, inputs: int, outputs: int, pool: bool, upsample: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Residual3d(inputs, outputs), Residual3d(outputs, outputs))
        self.pool: nn.Module = PyramidPooling(outputs, 3) if pool else nn.Identity()
        hidden = nn.Sequential(nn.Conv3d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs))
        self.classifier = nn.Sequential(hidden, nn.ReLU(), nn.Conv3d(outputs, 1, 3, padding=1))
        self.widen = nn.Conv3d(outputs, outputs // 2, 3, padding=1) if upsample else None

    def forward(self, x: Tensor, scored: bool) -> tuple[Tensor | None, Tensor | None]:
        """Decode a level.

        Args:
            x: (B, inputs, N, h, w).
            scored: whether anybody reads the scores of this level.

        Returns:
            scores, (B, 1, N, h, w), if `scored`; what is handed up to the next level, (B, outputs / 2, N, 2h, 2w),
            if there is one.
        """
        x = self.pool(self.blocks(x))
        scores = self.classifier(x) if scored else None
        if self.widen is None:
            return scores, None
        up = F.interpolate(x, scale_factor=(1, 2, 2), mode="trilinear", align_corners=False)
        return scores, F.relu(self.widen(up))


class VolumetricNetwork(nn.Module):
    """DFV's network, with the parts of DualFocus switched on by configuration; any N >= 2, any image size."""

    stride = 32

    def __init__(self, config: VolumetricConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VolumetricConfig()
        self.encoder = ResNetEncoder(config.width)
        factor = 2 if config.volume == "both" else 1
        volume_widths = [factor * channels for channels in self.encoder.level_widths]
        extra = surface_channels(config.spatial, config.surfaces)
        if extra:
            heads = zip(volume_widths, scaled(_GRADIENT_WIDTHS, config.width), strict=True)
            self.gradient_heads = nn.ModuleList([_gradient_head(w, h, config.surfaces) for w, h in heads])
            self.gradient_decoders = nn.ModuleList([nn.Conv2d(extra, 2, 3, padding=1) for _ in volume_widths])
        outputs = scaled((32, 32, 64, 128), config.width)
        handed_up = (*(width // 2 for width in outputs[1:]), 0)  # channels from the coarser level
        decoders = []
        for level in range(4):
            inputs = volume_widths[level] + extra + handed_up[level]
            decoders.append(Decoder(inputs, outputs[level], pool=level >= 2, upsample=level > 0))
        self.decoders = nn.ModuleList(decoders)

    def forward(self, images: Tensor, coordinates: Tensor) -> FocusOutput:
        """Estimate the focus coordinate of every pixel.

        Args:
            images: (B, N, 3, H, W) in [0, 1], planes near to far.
            coordinates: (B, N), increasing, 0 at the first plane and 1 at the last.

        Returns:
            `FocusOutput` with `probability` at full size and a confidence that is the probability mass
            within half a mean plane spacing of the answer (training fits a confidence map to it).
        """
        batch, planes, _, height, width = images.shape
        padded = pad_to_multiple(images.flatten(0, 1), self.stride)
        levels = [level.unflatten(0, (batch, planes)) for level in self.encoder(padded)]
        scores, gradients = self.decode(levels, (height, width))
        probability = _full_size(scores[0], 4, (height, width)).softmax(dim=1)
        first, second = focus_moments(probability, coordinates.float())
        std = (second - first.square()).clamp(min=0).sqrt()
        half = 0.5 / (planes - 1)
        near = (coordinates[:, :, None, None] - first[:, None]).abs() <= half
        confidence = (probability * near).sum(dim=1)
        training = None
        if self.training:
            coarse = [(score.float()[:, 0].softmax(dim=1), 4 * 2**k) for k, score in enumerate(scores)][1:]
            sides = [(focus_moments(p, coordinates.float())[0], stride) for p, stride in coarse]
            training = TrainingOutput(gradients, side_coordinates(sides, (height, width)))
        return FocusOutput(probability, first, std, confidence, training)

    def surface_gradients(self, images: Tensor) -> dict[int, Tensor]:
        """What theta_grad decodes from every surface at every level; see `DualFocusSmall.surface_gradients`.

        Args:
            images: (B, N, 3, H, W), sides multiples of `stride`: nothing is padded here.

        Returns:
            the gradients by stride, 4 to 32: (B, N, 2, H / stride, W / stride); empty where there are no surfaces.
        """
        size = (images.shape[-2], images.shape[-1])
        levels = [level.unflatten(0, images.shape[:2]) for level in self.encoder(images.flatten(0, 1))]
        return self.decode(levels, size)[1]

    def decode(self, levels: list[Tensor], size: tuple[int, int]) -> tuple[list[Tensor], dict[int, Tensor]]:
        """Coarse-to-fine decoding.

        Args:
            levels: features at 1/4 ... 1/32, (B, N, C, h, w) each.
            size: H, W of the true image.

        Returns:
            scores fine to coarse, (B, 1, N, h, w) (in evaluation the finest alone), and theta_grad's outputs by stride.
        """
        scores: list[Tensor] = []
        gradients: dict[int, Tensor] = {}
        handed_up: Tensor | None = None
        for level in range(3, -1, -1):
            both = self.config.volume == "both"
            volume = differential_volume(levels[level]) if both else difference_volume(levels[level])
            parts = [volume]
            if self.config.spatial != "off":
                stride = 4 * 2**level
                inside = (-(-size[0] // stride), -(-size[1] // stride))
                surface, gradient = self.surfaces(level, volume, inside)
                parts.append(surface)
                gradients[stride] = gradient[..., : inside[0], : inside[1]]
            stacked = torch.cat(parts, dim=2).transpose(1, 2)
            inputs = stacked if handed_up is None else torch.cat((stacked, handed_up), dim=1)
            score, handed_up = self.decoders[level](inputs, scored=self.training or level == 0)
            if score is not None:
                scores.insert(0, score)
        return scores, gradients

    def surfaces(self, level: int, volume: Tensor, inside: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Gradient field, projection and theta_grad of every plane at one level.

        Args:
            level: 0 at 1/4 ... 3 at 1/32.
            volume: V* of that level, (B, N, C, h, w).
            inside: height and width of the true image region at that level; the solve is over it alone.

        Returns:
            what fusion reads, (B, N, C2, h, w) (unprojected: 2 C2 channels), and theta_grad's output, (B, N, 2, h, w).
        """
        stacks, mode = volume.shape[:2], self.config.spatial
        field = self.gradient_heads[level](volume.flatten(0, 1)).unflatten(1, (self.config.surfaces, 2))
        surface = integrate(field, mode, lambda gradient: project_inside(gradient, *inside))
        fused = surfaces_for_fusion(surface, mode, stacks[1]).to(volume.dtype)
        gradient = self.gradient_decoders[level](surface).float()
        return fused.unflatten(0, stacks), gradient.unflatten(0, stacks)


def _gradient_head(inputs: int, hidden: int, surfaces: int) -> nn.Sequential:
    layers = []
    for width_in, width_out in ((inputs, hidden), (hidden, hidden)):
        layers += [nn.Conv2d(width_in, width_out, 3, padding=1, bias=False), nn.BatchNorm2d(width_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(hidden, 2 * surfaces, 3, padding=1))


def _full_size(score: Tensor, factor: int, size: tuple[int, int]) -> Tensor:
    """Bilinear upsampling of (B, 1, N, h, w) scores with the planes as channels, cropped: (B, N, H, W)."""
    up = F.interpolate(score.float()[:, 0], scale_factor=factor, mode="bilinear", align_corners=False)
    return up[..., : size[0], : size[1]]
