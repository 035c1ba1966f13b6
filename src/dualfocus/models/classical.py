"""Depth from focus without a network: the answer that needs no weights, and the floor of every comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .edge_aware import edge_aware_smooth
from .focus_measure import NoiseScale, luma, plane_energies, plane_score
from .output import FocusOutput

_PART = 16_000_000  # planes x pixels of the volume worked on at once


class ConfidenceCoefficients(NamedTuple):
    """Logistic regression of "error below half a plane spacing" on the evidence of :func:`_evidence`.

    Fitted by ``tools/fit_classical_confidence.py`` on path-traced and relief stacks (whole, and thinned to fewer
    planes); refit there whenever the score or its smoothing changes.
    """

    bias: float = 2.115
    amplitude: float = 0.112
    pooled: float = 0.774
    separation: float = 1.081
    curvature: float = 2.019
    disagreement: float = -1.177
    roughness: float = -2.885
    planes: float = -0.588


CONFIDENCE = ConfidenceCoefficients()


class Peak(NamedTuple):
    """Peak of the score over the planes, every map (H, W).

    Attributes:
        coordinate: fitted peak in the normalised focus coordinate.
        best: plane of the largest score.
        height: largest score above the mean over the planes.
        curvature: minus the second derivative of the fitted parabola per plane spacing squared; 0 where not concave.
    """

    coordinate: Tensor
    best: Tensor
    height: Tensor
    curvature: Tensor


def fit_peak(score: Tensor, coordinates: Tensor, share: float = 0.4) -> Peak:
    """Sub-plane peak of a score by a weighted parabola over the (non-uniform) focus coordinate.

    The parabola is fitted to the planes around the maximum whose score lies in the upper ``share`` of the peak, with
    weights that fall to 0 there: with coarse spacing this is the parabola through three planes, with fine spacing many
    planes vote. At the first and last plane the window moves inwards. The result stays between the neighbours of the
    best plane,
    or a few planes beyond where the spacing is fine. Two planes determine no parabola; see :func:`_two_planes`.

    Args:
        score: (N, H, W), mean 0 over the planes.
        coordinates: (N,) increasing from 0 to 1.
        share: part of the height (over the mean of the planes) in which a plane counts.
    """
    planes = score.shape[0]
    height, index = score.max(0)
    if planes == 2:
        return _two_planes(score, height, index)
    u = coordinates * (planes - 1)  # in plane spacings, so that numbers are near 1
    centre = index.clamp(1, planes - 2)
    origin = u[centre]
    reach = max(1, math.ceil(planes / 6))
    width = (share * height).clamp(min=1e-9)
    moments = [torch.zeros_like(height) for _ in range(8)]  # Σw x^0..4, Σw y x^0..2
    for n in range(planes):
        distance = (centre - n).abs()
        weight = ((score[n] - height) / width + 1).clamp(min=0) * (distance <= reach)
        weight = torch.where(distance <= 1, weight.clamp(min=0.2), weight)
        x, y = u[n] - origin, score[n] - height
        for k in range(5):
            moments[k].add_(weight)
            if k < 3:
                moments[5 + k].add_(weight * y)
            weight = weight * x
    slope, quadratic = _solve_parabola(moments)
    concave = quadratic < -1e-6 * height.clamp(min=1e-9)
    vertex = origin - slope / torch.where(concave, 2 * quadratic, -1.0)
    slack = max(1, reach // 2)
    low, high = u[(index - slack).clamp(min=0)], u[(index + slack).clamp(max=planes - 1)]
    vertex = torch.where(concave, torch.minimum(torch.maximum(vertex, low), high), u[index])
    silent = height <= 1e-6  # no plane is sharper than another: the middle is the best guess
    vertex = torch.where(silent, 0.5 * (planes - 1), vertex)
    return Peak(vertex / (planes - 1), index, height, torch.where(concave, -quadratic, 0.0))


def _solve_parabola(m: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Slope and quadratic coefficient of the least-squares parabola from its moments (Cramer's rule)."""
    m0, m1, m2, m3, m4, y0, y1, y2 = m
    c00, c01, c02 = m2 * m4 - m3 * m3, m2 * m3 - m1 * m4, m1 * m3 - m2 * m2
    determinant = (m0 * c00 + m1 * c01 + m2 * c02).clamp(min=1e-12)
    c11, c12, c22 = m0 * m4 - m2 * m2, m1 * m2 - m0 * m3, m0 * m2 - m1 * m1
    return (c01 * y0 + c11 * y1 + c12 * y2) / determinant, (c02 * y0 + c12 * y1 + c22 * y2) / determinant


