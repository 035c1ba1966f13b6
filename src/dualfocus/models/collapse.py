"""The planes of a stack collapsed to one picture: what they show in focus, for a network over space alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dualfocus.models.encoder import LOG_SCALE, modified_laplacian
from dualfocus.models.volume import focus_moments

CELL = 4  # pixels of a side: a collapsed stack is at 1/4
# channels of the collapsed planes: first colours and PixelSharpness of every pixel of a cell
_PIXEL_CHANNELS = 5 * CELL**2
LOCAL = slice(_PIXEL_CHANNELS, _PIXEL_CHANNELS + 3)  # then mean, deviation and maximum of the local probability
DETAIL_POWER = 2  # a plane with twice the detail of another gets about four times its weight


def collapse(images: Tensor, features: Tensor, probability: Tensor, coordinates: Tensor) -> Tensor:
    """What the planes show in focus, without the plane axis: the input of `dualfocus.models.context.SceneContext`.

    Planes are added one by one, because the images are large.

    Args:
        images: (B, N, 3, H, W) in [0, 1], or 8 bits, H and W multiples of 4.
        features: decoder features, (B, N, C, H / 4, W / 4).
        probability: focus probability, (B, N, H / 4, W / 4); taken as given, no gradient.
        coordinates: (B, N).

    Returns:
        (B, C + 83, H / 4, W / 4): the image in focus and `PixelSharpness`, by cells of 4 x 4 pixels; mean and
        deviation of the coordinate under the probability, and its maximum; the features in focus.
    """
    p = probability.detach()
    features_in_focus = torch.zeros_like(features[:, 0], dtype=p.dtype)
    image_in_focus = p.new_zeros(len(p), 3, *images.shape[-2:])
    sharpness = PixelSharpness(image_in_focus[:, 0])
    for n, (image, feature) in enumerate(zip(images.unbind(1), features.unbind(1), strict=True)):
        share = p[:, n : n + 1]
        features_in_focus.addcmul_(feature.to(p.dtype), share)
        plane = image.to(p.dtype).div_(255) if image.dtype == torch.uint8 else image.to(p.dtype)
        # one probability for all pixels of a cell
        image_in_focus.addcmul_(plane, F.interpolate(share, scale_factor=CELL))
        sharpness.add(plane, coordinates[:, n])
    pixels = _by_cell(torch.cat((image_in_focus, sharpness.result()), dim=1))
    parts = pixels, certainty(p, coordinates), features_in_focus
    return torch.cat([part.permute(0, 2, 3, 1) for part in parts], dim=3).permute(0, 3, 1, 2)  # channels last


def _by_cell(maps: Tensor) -> Tensor:
    """`F.pixel_unshuffle` by 4. Faster on CPUs: four neighbours in a row are copied as one number of 16 bytes."""
    if maps.device.type != "cpu" or maps.dtype != torch.float32 or torch.compiler.is_compiling():
        return F.pixel_unshuffle(maps, CELL)
    rows = maps.view(torch.complex128).unflatten(2, (-1, CELL))  # (B, C, h, 4, w)
    return rows.permute(0, 2, 4, 1, 3).flatten(3).view(torch.float32).permute(0, 3, 1, 2)


def certainty(probability: Tensor, coordinates: Tensor) -> Tensor:
    """Mean and deviation of the coordinate under a probability, and its maximum: (B, N, h, w) -> (B, 3, h, w)."""
    first, second = focus_moments(probability, coordinates)
    deviation = (second - first.square()).clamp(min=0).sqrt()
    return torch.stack((first, deviation, probability.amax(dim=1)), dim=1)


class PixelSharpness:
    """Where each single pixel is sharpest and by how much, planes added one by one.

    Noisier than the focus probability, which has one value for a whole cell. The mean coordinate is taken under a
    softmax over planes of `DETAIL_POWER * log(1 + L)` with L the modified Laplacian; that is a mean with the weights
    `(1 + L) ** DETAIL_POWER`, for which running sums are enough.

    Args:
        like: any map of the size, type and device of one plane, (B, H, W).
    """

    def __init__(self, like: Tensor) -> None:
        self.planes = 0
        self.total, self.weighted_coordinate, self.highest, self.logs = (torch.zeros_like(like) for _ in range(4))

    def add(self, image: Tensor, coordinate: Tensor) -> None:
        """Take a plane, (B, 3, H, W) in [0, 1], and its coordinate, (B,)."""
        detail = modified_laplacian(image)[:, 0]
        weight = (detail + 1).pow_(DETAIL_POWER)
        self.total += weight
        self.weighted_coordinate.addcmul_(weight, coordinate[:, None, None])
        self.highest = torch.maximum(self.highest, detail)
        self.logs += detail.log1p_()
        self.planes += 1

    def result(self) -> Tensor:
        """(B, 2, H, W): the mean coordinate, and the maximum of log(1 + L) over planes less its mean; call it once."""
        contrast_gain = self.highest.log1p().sub_(self.logs.div_(self.planes)).div_(LOG_SCALE)
        return torch.stack((self.weighted_coordinate.div_(self.total), contrast_gain), dim=1)
