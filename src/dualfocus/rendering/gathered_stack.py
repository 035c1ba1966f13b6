"""Focal stacks of RGB-D images as the peers render them: a thin lens, a gather blur, planes over the depth range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.optics import circle_of_confusion_px, planes_even_in_depth
from dualfocus.pixels import to_unit

WINDOW = 7


@dataclass(frozen=True)
class Lens:
    """A thin lens before square pixels, lengths in metres."""

    focal_length: float
    f_number: float
    pixel_pitch: float

    def blur_radius(self, depth: NDArray[Any], focus_distance: float) -> NDArray[np.float64]:
        """Radius in pixels of the circle of confusion, c = C / 2p with the pixel pitch p.

        Args:
            depth: (H, W) in metres; 0 (a hole) gets an enormous radius, as in the peers' renderers.
            focus_distance: in metres.
        """
        d = np.asarray(depth, np.float64) + 1e-8
        return circle_of_confusion_px(d, focus_distance, self.focal_length, self.f_number, self.pixel_pitch) / 2


def render_gather_stack(
    rgb: NDArray[Any], depth: NDArray[Any], focus_distances: NDArray[np.float64], lens: Lens, window: int = WINDOW
) -> NDArray[np.float32]:
    """Blur an image for each focus distance with the peers' renderer.

    Args:
        rgb: (H, W, 3) uint8, or float in [0, 1].
        depth: (H, W) in metres.
        focus_distances: (N,) in metres.
        lens: of the camera.
        window: odd side in pixels of what a pixel gathers from.

    Returns:
        (N, H, W, 3) float32 in [0, 1].
    """
    import torch

    from dualfocus.rendering.gather import gather_blur

    image = torch.from_numpy(np.ascontiguousarray(to_unit(rgb).transpose(2, 0, 1)))
    radius = np.stack([lens.blur_radius(depth, s) for s in focus_distances.tolist()]).astype(np.float32)
    with torch.no_grad():
        blurred = gather_blur(
            image.expand(len(radius), -1, -1, -1), torch.from_numpy(radius)[:, None], kernel_size=window
        )
    return blurred.clamp_(0, 1).permute(0, 2, 3, 1).contiguous().numpy()


def planes_over(depth: NDArray[Any], mask: NDArray[np.bool_], planes: int, where: str) -> NDArray[np.float64]:
    """Focus distances equally spaced in metres over the valid depths of an image, which tells the network that range.

    Args:
        depth: (H, W) in metres.
        mask: (H, W) bool, the valid pixels.
        planes: how many.
        where: the file, for the message.

    Raises:
        ValueError: no valid pixel, or all have one depth.
    """
    valid = depth[mask]
    if valid.size == 0:
        raise ValueError(f"{where}: no pixel has a valid depth")
    near, far = float(valid.min()), float(valid.max())
    if not far > near:
        raise ValueError(f"{where}: all depths are {near:g} m: no focus range")
    return planes_even_in_depth(near, far, planes)
