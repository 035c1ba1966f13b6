"""Stacks that leave the loader sharp and are blurred in batches on the training device."""

from __future__ import annotations

from typing import NamedTuple, TypedDict, cast

import numpy as np
import torch
from torch import Tensor

from dualfocus.rendering.gather import gather_blur
from dualfocus.training.objective import Batch
from dualfocus.training.stacks import TrainingStack


class SharpStack(NamedTuple):
    """A training stack before its blur.

    Attributes:
        image: (H + 2 m, W + 2 m, 3) uint8: a square and the m = `window // 2` pixels around it.
        radius: (N, H + 2 m, W + 2 m) float32, radius of the circle of confusion in pixels at every plane; 0, which
            spreads nothing, outside the picture.
        coordinates: (N,), truth: (H, W), known: (H, W), ratio: as in `TrainingStack`.
        window: side of the window of the gather blur.
    """

    image: np.ndarray
    radius: np.ndarray
    coordinates: np.ndarray
    truth: np.ndarray
    known: np.ndarray
    ratio: float
    window: int


class SharpBatch(TypedDict):
    """`SharpStack` in batches: image (B, h, w, 3) uint8, radius (B, N, h, w), the rest as in `Batch`."""

    image: Tensor
    radius: Tensor
    coordinates: Tensor
    truth: Tensor
    known: Tensor
    ratio: Tensor
    window: int


def mirrored(stack: SharpStack) -> SharpStack:
    """Left and right exchanged."""
    radius, truth, known = (array[..., ::-1] for array in (stack.radius, stack.truth, stack.known))
    return stack._replace(image=stack.image[:, ::-1], radius=radius, truth=truth, known=known)


def collate_sharp(stacks: list[SharpStack]) -> SharpBatch:
    """Stack sharp stacks of one size and number of planes."""
    image, radius, coordinates, truth, known = (
        torch.from_numpy(np.stack([getattr(stack, name) for stack in stacks]))
        for name in ("image", "radius", "coordinates", "truth", "known")
    )
    return SharpBatch(
        image=image,
        radius=radius,
        coordinates=coordinates.float(),
        truth=truth,
        known=known,
        ratio=torch.tensor([stack.ratio for stack in stacks]),
        window=stacks[0].window,
    )


def on_device(batch: Batch | SharpBatch, device: torch.device) -> Batch:
    """A batch of the loader on the training device, blurred there if it came sharp."""
    moved = {key: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for key, v in batch.items()}
    if "radius" in moved:
        return blur_batch(cast(SharpBatch, moved))
    return cast(Batch, moved)


def blur_batch(batch: SharpBatch) -> Batch:
    """Blur every stack at every plane, on the device that the batch is on.

    Nothing is rounded, as it is not in the stacks that the protocol measures with: a network trained on stacks rounded
    to 8 bits makes several per cent more error on them.
    """
    stacks, planes = batch["radius"].shape[:2]
    image = batch["image"].permute(0, 3, 1, 2).float() / 255
    window = batch["window"]
    sharp = image[:, None].expand(-1, planes, -1, -1, -1).flatten(0, 1)
    blurred = gather_blur(sharp, batch["radius"].flatten(0, 1)[:, None], window)
    margin = window // 2
    inner = blurred[..., margin : blurred.shape[-2] - margin, margin : blurred.shape[-1] - margin]
    images = (inner.clamp(0, 1) * 255).permute(0, 2, 3, 1).unflatten(0, (stacks, planes))
    return Batch(
        images=images,
        coordinates=batch["coordinates"],
        truth=batch["truth"],
        known=batch["known"],
        ratio=batch["ratio"],
    )


def blurred(stack: SharpStack) -> TrainingStack:
    """One stack, blurred here and now."""
    images = blur_batch(collate_sharp([stack]))["images"][0].numpy()
    return TrainingStack(images, stack.coordinates, stack.truth, stack.known, stack.ratio)
