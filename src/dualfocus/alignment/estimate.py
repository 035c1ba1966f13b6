"""From a stack to the place of every frame: which motion, which reference, which frames are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.alignment.exposure import gain, likeness, thumbnail, warp_thumbnail
from dualfocus.alignment.graph import REACH, Link, largest_group, link_frame, solve
from dualfocus.alignment.motion import (
    Matrix,
    apply,
    compose,
    displacement,
    generators,
    grid,
    half_diagonal,
    in_pixels,
    inverse,
)
from dualfocus.alignment.pairs import Level, pyramid, register
from dualfocus.alignment.region import common_share
from dualfocus.pixels import white
from dualfocus.remedies import Remedy
from dualfocus.stack import FocalStack

LEAVE = Remedy("align", "none", python='motion="none"', command='--align none (motion="none")')
WORKING_PIXELS = 600_000  # frames are registered at this size at most
STILL = 0.5  # px: root mean square motion of the frame that moves most, below which "auto" leaves a stack alone
DOUBTFUL = 2.5  # px: below it, "auto" also wants the links to fit better than without motion
_EVEN_EXPOSURE = 0.06  # share of linear light: frames that are not moved and differ by less keep their exposure, too
_BETTER = 0.96  # share of what was uncorrelated that a better fit leaves at most; blur alone leaves 0.965 to 1
_RICHER = 0.95  # the same for a homography over a similarity
_CHANCE = 2.0  # the share that each parameter fits away by chance, times the number of observations
_TRIALS = 6  # links on which a homography is tried
_SLACK = 0.05  # share of the picture that a reference may lose beyond the best one, to be nearer to the middle plane
_ALIKE = 0.8  # correlation of the thumbnails of two pictures of one scene
_LEAST_SHARE = 0.5  # share of the reference that a frame must show

# Pixels of the result to those of the reference. Interpolation thins noise and detail; a reference that alone keeps all
# of its own would look sharper than the rest. An offset of a quarter of a pixel blurs it as much as the other frames on
# average.
QUARTER_PIXEL_SHIFT = np.array([[1, 0, 0.25], [0, 1, 0.25], [0, 0, 1]])


@dataclass(frozen=True)
class FramePlacement:
    """Where a frame lies.

    Attributes:
        pixels: 3 x 3, pixels of the result to pixels of the frame.
        gain: (3,) factors of linear light that give it the exposure of the reference.
        moved: root mean square displacement over the picture, in pixels.
        residual: median distance in pixels at which blocks of it are found from where the motion puts them, over its
            registered neighbours; None without any.
    """

    pixels: Matrix
    gain: NDArray[np.float64]
    moved: float
    residual: float | None


@dataclass
class Estimate:
    """The frames of a stack that are used, placed, and why the others are not.

    Attributes:
        motion: the group of the motions; "none" when the frames stay where they are.
        reference: the plane that the others are moved to.
        placements: where each plane lies that is used.
        reasons: why each other plane is not.
        common_share: the share of the reference that is in every frame used.
    """

    motion: str
    reference: int
    placements: dict[int, FramePlacement]
    reasons: dict[int, str]
    common_share: float


def estimate(stack: FocalStack, motion: str, progress: Callable[[], None]) -> Estimate:
    """Register all frames; see `align`."""
    order = [int(n) for n in stack.near_to_far]
    if motion == "auto":
        registration = _register_frames(stack, order, "similarity", True, progress)
        if registration.wants_homography:
            registration = _register_frames(stack, order, "homography", False, progress)
    else:
        registration = _register_frames(stack, order, motion, False, progress)
    members = largest_group(len(order), registration.links)
    motions = solve(members, registration.links, registration.motion)
    reference = _choose_reference(members, motions, stack.size)
    back = inverse(motions[reference])
    motions = {n: compose(matrix, back) for n, matrix in motions.items()}
    reasons = {n: "it matches none of the planes beside it" for n in range(len(order)) if n not in motions}
    if motion == "auto" and _is_still(motions, registration, stack.size):
        registration.motion = "none"
        reasons = {n: reason for n, reason in reasons.items() if not _looks_like_neighbours(n, registration.thumbnails)}
        motions = {n: np.eye(3) for n in range(len(order)) if n not in reasons}
    for n, matrix in list(motions.items()):
        if common_share([in_pixels(matrix, stack.size)], stack.size) < _LEAST_SHARE:
            reasons[n] = "it shows less than half of the reference plane"
            del motions[n]
    return _to_estimate(stack, order, reference, motions, reasons, registration)


def _to_estimate(
    stack: FocalStack,
    order: Sequence[int],
    reference: int,
    motions: dict[int, Matrix],
    reasons: dict[int, str],
    registration: _Registration,
) -> Estimate:
    """Everything in terms of the stack's own order and pixels."""
    if 2 * len(motions) < max(4, len(order)):
        raise ValueError(
            f"only {len(motions)} of {len(order)} planes could be aligned: check that all show one scene from one"
            f" position, or leave them as they are with {LEAVE}"
        )
    placements: dict[int, FramePlacement] = {}
    small_size, still = registration.thumbnails[0].shape[:2], registration.motion == "none"
    for n, matrix in motions.items():
        moved = float(np.sqrt(np.mean(displacement(matrix, grid(stack.size)) ** 2))) * half_diagonal(stack.size)
        small = warp_thumbnail(registration.thumbnails[n], in_pixels(matrix, small_size, stack.size))
        placements[order[n]] = FramePlacement(
            np.eye(3) if still else in_pixels(matrix, stack.size) @ QUARTER_PIXEL_SHIFT,
            gain(small, registration.thumbnails[reference]),
            moved,
            _residual(n, motions, registration.links, stack.size),
        )
    if still and max(np.abs(placement.gain - 1).max() for placement in placements.values()) < _EVEN_EXPOSURE:
        placements = {n: replace(placement, gain=np.ones(3)) for n, placement in placements.items()}
    return Estimate(
        registration.motion,
        order[reference],
        placements,
        {order[n]: reason for n, reason in reasons.items()},
        common_share([placement.pixels for placement in placements.values()], stack.size),
    )


