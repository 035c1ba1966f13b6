"""Running a network on stacks of any length and size: planes encoded once, fused in tiles and in windows.

Only what works on every plane runs in tiles: the projection and the context see the whole image.

A network is at home with up to a dozen planes. A longer stack is read twice: interleaved parts of it give a
coarse answer from all planes, then overlapping windows of neighbouring planes give the fine one, every pixel
taking its answer from the windows around its coarse peak.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dualfocus.models.layers import pad_to_multiple
from dualfocus.models.output import FocusOutput
from dualfocus.models.small import DualFocusSmall
from dualfocus.models.upsampling import convex_upsample

LONGEST = 12  # planes a network takes at once
WINDOW = 10
WINDOW_STEP = 4
TILE = 512  # pixels of a side, without halo
HALO = 128
PLANE_PIXELS = 7_000_000  # planes x pixels fused at once before tiles are used: about 1.5 GB

Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels; top and left multiples of 16
Frames = Callable[[int], Tensor]  # n -> (3, h, w) in [0, 1] at the working size, planes near to far


@dataclass
class Estimate:
    """What is known about every pixel at the working size.

    Attributes:
        coordinate: (h, w) normalised focus coordinate.
        std: (h, w), same unit.
        confidence: (h, w) in [0, 1], as the network says it, before calibration.
        probability: (N, h', w') focus probability of every plane.
        upsampling: (9, 16, h', w') weights for maps of the size of ``probability``, or None.
    """

    coordinate: Tensor
    std: Tensor
    confidence: Tensor
    probability: Tensor
    upsampling: Tensor | None = None

    def plane_weight(self, n: int) -> Tensor:
        """Focus probability of plane n at the working size, (h, w)."""
        small = self.probability[None, n : n + 1]
        height, width = self.coordinate.shape
        if self.upsampling is not None:
            return convex_upsample(small, self.upsampling[None], 4)[0, 0, :height, :width]
        return F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)[0, 0]


def estimate(network: nn.Module, frames: Frames, coordinates: np.ndarray, progress: Callable[[], None]) -> Estimate:
    """Estimate the focus of every pixel.

    Args:
        network: any model of this package, in evaluation mode, on the device of the frames.
        frames: planes at the working size.
        coordinates: (N,) normalised, increasing.
        progress: called after every plane read.

    Returns:
        maps of the size of the frames. Only ``dualfocus-s`` works in tiles and windows; the other models take the whole
        stack at once.
    """
    planes = len(coordinates)
    u = torch.as_tensor(coordinates, dtype=torch.float32)
    if not isinstance(network, DualFocusSmall):
        images = torch.stack([_read(frames, n, progress) for n in range(planes)])
        return _from_output(network(images[None], u[None].to(images.device)))
    stack = EncodedStack(network, frames, u, progress)
    if planes <= LONGEST:
        return _from_output(stack.run(list(range(planes))))
    return long_stack(stack)


class EncodedStack:
    """Features of every plane, computed once; any choice of planes can then be fused."""

    def __init__(self, network: DualFocusSmall, frames: Frames, u: Tensor, progress: Callable[[], None]) -> None:
        self.network = network
        images, features = [], []
        for n in range(len(u)):
            image = _read(frames, n, progress)
            images.append((image * 255).round().byte())  # for the context alone: 8 bits save memory
            features.append(network.encoder(pad_to_multiple(image[None], network.stride)))
        self.images = torch.stack(images)
        self.size = (int(self.images.shape[-2]), int(self.images.shape[-1]))
        self.features = [torch.cat(level) for level in zip(*features, strict=True)]
        self.u = u.to(self.images.device)

    def run(self, index: Sequence[int]) -> FocusOutput:
        """The network's answer from the planes of ``index`` (increasing) alone, coordinates spanning [0, 1]."""
        chosen = list(index)
        u = self.u[chosen]
        u = ((u - u[0]) / (u[-1] - u[0]))[None]
        features = [level[chosen] for level in self.features]
        height, width = self.size
        inside = (-(-height // 4), -(-width // 4))
        # the projection is over the whole image, also when fusion runs in tiles
        surface, _ = self.network.surfaces(features[0], len(chosen), inside)
        boxes = [(0, height, 0, width)] if len(chosen) * height * width <= PLANE_PIXELS else _tiles(height, width)
        score, evidence = self._fuse_tiles(chosen, features, surface, u, boxes)
        return self.network.read_out([score], evidence, u, self.size)

    def _fuse_tiles(
        self, chosen: list[int], features: list[Tensor], surface: Tensor | None, u: Tensor, cores: list[Box]
    ) -> tuple[Tensor, Tensor]:
        """Scores and evidence of the padded image; each tile sees a halo of its neighbours and keeps its core."""
        height, width = self.size
        whole: list[Tensor] = []
        for core in cores:
            box = (
                max(0, core[0] - HALO),
                min(height, core[1] + HALO),
                max(0, core[2] - HALO),
                min(width, core[3] + HALO),
            )
            parts = self._fuse(chosen, features, surface, u, box)
            if len(cores) == 1:
                return parts
            if not whole:
                rows, columns = features[0].shape[-2:]
                whole = [part.new_zeros(*part.shape[:2], rows, columns) for part in parts]
            for target, part in zip(whole, parts, strict=True):
                _paste(target, part, core, box)
        return whole[0], whole[1]

    def _fuse(
        self, chosen: list[int], features: list[Tensor], surface: Tensor | None, u: Tensor, box: Box
    ) -> tuple[Tensor, Tensor]:
        """Scores (N, 1, h, w) and evidence (1, C, h, w) of one box of pixels, at 1/4."""
        top, bottom, left, right = box
        levels = [_cut(level, box, stride) for level, stride in zip(features, (4, 8, 16), strict=True)]
        part = None if surface is None else _cut(surface, box, 4)
        fused, scores = self.network.fuse((levels[0], levels[1], levels[2]), part, u)
        images = pad_to_multiple(self.images[chosen, :, top:bottom, left:right].float() / 255, self.network.stride)
        return scores[-1], self.network.collapse(fused, scores[-1], images, u)


def _tiles(height: int, width: int) -> list[Box]:
    """Boxes of at most ``TILE`` pixels a side that cover the image."""
    starts = itertools.product(range(0, height, TILE), range(0, width, TILE))
    return [(top, min(top + TILE, height), left, min(left + TILE, width)) for top, left in starts]


def long_stack(stack: EncodedStack) -> Estimate:
    """Coarse answer from interleaved parts, fine answer from windows around the coarse peak; N > ``LONGEST``."""
    planes = len(stack.u)
    coarse = torch.stack([stack.run(part).coordinate[0] for part in interleaved(planes)]).mean(dim=0)
    starts = window_starts(planes)
    centres = torch.tensor([start + (WINDOW - 1) / 2 for start in starts], device=coarse.device)
    place = _plane_position(coarse, stack.u)
    total: Estimate | None = None
    for number, start in enumerate(starts):
        output = stack.run(range(start, start + WINDOW))
        share = _window_share(place, centres, number)
        total = _add_window(total, output, share, stack.u, start)
    assert total is not None
    return total


def interleaved(planes: int) -> list[list[int]]:
    """Split a long stack into parts of at most ``LONGEST`` planes spread over it; each has the two end planes."""
    parts = -(-(planes - 2) // (LONGEST - 2))
    return [[0, *range(1 + part, planes - 1, parts), planes - 1] for part in range(parts)]


def window_starts(planes: int) -> list[int]:
    """First planes of windows that overlap by more than half and cover every plane."""
    count = -(-(planes - WINDOW) // WINDOW_STEP) + 1
    return [round(start) for start in np.linspace(0, planes - WINDOW, count)]


def _window_share(place: Tensor, centres: Tensor, number: int) -> Tensor:
    """How much of each pixel comes from a window: linear between the centres of neighbouring windows, sum 1."""
    share = torch.ones_like(place)
    if number > 0:
        share = ((place - centres[number - 1]) / (centres[number] - centres[number - 1])).clamp(0, 1)
    if number + 1 < len(centres):
        share = share * ((centres[number + 1] - place) / (centres[number + 1] - centres[number])).clamp(0, 1)
    return share


def _add_window(total: Estimate | None, output: FocusOutput, share: Tensor, u: Tensor, start: int) -> Estimate:
    """Add a window's answer, carried from its own coordinate to that of the stack."""
    first, last = u[start], u[start + WINDOW - 1]
    extent = last - first
    if total is None:
        zero = torch.zeros_like(share)
        rows, columns = output.probability.shape[-2:]
        probability = torch.zeros(len(u), rows, columns, device=share.device)
        upsampling = torch.zeros_like((output.aux or {})["upsampling_weights"][0])
        total = Estimate(zero, zero.clone(), zero.clone(), probability, upsampling)
    total.coordinate += share * (first + output.coordinate[0] * extent)
    total.std += share * output.std[0] * extent
    total.confidence += share * output.confidence[0]
    rows, columns = output.probability.shape[-2:]
    small = F.interpolate(share[None, None], size=(rows, columns), mode="area")[0, 0]
    total.probability[start : start + WINDOW] += small * output.probability[0]
    assert total.upsampling is not None
    total.upsampling += small * (output.aux or {})["upsampling_weights"][0]
    return total


def _plane_position(coordinate: Tensor, u: Tensor) -> Tensor:
    """Fractional plane index of a coordinate, by linear interpolation between the planes."""
    upper = torch.searchsorted(u, coordinate.contiguous()).clamp(1, len(u) - 1)
    low, high = u[upper - 1], u[upper]
    return upper - 1 + ((coordinate - low) / (high - low)).clamp(0, 1)


def _from_output(output: FocusOutput) -> Estimate:
    upsampling = (output.aux or {}).get("upsampling_weights")
    return Estimate(
        output.coordinate[0],
        output.std[0],
        output.confidence[0],
        output.probability[0],
        None if upsampling is None else upsampling[0],
    )


def _read(frames: Frames, n: int, progress: Callable[[], None]) -> Tensor:
    frame = frames(n)
    progress()
    return frame


def _cut(level: Tensor, box: Box, stride: int) -> Tensor:
    """The cells of a box; a ragged end takes every cell of its last block of 16 pixels."""
    top, bottom, left, right = box
    rows, columns = -(-bottom // 16) * 16 // stride, -(-right // 16) * 16 // stride
    return level[..., top // stride : rows, left // stride : columns]


def _paste(target: Tensor, source: Tensor, core: Box, box: Box) -> None:
    """Copy the core's cells at 1/4, with what pads its last block of 16 pixels, from a tile's map into the whole."""
    cells = _cut(target, core, 4)
    row, column = (core[0] - box[0]) // 4, (core[2] - box[2]) // 4
    cells.copy_(source[..., row : row + cells.shape[-2], column : column + cells.shape[-1]])
