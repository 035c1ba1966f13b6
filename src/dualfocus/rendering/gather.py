"""The blur of DEReD, HybridDepth and FOSSA: a source-weighted gather over a fixed window."""

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def gather_blur(image: Tensor, radius: Tensor, kernel_size: int = 7) -> Tensor:
    """Blur each pixel with what its neighbours spread onto it, without occlusion order, in the values given.

    A target with c <= 1 is copied. Any other is the weighted mean over a `kernel_size` window in which every
    neighbour x, y px away counts (1 / c^2) exp(-2 (x^2 + y^2) / c^2) with its own c, neighbours with c <= 1 and those
    outside the image count nothing.

    Args:
        image: (B, C, H, W).
        radius: (B, 1, H, W), radius c in px of the circle of confusion at each pixel.
        kernel_size: odd side of the window.

    Returns:
        (B, C, H, W), a new tensor.

    Raises:
        ValueError: for an even or non-positive `kernel_size`.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, not {kernel_size}")
    if image.device.type == "cpu" and len(image) > 1:  # one picture at a time stays in the processor's cache
        return torch.cat([gather_blur(i, r, kernel_size) for i, r in zip(image.split(1), radius.split(1), strict=True)])
    batch, channels, height, width = image.shape
    half = kernel_size // 2
    blurred = radius > 1.0
    inverse = torch.where(blurred, radius, torch.ones_like(radius)).square().reciprocal() * blurred
    # zero padding: a padded source has weight 0 whatever its distance
    source = functional.pad(torch.cat([image * inverse, inverse], 1), (half,) * 4)
    steps = [torch.exp(functional.pad(inverse, (half,) * 4) * (-2.0 * k * k)) for k in range(half + 1)]
    total = source.new_zeros(batch, channels + 1, height, width)
    for y in range(half + 1):
        # exp(-2 (x^2 + y^2) / c^2) is a product, so the sums along rows are shared by +y and -y
        weighted = source * steps[y] if y else source
        row = weighted[..., half : half + width].clone()
        for x in range(1, half + 1):
            part = weighted * steps[x]
            row += part[..., half - x : half - x + width]
            row += part[..., half + x : half + x + width]
        total += row[..., half - y : half - y + height, :]
        if y:
            total += row[..., half + y : half + y + height, :]
    weight = total[:, channels:]
    # a blurred target always counts itself, so its weight is positive
    return torch.where(blurred, total[:, :channels] / weight.clamp(min=torch.finfo(weight.dtype).tiny), image)
