"""The metrics of `dualfocus.metrics` for batches of maps in torch, on any device; they agree with numpy to 1e-6.

Maps are (B, H, W), prediction and truth of one kind and unit. They are measured in float64 where the device has it.
Nothing is raised for what is in the maps, so that nothing waits for the device: where the numpy version refuses a map
(an empty mask, a counted value that is not finite, a truth that is not positive), its figures are NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dualfocus.metrics.boundary import LEAST_DEPTH, THRESHOLDS
from dualfocus.metrics.bump import BUMP_CLIP
from dualfocus.metrics.depth import BADPIX_THRESHOLD, CLOSE_RATIOS, DELTA_BASE


def depth_metrics(prediction: Tensor, truth: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """`dualfocus.metrics.depth_metrics` of every map: name to (B,).

    Args:
        prediction: (B, H, W).
        truth: (B, H, W).
        mask: (B, H, W) bool.
    """
    y, t, n = _counted(prediction, truth, mask)
    usable = _usable(y, t, mask)
    log_ratio = _log_ratio(y, t)
    figures = _errors(y, t, n, mask)
    figures["log_rms"] = _root(_sum(log_ratio**2, mask) / n)
    figures |= {f"delta{k}": _within(y, t, mask, DELTA_BASE**k) / n for k in (1, 2, 3)}
    return {name: torch.where(usable, value, torch.nan) for name, value in figures.items()}


def fossa_metrics(prediction: Tensor, truth: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """`dualfocus.metrics.fossa_metrics` of every map: name to (B,); arguments as for `depth_metrics`."""
    y, t, n = _counted(prediction, truth, mask)
    g = _log_ratio(y, t)
    figures = {name: _within(y, t, mask, ratio) / n for name, ratio in CLOSE_RATIOS.items()}
    figures["log10"] = _sum(g.abs(), mask) / n / torch.log(torch.tensor(10.0, dtype=g.dtype))
    figures["silog"] = _root(_sum(g**2, mask) / n - 0.5 * (_sum(g, mask) / n) ** 2)
    figures["boundary_f1"] = boundary_f1(prediction, truth, mask)
    usable = _usable(y, t, mask)
    extra = {name: torch.where(usable, value, torch.nan) for name, value in figures.items()}
    return depth_metrics(prediction, truth, mask) | extra


def dfv_metrics(prediction: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """`dualfocus.metrics.dfv_metrics` of every map: name to (B,), 0 for a map without truth.

    Args:
        prediction: (B, H, W), finite everywhere.
        truth: (B, H, W), 0 where there is none.
    """
    mask = truth > 0
    y, t, n = _counted(prediction, truth, mask)
    positive = mask & (y > 0)  # others leave the sum of logarithms but stay in the count
    figures = _errors(y, t, n, mask)
    figures["log_rms"] = _root(_sum(_log_ratio(torch.where(positive, y, 1), t) ** 2, positive) / n)
    figures |= {f"delta{k}": 100 * _within(y, t, mask, DELTA_BASE**k) / n for k in (1, 2, 3)}
    figures["badpix"] = 100 * _sum((y - t).abs() > BADPIX_THRESHOLD, mask) / n
    figures["bump"] = bumpiness(prediction, truth)
    return {name: torch.where(mask.flatten(1).any(1), value, 0) for name, value in figures.items()}


def bumpiness(prediction: Tensor, truth: Tensor, mask: Tensor | None = None) -> Tensor:
    """`dualfocus.metrics.bumpiness` of every map, (B,); 0 for an empty mask.

    Args:
        prediction: (B, H, W), unmasked.
        truth: (B, H, W), 0 where there is none.
        mask: (B, H, W) bool; pixels with truth > 0 when None.
    """
    counted = truth > 0 if mask is None else mask
    error = _accurate(prediction) - _accurate(truth)
    kernel = torch.outer(error.new_tensor([3, 10, 3]) / 16, error.new_tensor([-1, 0, 1]))
    kernels = torch.stack([kernel, kernel.T])[:, None]
    first = _filtered(error[:, None], kernels)  # (B, 2, H, W): x and y
    second = _filtered(first.flatten(0, 1)[:, None], kernels).unflatten(0, first.shape[:2])
    norm = second.square().sum(dim=(1, 2)).sqrt().clamp(max=BUMP_CLIP)
    return 100 * _sum(norm, counted) / counted.flatten(1).sum(1).clamp(min=1)


def boundary_f1(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """`dualfocus.metrics.boundary_f1` of every map, (B,); arguments as for `depth_metrics`."""
    y, t = (torch.where(mask, _accurate(a), 1).clamp(min=LEAST_DEPTH) for a in (prediction, truth))
    thresholds = torch.as_tensor(THRESHOLDS, dtype=y.dtype, device=y.device)
    precision, recall = torch.zeros(2, len(y), len(thresholds), dtype=y.dtype, device=y.device)
    for axis in (-1, -2):
        later, earlier = (slice(1, None), slice(None, -1))
        for first, second in ((later, earlier), (earlier, later)):
            a, b = (_part(m, axis, first) / _part(m, axis, second) for m in (y, t))
            valid = _part(mask, axis, first) & _part(mask, axis, second)
            for k, threshold in enumerate(thresholds):
                predicted, true = valid & (a > threshold), valid & (b > threshold)
                both = (predicted & true).flatten(1).sum(1).to(y.dtype)  # whole numbers would divide to float32
                precision[:, k] += both / predicted.flatten(1).sum(1).clamp(min=1) / 4
                recall[:, k] += both / true.flatten(1).sum(1).clamp(min=1) / 4
    total = precision + recall
    f1 = 2 * precision * recall / torch.where(total > 0, total, 1)
    return (f1 * thresholds).sum(1) / thresholds.sum()


def _accurate(values: Tensor) -> Tensor:
    """As float64; float32 on Apple's GPUs, which have none."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