def _two_planes(score: Tensor, height: Tensor, index: Tensor) -> Peak:
    """Peak from two planes: the score difference is linear in the coordinate where log measures are parabolas.

    Its scale is not observable in one pixel; the largest differences of the image are taken for surfaces in the planes.
    """
    difference = score[1] - score[0]
    sample = difference.abs().flatten()
    sample = sample[:: max(1, sample.numel() // 50_000)]
    scale = torch.quantile(sample, 0.95).clamp(min=1e-6)
    position = (0.5 + 0.5 * difference / scale).clamp(0, 1)
    return Peak(position, index, height, (0.5 * scale).expand_as(height))


def _evidence(raw_peak: Tensor, raw_height: Tensor, pooled: Tensor, peak: Peak) -> Tensor:
    """What the confidence is estimated from, all but the last two of :class:`ConfidenceCoefficients`, (5, H, W).

    In order: log contrast of the pixel's own score (signal to noise); log contrast of the pooled score; separation of
    the peak from the next best plane that is not its neighbour; curvature of the peak relative to its height;
    disagreement of own and pooled peak where the own one is strong.
    """
    planes = pooled.shape[0]
    rival = torch.full_like(peak.height, -math.inf)
    lowest = pooled[0].clone()
    near = max(1, planes // 8)
    for n in range(planes):
        lowest = torch.minimum(lowest, pooled[n])
        rival = torch.where((peak.best - n).abs() > near, torch.maximum(rival, pooled[n]), rival)
    span = (peak.height - lowest).clamp(min=1e-6)
    rival = torch.where(rival.isfinite(), rival, lowest)
    separation = ((peak.height - rival) / span).clamp(0, 1)
    position = peak.coordinate * (planes - 1)
    disagreement = (position - raw_peak).abs().clamp(max=3) * raw_height / (1 + raw_height)
    return torch.stack(
        [
            raw_height.clamp(min=1e-3).log(),
            peak.height.clamp(min=1e-3).log(),
            separation,
            (peak.curvature / span).clamp(max=1),
            disagreement,
        ]
    )


def _roughness(coordinate: Tensor, planes: int) -> Tensor:
    """Steps of the depth to the pixels before, (H, W), in planes, at most 1."""
    position = coordinate * (planes - 1)
    roughness = torch.zeros_like(position)
    roughness[:, 1:] += (position[:, 1:] - position[:, :-1]).abs()
    roughness[1:] += (position[1:] - position[:-1]).abs()
    return roughness.clamp_(max=1)


def _confidence(evidence: Tensor, height: Tensor, coefficients: ConfidenceCoefficients) -> Tensor:
    """Logistic map of the evidence (7, H, W); 0 where no plane is sharper than another."""
    weights = evidence.new_tensor(coefficients[1:])
    logit = coefficients.bias + torch.einsum("k,khw->hw", weights, evidence)
    return torch.where(height <= 1e-6, 0.0, torch.sigmoid(logit))


def focus_probability(coordinate: Tensor, error: Tensor, coordinates: Tensor, broad: float = 0.75) -> Tensor:
    """Focus probability with a given expectation and, about, a given spread.

    A mixture of a discretised Gaussian of deviation ``error`` around ``coordinate`` and of the two planes that bracket
    a point placed so that the expectation of the whole is exactly ``coordinate``, at any spacing and at the ends.

    Args:
        coordinate: (H, W) in [0, 1].
        error: (H, W) expected error, same unit.
        coordinates: (N,) increasing from 0 to 1.
        broad: largest weight of the Gaussian.

    Returns:
        (N, H, W), sums to 1 over the planes.
    """
    u = coordinates[:, None, None]
    gaussian = torch.softmax(-0.5 * ((u - coordinate) / error).square(), dim=0)
    mean = (gaussian * u).sum(0)
    room = torch.where(
        mean > coordinate, coordinate / mean.clamp(min=1e-9), (1 - coordinate) / (1 - mean).clamp(min=1e-9)
    )
    weight = (0.9 * room).clamp(max=broad)
    centre = ((coordinate - weight * mean) / (1 - weight)).clamp(0, 1)
    right = torch.searchsorted(coordinates, centre.contiguous()).clamp(1, len(coordinates) - 1)
    low, high = coordinates[right - 1], coordinates[right]
    share = (centre - low) / (high - low) * (1 - weight)
    probability = gaussian.mul_(weight)
    probability.scatter_add_(0, right[None], share[None])
    probability.scatter_add_(0, right[None] - 1, (1 - weight - share)[None])
    return probability


def expected_error(confidence: Tensor, planes: int) -> Tensor:
    """Deviation of the normal error that is below half a plane spacing with probability ``confidence``."""
    quantile = torch.special.ndtri(0.5 * (1 + confidence.clamp(0.02, 0.98)))
    return (0.5 / quantile / (planes - 1)).clamp(max=0.5)


class Classical(nn.Module):
    """Sum-modified-Laplacian depth from focus with edge-aware pooling of the evidence. No parameters, no training.

    1. Score: log focus measure over several scales, relative to the noise (:func:`score_volume`).
    2. Pooling: the score, weighted with its own contrast, is smoothed plane by plane along surfaces of similar colour
       in the provisional all-in-focus image. Strong texture decides, textureless areas inherit from around them.
    3. Sub-plane peak, confidence, focus probability.

    Args:
        smoothness: weight λ of smoothness for an image with a diagonal of 480 pixels; it grows with the diagonal.
        edge: difference between neighbours in the all-in-focus image that stops smoothing, relative to the standard
            deviation of the stack's luma.
        trust: power of the contrast with which a pixel's score is weighted before pooling.
        confidence: coefficients of the confidence.

    Example:
        >>> output = Classical()(torch.rand(1, 5, 3, 48, 64), torch.linspace(0, 1, 5)[None])
        >>> output.coordinate.shape
        torch.Size([1, 48, 64])
    """

    def __init__(
        self,
        smoothness: float = 3000.0,
        edge: float = 0.05,
        trust: float = 0.5,
        confidence: ConfidenceCoefficients = CONFIDENCE,
    ) -> None:
        super().__init__()
        self.smoothness = smoothness
        self.edge = edge
        self.trust = trust
        self.confidence = confidence

    reads = 2

    @torch.no_grad()
    def forward(self, images: Tensor, coordinates: Tensor) -> FocusOutput:
        """Depth of a batch of focal stacks.

        Args:
            images: (B, N, 3, H, W) in [0, 1], display-encoded, planes near to far.
            coordinates: (B, N) normalised focus coordinates, increasing from 0 to 1.

        Returns:
            The focus output; its probability has the size of the images.

        Raises:
            ValueError: if the shapes do not fit or there are fewer than two planes.
        """
        if images.ndim != 5 or images.shape[2] != 3 or coordinates.shape != images.shape[:2] or images.shape[1] < 2:
            raise ValueError(
                f"classical: images {tuple(images.shape)} and coordinates {tuple(coordinates.shape)} must be "
                "(B, N, 3, H, W) and (B, N) with N >= 2"
            )
        parts = [self._one(stack.float(), u.float()) for stack, u in zip(images, coordinates, strict=True)]
        probability, coordinate, std, confidence = (torch.stack(maps) for maps in zip(*parts, strict=True))
        return FocusOutput(probability, coordinate, std, confidence)

    def _one(self, images: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Probability, coordinate, std and confidence of one stack (N, 3, H, W)."""
        peak, evidence = self.analyse(images.__getitem__, coordinates)
        confidence = _confidence(evidence, peak.height, self.confidence)
        error = expected_error(confidence, len(coordinates))
        probability = focus_probability(peak.coordinate, error, coordinates)
        return probability, peak.coordinate, _deviation(probability, peak.coordinate, coordinates, error), confidence

    @torch.no_grad()
    def estimate(self, read: Callable[[int], Tensor], coordinates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinate, std and confidence, (H, W) each, of a stack that is read plane by plane.

        The same as :meth:`forward`, with one volume of N maps in memory.

        Args:
            read: n -> plane n, (3, H, W), near to far; called ``reads`` times for each.
            coordinates: (N,) increasing from 0 to 1.
        """
        peak, evidence = self.analyse(read, coordinates)
        confidence = _confidence(evidence, peak.height, self.confidence)
        error = expected_error(confidence, len(coordinates))
        u = coordinates.to(error.device)
        strips = [
            _deviation(focus_probability(place, width, u), place, u, width)
            for place, width in zip(*(m.split(_strip(len(u), m)) for m in (peak.coordinate, error)), strict=True)
        ]
        return peak.coordinate, torch.cat(strips), confidence

    @torch.no_grad()
    def analyse(self, read: Callable[[int], Tensor], coordinates: Tensor) -> tuple[Peak, Tensor]:
        """Peak and evidence (7, H, W) of one stack; what the confidence is fitted on.

        Args:
            read: n -> plane n, (3, H, W), called ``reads`` times for each.
            coordinates: (N,).
        """
        volume, sharpest = _score_stack(read, len(coordinates))
        u = coordinates.to(volume.device)
        strength = self.smoothness * math.hypot(*volume.shape[1:]) / 480
        trust = sharpest.height**self.trust
        for part in volume.split(max(1, _PART // trust.numel())):  # smoothed in place: there is room for one volume
            part *= trust
            part.copy_(edge_aware_smooth(part, sharpest.image, strength, self.edge * sharpest.contrast))
        raw_position = u[sharpest.plane] * (len(u) - 1)
        rows = _strip(len(u), trust)
        peaks, evidence = [], []
        for pooled, place, height in zip(
            volume.split(rows, dim=1), raw_position.split(rows), sharpest.height.split(rows), strict=True
        ):
            peaks.append(fit_peak(pooled, u))
            evidence.append(_evidence(place, height, pooled, peaks[-1]))
        peak = Peak(*(torch.cat(maps) for maps in zip(*peaks, strict=True)))
        count = torch.full_like(trust, math.log(len(u)))
        return peak, torch.cat(
            (*torch.cat(evidence, dim=1).split(1), _roughness(peak.coordinate, len(u))[None], count[None])
        )


class _Sharpest(NamedTuple):
    """Of every pixel's own score, before pooling.

    Attributes:
        height: (H, W) its maximum over the planes, less its mean.
        plane: (H, W) where that is.
        image: (3, H, W) the provisional all-in-focus image.
        contrast: standard deviation of the stack's luma.
    """

    height: Tensor
    plane: Tensor
    image: Tensor
    contrast: float


def _score_stack(read: Callable[[int], Tensor], planes: int) -> tuple[Tensor, _Sharpest]:
    """Score volume (N, H, W), its mean over the planes removed, and what is sharpest, from two readings."""
    noise = NoiseScale()
    kept: dict[int, list[Tensor]] = {}
    for n in range(planes):
        plane = luma(read(n).float())
        kept[n] = plane_energies(plane)
        noise.add(plane, kept[n])
        if planes * plane.numel() > _PART:
            del kept[n]
    gains, floors, contrast = noise.measure()
    volume: Tensor | None = None
    for n in range(planes):
        image = read(n).float()
        score = plane_score(kept.pop(n) if n in kept else plane_energies(luma(image)), gains[n], floors)
        if volume is None:
            volume = score.new_empty(planes, *score.shape)
            height, guide = score.clone(), image.clone()
            best = torch.zeros_like(score, dtype=torch.long)
        else:
            better = score > height
            height = torch.where(better, score, height)
            best[better] = n
            guide = torch.where(better, image, guide)
        volume[n] = score
    assert volume is not None
    mean = volume.mean(dim=0)
    volume -= mean
    # rounding puts the height just below the mean where all planes are alike
    return volume, _Sharpest((height - mean).clamp(min=0), best, guide, contrast)


def _strip(planes: int, like: Tensor) -> int:
    """Rows of (H, W) maps that are worked on at once."""
    return max(1, _PART // (planes * like.shape[1]))


def _deviation(probability: Tensor, coordinate: Tensor, coordinates: Tensor, error: Tensor) -> Tensor:
    """Standard deviation of the focus coordinate around ``coordinate``, (H, W), at least the expected error.

    A probability whose expectation is the first or the last plane has nothing but that plane, however unsure it is.
    """
    variance = torch.zeros_like(coordinate)
    for n, u in enumerate(coordinates):
        variance += probability[n] * (u - coordinate).square()
    return torch.maximum(variance.sqrt(), error)
