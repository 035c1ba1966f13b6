"""Entry to a level of the fusion: a 1x1 convolution of V* and of the coarser level, without forming V*.

V* holds each plane V_n and its step to the next one (`dualfocus.models.volume.differential_volume`). With the
kernel split in the same way, W = [W_v, W_s], every plane gets the sum of two terms, each of one plane of V:

    W V*_n = W_v V_n + W_s (V_{n+1} - V_n) = a_n + b_{n+1},    a = (W_v - W_s) V,  b = W_s V

The step of the last plane is the one to it, V_N - V_{N-1}:

    W V*_N = (W_v + W_s) V_N - W_s V_{N-1} = a_N + 2 b_N - b_{N-1}

So V, which has half the channels of V*, is convolved once, and no step is ever stored. A 1x1 convolution also commutes
with bilinear upsampling, so the coarser level is convolved at its own size, a quarter of the pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dualfocus.models.layers import ConvNorm, upsample_2x


class LevelEntry(ConvNorm):
    """1x1 convolution, batch norm and ReLU of V* beside the features of the coarser level.

    Args:
        channels: C of V.
        coarser: C' of the features of the coarser level, 0 for none.
        outputs: channels of the result.
        enlarge: the coarser level has half the size of V.
    """

    def __init__(self, channels: int, coarser: int, outputs: int, enlarge: bool) -> None:
        super().__init__(2 * channels + coarser, outputs, kernel=1)
        self.parts, self.enlarge = (channels, channels, coarser), enlarge

    def forward(self, volume: Tensor, coarser: Tensor | None, planes: int) -> Tensor:  # type: ignore[override]
        """Enter a level.

        Args:
            volume: V, (B * N, C, h, w).
            coarser: features of the coarser level, (B * N, C', h, w), h / 2 and w / 2 with `enlarge`; None for none.
            planes: N.

        Returns:
            (B * N, outputs, h, w).
        """
        w_volume, w_step, w_coarser = self.conv.weight.split(self.parts, dim=1)
        weight, bias = torch.cat((w_volume - w_step, w_step)), self.conv.bias  # of a and b, in one convolution
        bias = None if bias is None else F.pad(bias, (0, len(w_step)))  # added once, with a
        coarser = None if coarser is None else F.conv2d(coarser.to(volume.dtype), w_coarser)
        if torch.is_grad_enabled() or torch.jit.is_tracing():
            a, b = F.conv2d(volume, weight, bias).unflatten(0, (-1, planes)).chunk(2, dim=2)
            x = add_plane_steps(a, b).flatten(0, 1)
            if coarser is not None:
                x = x + self._at_full_size(coarser)
        else:
            x = self._by_plane(volume, weight, bias, coarser, planes)
        return self.norm(x).relu_()

    def _at_full_size(self, coarser: Tensor) -> Tensor:
        return upsample_2x(coarser) if self.enlarge else coarser

    def _by_plane(
        self, volume: Tensor, weight: Tensor, bias: Tensor | None, coarser: Tensor | None, planes: int
    ) -> Tensor:
        """The same sum with a and b of one plane at a time, to save memory; its writes in place allow no gradient."""
        width, size = len(weight) // 2, volume.shape[-2:]
        x = volume.new_empty(len(volume), *size, width).permute(0, 3, 1, 2)  # channels last
        result, source = (maps.unflatten(0, (-1, planes)) for maps in (x, volume))
        terms = (F.conv2d(source[:, n], weight, bias).split(width, dim=1) for n in range(planes))
        result[:, 0], b_before = next(terms)
        for n, (a, b) in enumerate(terms, 1):
            result[:, n] = a
            result[:, n - 1] += b
            if n == planes - 1:
                result[:, n] += 2 * b - b_before
            b_before = b
        if coarser is not None:
            for n, plane in enumerate(coarser.unflatten(0, (-1, planes)).unbind(1)):
                result[:, n] += self._at_full_size(plane)
        return x


def add_plane_steps(a: Tensor, b: Tensor) -> Tensor:
    """`a_n + b_{n+1}`, of the last plane `a_N + 2 b_N - b_{N-1}`; (B, N, C, H, W) each."""
    last = a[:, -1:] + 2 * b[:, -1:] - b[:, -2:-1]
    return torch.cat((a[:, :-1] + b[:, 1:], last), dim=1)
