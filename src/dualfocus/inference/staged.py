"""`dualfocus-s` in stages, in bounded memory at any size.

Each plane is encoded once, and large images are fused in tiles: level by level, so that a tile sees all that its cells
depend on, and the answer is that of the whole image. The projection, the coarsest level and the context, which see
furthest, are never cut.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dualfocus.inference.focus_maps import Box, FocusMaps, Size, from_output
from dualfocus.inference.frames import in_unit
from dualfocus.models.layers import pad_to_multiple
from dualfocus.models.output import FocusOutput
from dualfocus.models.precision import full_precision
from dualfocus.models.small import DualFocusSmall

PLANE_CELLS = 190_000  # planes x cells of a level fused at once, else in tiles: about 200 MB
HALO = 6  # cells around a tile: two blocks of two 3x3 kernels, the scores' and the enlargement see no further


class EncodedPlanes:
    """Features of some planes of a stack, computed once each; any choice of them can then be fused.

    Args:
        network: made for it.
        u: (N,) coordinates.
        size: h, w of the images.
        once: `run` is called once: features are forgotten as soon as they are used, for their memory.
    """

    def __init__(self, network: DualFocusSmall, u: Tensor, size: Size, once: bool = False) -> None:
        self.network, self.u, self.size, self.once = network, u, size, once
        self.images: dict[int, Tensor] = {}
        self.features: tuple[dict[int, Tensor], ...] = ({}, {}, {})  # at 1/4, 1/8 and 1/16

    def add(self, n: int, image: Tensor) -> None:
        """Encode plane n, a frame of (3, h, w)."""
        padded = pad_to_multiple(in_unit(image)[None], self.network.stride)
        # for the context alone: as few bits as lose nothing that it would see
        self.images[n] = padded.mul(255).round_().byte() if image.dtype == torch.uint8 else padded.half()
        for level, features in zip(self.features, self.network.encoder(padded), strict=True):
            level[n] = features

    def keep(self, wanted: set[int]) -> None:
        """Forget all other planes."""
        for n in self.images.keys() - wanted:
            del self.images[n]
            for level in self.features:
                del level[n]

    def answer(self, index: Sequence[int], box: Box) -> FocusMaps:
        """What `run` says, as arrays."""
        return from_output(self.run(index, box))

    def run(self, index: Sequence[int], box: Box | None = None) -> FocusOutput:
        """The network's answer from the planes of `index` (increasing) alone, coordinates spanning [0, 1].

        Args:
            index: planes that were added.
            box: what of the image the fusion and the context see; None for all of it.

        Returns:
            maps of the size of the box.
        """
        chosen = list(index)
        box = box or (0, self.size[0], 0, self.size[1])
        u = self.u[chosen].to(self.images[chosen[0]].device)
        u = ((u - u[0]) / (u[-1] - u[0]))[None]
        surface = self.surfaces(chosen)
        surface = None if surface is None else _cut(surface, box, 16)
        coarse, _ = self.network.fuse_level(0, self._features(chosen, 2, box), surface, u)
        (middle,) = self._in_tiles(chosen, 8, box, lambda outer: self._middle(chosen, coarse, u, outer, box))
        score, collapsed = self._in_tiles(chosen, 4, box, lambda outer: self._fine(chosen, middle, u, outer, box))
        return self.network.read_out([score], collapsed, u, (box[1] - box[0], box[3] - box[2]))

    def surfaces(self, chosen: list[int]) -> Tensor | None:
        """What fusion reads of the surfaces, (N, C2, h, w) at 1/16: of the whole image, whatever the tiles."""
        sixteenth = torch.cat([self.features[2][n] for n in chosen])
        return self.network.surfaces(sixteenth, len(chosen))[0]

    def _in_tiles(
        self, chosen: list[int], stride: int, box: Box, compute: Callable[[Box], tuple[Tensor, ...]]
    ) -> list[Tensor]:
        """Maps of the padded box at a stride; each tile sees a halo of its neighbours and keeps its core."""
        whole: list[Tensor] = []
        for core in _tiles(box, len(chosen), stride):
            outer = _with_halo(core, box, HALO * stride)
            parts = compute(outer)
            if core == box:
                return list(parts)
            if not whole:
                rows, columns = (_blocks(stop - start) // stride for start, stop in (box[:2], box[2:]))
                whole = [part.new_empty(*part.shape[:2], rows, columns) for part in parts]
            for target, part in zip(whole, parts, strict=True):
                cells = _cut(target, _moved(core, box), stride)
                row, column = (core[0] - outer[0]) // stride, (core[2] - outer[2]) // stride
                cells.copy_(part[..., row : row + cells.shape[-2], column : column + cells.shape[-1]])
        return whole

    def _middle(self, chosen: list[int], coarser: Tensor, u: Tensor, outer: Box, box: Box) -> tuple[Tensor]:
        """Fusion of a tile at 1/8, (N, C, h, w), upon that of the box at 1/16."""
        coarser = _cut(coarser, _moved(outer, box), 16)
        return (self.network.fuse_level(1, self._features(chosen, 1, outer), coarser, u)[0],)

    def _fine(self, chosen: list[int], coarser: Tensor, u: Tensor, outer: Box, box: Box) -> tuple[Tensor, Tensor]:
        """Scores (N, 1, h, w) and collapsed planes (1, C, h, w) of a tile at 1/4, upon the fusion of the box at 1/8."""
        coarser = _cut(coarser, _moved(outer, box), 8)
        fused, score = self.network.fuse_level(2, self._features(chosen, 0, outer), coarser, u)
        assert score is not None
        with full_precision(score.device):  # bfloat16's autocast joins no numbers of the other 16-bit kind
            images = torch.cat([_cut(self.images[n], outer, 1) for n in chosen])
        return score, self.network.collapse(fused, score, images, u)

    def _features(self, chosen: list[int], level: int, box: Box) -> Tensor:
        """V of a box, (N, C, h, w), at 1/4, 1/8 or 1/16."""
        found = torch.cat([_cut(self.features[level][n], box, 4 << level) for n in chosen])
        if self.once and box == (0, self.size[0], 0, self.size[1]):
            self.features[level].clear()
        return found


def _tiles(box: Box, planes: int, stride: int) -> list[Box]:
    """Boxes that cover `box`, of about one size, each with its halo within `PLANE_CELLS`."""
    top, bottom, left, right = box
    rows, columns = 1, 1
    while True:
        height, width = _blocks((bottom - top) / rows), _blocks((right - left) / columns)
        cells = (height // stride + 2 * HALO) * (width // stride + 2 * HALO)
        if planes * cells <= PLANE_CELLS:
            break
        rows, columns = (rows + 1, columns) if height > width else (rows, columns + 1)
    starts = itertools.product(range(top, bottom, height), range(left, right, width))
    return [(y, min(y + height, bottom), x, min(x + width, right)) for y, x in starts]


def _blocks(side: float) -> int:
    """A side in whole blocks of 16 pixels."""
    return math.ceil(side / 16) * 16


def _with_halo(core: Box, within: Box, halo: int) -> Box:
    top, bottom, left, right = within
    return (
        max(top, core[0] - halo),
        min(bottom, core[1] + halo),
        max(left, core[2] - halo),
        min(right, core[3] + halo),
    )


def _moved(box: Box, origin: Box) -> Box:
    """A box as seen from the top left of another."""
    return (box[0] - origin[0], box[1] - origin[0], box[2] - origin[2], box[3] - origin[2])


def _cut(level: Tensor, box: Box, stride: int) -> Tensor:
    """The cells of a box; a ragged end takes every cell of its last block of 16 pixels."""
    top, bottom, left, right = box
    rows, columns = _blocks(bottom) // stride, _blocks(right) // stride
    return level[..., top // stride : rows, left // stride : columns]