@dataclass
class _Registration:
    """What one reading of all frames, near to far, gives."""

    motion: str
    links: list[Link] = field(default_factory=list)
    thumbnails: list[NDArray[Any]] = field(default_factory=list)
    left_by_homography: list[float] = field(default_factory=list)  # share of the uncorrelated, and what chance takes

    @property
    def wants_homography(self) -> bool:
        """Whether a homography was tried, and fits clearly better than the motion did."""
        return bool(self.left_by_homography) and float(np.median(self.left_by_homography)) < _RICHER


def _register_frames(
    stack: FocalStack, order: Sequence[int], motion: str, try_homography: bool, progress: Callable[[], None]
) -> _Registration:
    """Register every frame to those before it; a few frames are in memory at a time."""
    height, width = stack.size
    scale = min(1.0, (WORKING_PIXELS / (height * width)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    trials = set(np.linspace(1, len(order) - 1, _TRIALS).round()) if try_homography else set()
    pyramids: dict[int, list[Level]] = {}
    motions: dict[int, Matrix] = {}
    registration = _Registration(motion)
    for n, plane in enumerate(order):
        frame = cv2.resize(stack[plane], size, interpolation=cv2.INTER_AREA)
        progress()
        registration.thumbnails.append(thumbnail(frame))
        pyramids.pop(n - max(REACH) - 1, None)
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        levels = pyramid(grey / white(stack.dtype), stack.size)
        links = link_frame(pyramids, motions, n, levels, motion)
        if n in trials and links:
            longest = links[-1]
            richer = register(pyramids[longest.first], levels, "homography", longest.pair.matrix, 2)
            left = (1 - richer.correlation) / (1 - longest.pair.correlation + 1e-9)
            further = len(generators("homography")) - len(generators(motion))
            registration.left_by_homography.append(left + _by_chance(further, richer.observations))
        registration.links += links
        pyramids[n] = levels
    return registration


def _is_still(motions: dict[int, Matrix], registration: _Registration, size: tuple[int, int]) -> bool:
    """Whether no frame moves, or the fit is no better than differences in blur and chance make it."""
    points = grid(size)
    moved = max(float(np.sqrt(np.mean(displacement(m, points) ** 2))) for m in motions.values()) * half_diagonal(size)
    if moved < STILL:
        return True
    pairs = [link.pair for link in registration.links]
    left = sum(1 - pair.correlation for pair in pairs)
    before = sum(1 - pair.unmoved for pair in pairs)
    observations = float(np.median([pair.observations for pair in pairs]))
    chance = _by_chance(len(generators(registration.motion)), observations)
    return left > ((_BETTER if moved <= DOUBTFUL else 1.0) - chance) * before


def _by_chance(parameters: int, observations: float) -> float:
    """Share of the uncorrelated that a fit takes away where nothing moves: much in small or nearly bare frames."""
    return _CHANCE * parameters / max(observations, 1e-9)


def _looks_like_neighbours(n: int, thumbnails: Sequence[NDArray[Any]]) -> bool:
    """A plane too blurred to be registered still looks like the planes beside it; another scene does not."""
    beside = [thumbnails[k] for k in (n - 1, n + 1) if 0 <= k < len(thumbnails)]
    return max(likeness(thumbnails[n], other) for other in beside) >= _ALIKE


def _choose_reference(members: Sequence[int], motions: dict[int, Matrix], size: tuple[int, int]) -> int:
    """The plane nearest to the middle of those whose frame loses hardly more than the least."""
    step = -(-len(members) // 48)
    shares = {}
    for candidate in members[::step]:
        back = inverse(motions[candidate])
        shares[candidate] = common_share([in_pixels(compose(motions[n], back), size) for n in members], size)
    least = max(shares.values()) - _SLACK
    middle = members[len(members) // 2]
    return min((n for n, share in shares.items() if share >= least), key=lambda n: abs(n - middle))


def _residual(n: int, motions: dict[int, Matrix], links: Sequence[Link], size: tuple[int, int]) -> float | None:
    """Median distance in pixels between where blocks are and where the motions put them, over the nearest links."""
    distances = []
    for link in links:
        if n not in (link.first, link.second) or link.first not in motions or link.second not in motions:
            continue
        motion = compose(motions[link.second], inverse(motions[link.first]))
        tracks = link.pair.tracks
        if link.second - link.first == 1 and len(tracks):
            distances.append(np.linalg.norm(apply(motion, tracks[:, :2]) - tracks[:, 2:], axis=1))
    return float(np.median(np.concatenate(distances))) * half_diagonal(size) if distances else None
