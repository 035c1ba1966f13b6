"""Occlusion-aware thin-lens blur of layered scenes, in linear light."""

import torch
from torch import Tensor

from dualfocus.rendering.psf import kernel_radius, ladder_levels, psf_shape, transfer_functions

_FAST_SIZES = sorted(2**a * 3**b * 5**c for a in range(3, 13) for b in range(4) for c in range(3))
_Box = tuple[int, int, int, int]  # y0, y1, x0, x1


@torch.no_grad()
def render_layers(rgb: Tensor, alpha: Tensor, coc: Tensor, *, psf: float | str = 0.0, margin: int = 0) -> Tensor:
    """Photograph a stack of layers, given back to front, once for each plane.

    Every layer is blurred (premultiplied, so that its edge blurs with it) at a fixed ladder of diameters; each pixel
    of each plane mixes the two ladder levels around its own CoC with the weight that makes the variance of the blur
    exact, t = (C^2 - C1^2) / (C2^2 - C1^2); the layers are then composited. What a layer hides shows through its
    blurred rim, because every layer is defined on the whole canvas.

    Args:
        rgb: (B, L, 3, H, W) linear light.
        alpha: (B, L, 1, H, W) in [0, 1].
        coc: (B, L, N, H, W) CoC diameter in px of layer l at that pixel in plane n, also beyond the silhouette.
        psf: "disk", "gaussian" or the Gaussian's share in [0, 1].
        margin: border in px that is cut off the result. The canvas should exceed the picture by the radius of the
            largest blur on each side; where it does not, its border pixels are repeated.

    Returns:
        (B, N, 3, H - 2 margin, W - 2 margin) linear light.
    """
    shape = psf_shape(psf)
    batch, layers, planes, height, width = coc.shape
    out = rgb.new_zeros(batch, planes, height - 2 * margin, width - 2 * margin, 3)
    for layer in range(layers):
        _composite_layer(out, rgb[:, layer], alpha[:, layer], coc[:, layer], shape, margin)
    return out.permute(0, 1, 4, 2, 3).contiguous()


def _composite_layer(out: Tensor, rgb: Tensor, alpha: Tensor, coc: Tensor, psf: float, margin: int) -> None:
    """Put one blurred layer over `out` (B, N, h, w, 3), in place, where it has any influence."""
    opaque = _support(alpha)
    if opaque is None:
        return
    frame = (margin, alpha.shape[-2] - margin, margin, alpha.shape[-1] - margin)
    box = _dilate(opaque, kernel_radius(ladder_levels(0.0, float(coc.max()))[-1], psf), frame)
    low, high = torch.aminmax(coc[:, :, box[0] : box[1], box[2] : box[3]]) if _area(box) else (coc.min(), coc.max())
    levels = ladder_levels(float(low), float(high))
    radius = kernel_radius(levels[-1], psf)
    box = _dilate(opaque, radius, frame)
    if not _area(box):
        return
    ladder = _blur_ladder(torch.cat([rgb * alpha, alpha], 1), box, radius, levels, psf)
    y0, y1, x0, x1 = box
    for plane in range(coc.shape[1]):
        value = _interpolate(ladder, levels, coc[:, plane, y0:y1, x0:x1])
        target = out[:, plane, y0 - margin : y1 - margin, x0 - margin : x1 - margin]
        target.mul_(1.0 - value[..., 3:]).add_(value[..., :3])


def _support(alpha: Tensor) -> _Box | None:
    """Bounding box of alpha > 0 over the batch, or None for an empty layer."""
    mask = alpha.amax((0, 1)) > 0
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    if not len(rows):
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _dilate(box: _Box, radius: int, frame: _Box) -> _Box:
    y0, y1, x0, x1 = box
    return (
        max(y0 - radius, frame[0]),
        min(y1 + radius, frame[1]),
        max(x0 - radius, frame[2]),
        min(x1 + radius, frame[3]),
    )


def _area(box: _Box) -> int:
    return max(box[1] - box[0], 0) * max(box[3] - box[2], 0)


def _fast_size(size: int) -> int:
    return next((fast for fast in _FAST_SIZES if fast >= size), size)


def _blur_ladder(image: Tensor, box: _Box, radius: int, levels: tuple[float, ...], psf: float) -> Tensor:
    """The image (B, 4, H, W) blurred at every level, inside `box`: (K, B, h, w, 4), channels last for row gathers.

    The window reaches one radius beyond the box, so the wrap-around of the FFT never gets into it.
    """
    y0, y1, x0, x1 = box
    size = (_fast_size(y1 - y0 + 2 * radius), _fast_size(x1 - x0 + 2 * radius))
    rows = torch.arange(y0 - radius, y0 - radius + size[0], device=image.device).clamp_(0, image.shape[-2] - 1)
    columns = torch.arange(x0 - radius, x0 - radius + size[1], device=image.device).clamp_(0, image.shape[-1] - 1)
    spectrum = torch.fft.rfft2(image[:, :, rows][..., columns].float())
    transfer = transfer_functions(levels, psf, size, str(image.device))
    blurred = torch.fft.irfft2(spectrum * transfer[:, None, None], s=size)
    inside = blurred[..., radius : radius + y1 - y0, radius : radius + x1 - x0]
    return inside.permute(0, 1, 3, 4, 2).contiguous()


def _interpolate(ladder: Tensor, levels: tuple[float, ...], coc: Tensor) -> Tensor:
    """Mix the two levels that bracket `coc` (B, h, w), linearly in the squared diameter: (B, h, w, 4)."""
    count = len(levels)
    edges = torch.tensor(levels, device=coc.device)
    squared = edges * edges
    index = torch.bucketize(coc.contiguous(), edges[1:-1], right=True)
    weight = (coc * coc - squared[index]).mul_((1.0 / (squared[1:] - squared[:-1]))[index]).clamp_(0.0, 1.0)
    rows = ladder.view(count, -1, 4)
    flat = index.flatten() * rows.shape[1] + torch.arange(rows.shape[1], device=coc.device)
    rows = rows.view(-1, 4)
    lower = rows.index_select(0, flat)
    upper = rows.index_select(0, flat + coc.numel())
    return torch.lerp(lower, upper, weight.reshape(-1, 1)).view(*coc.shape, 4)
