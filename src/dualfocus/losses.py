"""The training objective: smooth-L1 depth, spatial and focal variational losses, and what is not of the paper.

Depth and focus coordinates are in one common unit; every mean runs over valid pixels only, but for that of the
distillation, which needs no truth. Every loss is a scalar, and what invalid pixels hold (NaN included) changes neither
it nor its gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dualfocus.models.output import FocusOutput


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of `values` where `valid`; 0 (with a gradient of 0) when nothing is valid.

    Invalid entries may hold anything, NaN included.
    """
    kept = torch.where(valid, values, torch.zeros_like(values))
    total = kept.sum(dtype=torch.promote_types(values.dtype, torch.float32))  # half precision ends at 65504
    return (total / valid.sum().clamp(min=1)).to(values.dtype)


def sharpness_weights(depth: Tensor, coordinates: Tensor, temperature: Tensor | float | None = None) -> Tensor:
    """How sharp the truth says each plane is (paper: q_n), `softmax_n(-|f_n - D*| / tau)`, detached.

    Args:
        depth: D*, (B, H, W), in the unit of `coordinates`.
        coordinates: f, (B, N), monotone.
        temperature: tau; default the mean plane spacing `|f_N - f_1| / (N - 1)`: then q does not depend on the unit,
            and an inner plane of many has 0.46 where it is in focus, the first and the last 0.63 (docs/method.md for
            fewer planes). The paper's own value is 1 in the protocol's unit.

    Returns:
        (B, N, H, W), sums to 1 over N.
    """
    if temperature is None:
        planes = coordinates.shape[1]
        temperature = ((coordinates[:, -1] - coordinates[:, 0]).abs() / (planes - 1))[:, None, None, None]
    distance = (coordinates[:, :, None, None] - depth[:, None]).abs()
    return torch.softmax(-distance / temperature, dim=1).detach()


def spatial_variational_loss(
    predicted_gradient: Tensor, depth: Tensor, q: Tensor, valid: Tensor, baseline: int = 1
) -> Tensor:
    """L_sv: the decoded gradient of every surface follows the true depth gradient where its plane is sharp.

    `mean_x sum_n q_n(x) ||grad D*(x) - theta_grad(z*_n)(x)||_1`. A difference counts only where its two ends
    and all pixels between them are valid and inside the image.

    A longer `baseline` d is not in the paper: it compares the mean gradient of d pixels in a row with
    `(D*(x + d) - D*(x)) / d`. From one pixel to the next depth hardly changes but at edges, which no
    prediction places to the pixel, so that a surface that is flat everywhere is next to the best under an L1
    norm. The difference over a longer baseline grows with its length on a slope, and the exact position of an edge
    matters less for it.

    Args:
        predicted_gradient: theta_grad(z*_n), (B, N, 2, H, W), components x then y.
        depth: D*, (B, H, W).
        q: sharpness weights, (B, N, H, W).
        valid: bool, (B, H, W).
        baseline: pixels between the two ends of a difference.

    Returns:
        a scalar, in the unit of `depth` per pixel; 0 along a side that is not longer than the baseline.
    """
    known = torch.where(valid, depth, torch.zeros_like(depth))
    per_pixel = torch.zeros_like(known, dtype=predicted_gradient.dtype)
    for component, axis in ((0, -1), (1, -2)):
        rest = depth.shape[axis] - baseline
        if rest <= 0:
            continue
        start, end = (torch.narrow(known, axis, offset, rest) for offset in (0, baseline))
        counts = valid.unfold(axis, baseline + 1, 1).all(dim=-1)
        gradient = torch.where(valid[:, None], predicted_gradient[:, :, component], 0.0)
        walked = _window_sum(gradient, axis, baseline).narrow(axis, 0, rest)
        error = ((end - start)[:, None] - walked).abs() / baseline
        counted = (q.narrow(axis, 0, rest) * torch.where(counts[:, None], error, torch.zeros_like(error))).sum(dim=1)
        per_pixel = per_pixel + F.pad(counted, (0, baseline) if axis == -1 else (0, 0, 0, baseline))
    return masked_mean(per_pixel, valid)


def _window_sum(values: Tensor, axis: int, length: int) -> Tensor:
    """Sum of `length` values in a row, from every position on: shorter by `length - 1` along `axis`."""
    return values if length == 1 else values.unfold(axis, length, 1).sum(dim=-1)