def _counted(prediction: Tensor, truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maps with 1 in both where nothing counts, and the number of pixels that do, (B,); NaN where there is none."""
    y, t = (torch.where(mask, _accurate(a), 1) for a in (prediction, truth))
    count = mask.flatten(1).sum(1).to(y.dtype)
    return y, t, torch.where(count > 0, count, torch.nan)


def _usable(y: Tensor, t: Tensor, mask: Tensor) -> Tensor:
    """(B,) whether the numpy version would measure the map."""
    good = y.isfinite() & t.isfinite() & (t > 0)
    return (good | ~mask).flatten(1).all(1) & mask.flatten(1).any(1)


def _errors(y: Tensor, t: Tensor, n: Tensor, mask: Tensor) -> dict[str, Tensor]:
    error = y - t
    mse = _sum(error**2, mask) / n
    return {
        "mse": mse,
        "rmse": _root(mse),
        "abs_rel": _sum(error.abs() / t, mask) / n,
        "sq_rel": _sum(error**2 / t, mask) / n,
    }


def _log_ratio(y: Tensor, t: Tensor) -> Tensor:
    """Logarithm of y / t, NaN where the prediction is not positive."""
    return torch.where(y > 0, y, torch.nan).log() - t.log()


def _within(y: Tensor, t: Tensor, mask: Tensor, ratio: float) -> Tensor:
    """(B,) number of pixels with max(y/t, t/y) below the ratio; predictions that are not positive fail."""
    positive = y > 0
    safe = torch.where(positive, y, 1)
    return _sum(positive & (torch.maximum(safe / t, t / safe) < ratio), mask)


def _sum(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, torch.zeros_like(values)).flatten(1).sum(1)


def _root(values: Tensor) -> Tensor:
    return values.clamp(min=0).sqrt()


def _filtered(maps: Tensor, kernels: Tensor) -> Tensor:
    """(B, 1, H, W) by (C, 1, 3, 3), borders mirrored with the edge pixel, which for one pixel is replication."""
    return F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), kernels)


def _part(maps: Tensor, axis: int, part: slice) -> Tensor:
    return maps[:, part] if axis == -2 else maps[..., part]