def focal_variational_loss(probability: Tensor, valid: Tensor | None = None) -> Tensor:
    """L_fv: the focus probability rises to its maximum and falls after it.

    `k = argmax_n p_n` (the first maximum, no gradient through k);
    `mean_x sum_{i<k} max(0, p_i - p_{i+1})^2 + sum_{i>=k} max(0, p_{i+1} - p_i)^2`: 0 for every unimodal p.

    Args:
        probability: p, (B, N, H, W).
        valid: bool, (B, H, W); default everywhere.

    Returns:
        a scalar.
    """
    if valid is not None:
        probability = torch.where(valid[:, None], probability, 0.0)  # before what is not linear: 0 times NaN is NaN
    peak = probability.argmax(dim=1, keepdim=True)
    step = probability[:, 1:] - probability[:, :-1]
    index = torch.arange(step.shape[1], device=step.device)[None, :, None, None]
    wrong_way = torch.where(index < peak, -step, step)
    per_pixel = F.relu(wrong_way).square().sum(dim=1)
    return per_pixel.mean() if valid is None else masked_mean(per_pixel, valid)


def depth_loss(prediction: Tensor, depth: Tensor, valid: Tensor, beta: float = 1.0) -> Tensor:
    """L_depth: smooth-L1 between predicted and true depth on valid pixels.

    Args:
        prediction: estimated depth or focus coordinate, (B, H, W).
        depth: the truth, (B, H, W), in the same unit.
        valid: bool, (B, H, W).
        beta: error at which the loss turns from quadratic to linear, in the unit of `depth`.
    """
    error = torch.where(valid, prediction - depth, torch.zeros_like(prediction))
    return masked_mean(F.smooth_l1_loss(error, torch.zeros_like(error), beta=beta, reduction="none"), valid)


def confidence_loss(logit: Tensor, error: Tensor, threshold: Tensor | float, known: Tensor) -> Tensor:
    """Cross-entropy of the confidence against "the error is below half a plane spacing".

    Not part of the paper. It trains the confidence head alone: `logit` must come from detached features.

    Args:
        logit: (B, H, W).
        error: absolute error, (B, H, W).
        threshold: half a plane spacing, broadcastable to (B, H, W).
        known: bool, (B, H, W), where the truth is known, also outside the focus range.
    """
    logit = torch.where(known, logit, 0.0)  # before what is not linear: 0 times NaN is NaN
    target = (error.detach() < threshold).to(logit.dtype)
    return masked_mean(F.binary_cross_entropy_with_logits(logit, target, reduction="none"), known)


def distillation_loss(student: FocusOutput, teacher: FocusOutput, beta: float) -> Tensor:
    """Distance of a student's coordinate and focus probability from its teacher's, mean over all pixels.

    Not part of the paper.

    Args:
        student: output of the network in training, N planes, any output scale.
        teacher: output of the teacher for the same batch.
        beta: plane spacings at which the smooth-L1 loss of the coordinate turns from quadratic to linear.

    Returns:
        scalar: smooth-L1 in plane spacings, plus the Kullback-Leibler divergence from the teacher's probability.
    """
    spacings = student.probability.shape[1] - 1
    distance = F.smooth_l1_loss(student.coordinate * spacings, teacher.coordinate.float() * spacings, beta=beta)
    size = student.probability.shape[-2:]
    wanted = F.interpolate(teacher.probability.float(), size, mode="bilinear")
    said = student.probability.float().clamp_min(1e-8)
    divergence = (torch.xlogy(wanted, wanted) - wanted * said.log()).sum(dim=1).mean()
    return distance + divergence


class TotalLoss(NamedTuple):
    """The terms of the objective, each a scalar and unweighted; `total`, their weighted sum, is what is minimised."""

    total: Tensor
    depth: Tensor
    spatial: Tensor
    focal: Tensor
    confidence: Tensor


def total_loss(
    depth: Tensor,
    spatial: Tensor,
    focal: Tensor,
    confidence: Tensor,
    lambda_sv: float,
    lambda_fv: float,
    lambda_confidence: float,
) -> TotalLoss:
    """`L = L_depth + lambda_sv L_sv + lambda_fv L_fv` (paper), plus the confidence head's own term, weighted.

    The terms come back as they were given; only `total` is weighted.
    """
    total = depth + lambda_sv * spatial + lambda_fv * focal + lambda_confidence * confidence
    return TotalLoss(total, depth, spatial, focal, confidence)
