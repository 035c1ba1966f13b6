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
from dualfocus.alignment.motion import Matrix, apply, compose, displacement, grid, half_diagonal, in_pixels, inverse
from dualfocus.alignment.pairs import Level, pyramid, register
from dualfocus.alignment.region import common_share
from dualfocus.pixels import white
from dualfocus.remedies import Remedy
from dualfocus.stack import FocalStack

LEAVE = Remedy("align", "none", python='motion="none"', command='--align none (motion="none")')
WORKING_PIXELS = 600_000  # frames are registered at this size at most
STILL = 0.5  # px: root mean square motion of the frame that moves most, below which "auto" leaves a stack alone
DOUBTFUL = 2.5  # px: below it, "auto" also wants the links to fit better than without motion
_EVEN = 0.06  # of linear light: frames that stay in their place and differ by less keep their exposure, too
_BETTER = 0.96  # of what a motion leaves uncorrelated, to count as a better fit: blur alone gives 0.965 to 1
_RICHER = 0.95  # the same for a homography over a similarity
_TRIALS = 6  # links on which a homography is tried
_SLACK = 0.05  # of the picture that a reference may lose more than the best one, to be nearer to the middle plane
_ALIKE = 0.8  # correlation of the thumbnails of two pictures of one scene
_LEAST_SHARE = 0.5  # of the reference that a frame must show

# Pixels of the result to those of the reference. Interpolation thins noise and detail; a reference that alone keeps all
# of its own would look sharper than the rest. A quarter of a pixel aside, it loses what frames lose on average.
BESIDE = np.array([[1, 0, 0.25], [0, 1, 0.25], [0, 0, 1]])


@dataclass(frozen=True)
class Placed:
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
    """The frames of a stack that are used, placed, and why the others are not."""

    motion: str
    reference: int
    placed: dict[int, Placed]
    reasons: dict[int, str]
    common_share: float


def estimate(stack: FocalStack, motion: str, progress: Callable[[], None]) -> Estimate:
    """Register all frames; see `align`."""
    order = [int(n) for n in stack.near_to_far]
    seen = _read(stack, order, "similarity" if motion == "auto" else motion, motion == "auto", progress)
    if motion == "auto" and seen.gains_by_homography and float(np.median(seen.gains_by_homography)) < _RICHER:
        seen = _read(stack, order, "homography", False, progress)
    members = largest_group(len(order), seen.links)
    place = solve(members, seen.links, seen.motion)
    reference = _choose_reference(members, place, stack.size)
    back = inverse(place[reference])
    place = {n: compose(matrix, back) for n, matrix in place.items()}
    reasons = {n: "it matches none of the planes beside it" for n in range(len(order)) if n not in place}
    if motion == "auto" and _is_still(place, seen.links, stack.size):
        seen.motion = "none"
        reasons = {n: reason for n, reason in reasons.items() if not _looks_like_neighbours(n, seen.thumbnails)}
        place = {n: np.eye(3) for n in range(len(order)) if n not in reasons}
    for n, matrix in list(place.items()):
        if common_share([in_pixels(matrix, stack.size)], stack.size) < _LEAST_SHARE:
            reasons[n] = "it shows less than half of the reference plane"
            del place[n]
    return _finish(stack, order, reference, place, reasons, seen)


def _finish(
    stack: FocalStack,
    order: Sequence[int],
    reference: int,
    place: dict[int, Matrix],
    reasons: dict[int, str],
    seen: _Seen,
) -> Estimate:
    """Everything in terms of the stack's own order and pixels."""
    if 2 * len(place) < max(4, len(order)):
        raise ValueError(
            f"only {len(place)} of {len(order)} planes could be aligned: check that all show one scene from one"
            f" position, or leave them as they are with {LEAVE}"
        )
    placed, small_size, still = {}, seen.thumbnails[0].shape[:2], seen.motion == "none"
    for n, matrix in place.items():
        moved = float(np.sqrt(np.mean(displacement(matrix, grid(stack.size)) ** 2))) * half_diagonal(stack.size)
        small = warp_thumbnail(seen.thumbnails[n], in_pixels(matrix, small_size, stack.size))
        placed[order[n]] = Placed(
            np.eye(3) if still else in_pixels(matrix, stack.size) @ BESIDE,
            gain(small, seen.thumbnails[reference]),
            moved,
            _residual(n, place, seen.links, stack.size),
        )
    if still and max(np.abs(place.gain - 1).max() for place in placed.values()) < _EVEN:
        placed = {n: replace(place, gain=np.ones(3)) for n, place in placed.items()}
    return Estimate(
        seen.motion,
        order[reference],
        placed,
        {order[n]: reason for n, reason in reasons.items()},
        common_share([p.pixels for p in placed.values()], stack.size),
    )


@dataclass
class _Seen:
    """What one reading of all frames, near to far, gives."""

    motion: str
    links: list[Link] = field(default_factory=list)
    thumbnails: list[NDArray[Any]] = field(default_factory=list)
    gains_by_homography: list[float] = field(default_factory=list)  # share of the uncorrelated that it leaves


def _read(
    stack: FocalStack, order: Sequence[int], motion: str, try_homography: bool, progress: Callable[[], None]
) -> _Seen:
    """Register every frame to those before it; a few frames are in memory at a time."""
    height, width = stack.size
    scale = min(1.0, (WORKING_PIXELS / (height * width)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    trials = set(np.linspace(1, len(order) - 1, _TRIALS).round()) if try_homography else set()
    known: dict[int, list[Level]] = {}
    place: dict[int, Matrix] = {}
    seen = _Seen(motion)
    for n, plane in enumerate(order):
        frame = cv2.resize(stack[plane], size, interpolation=cv2.INTER_AREA)
        progress()
        seen.thumbnails.append(thumbnail(frame))
        known.pop(n - max(REACH) - 1, None)
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        levels = pyramid(grey / white(stack.dtype), stack.size)
        links = link_frame(known, place, n, levels, motion)
        if n in trials and links:
            longest = links[-1]
            richer = register(known[longest.first], levels, "homography", longest.pair.matrix, 2)
            seen.gains_by_homography.append((1 - richer.correlation) / (1 - longest.pair.correlation + 1e-9))
        seen.links += links
        known[n] = levels
    return seen


def _is_still(place: dict[int, Matrix], links: Sequence[Link], size: tuple[int, int]) -> bool:
    """Whether no frame moves, or so little that what was found may be but the difference in blur."""
    points = grid(size)
    moved = max(float(np.sqrt(np.mean(displacement(m, points) ** 2))) for m in place.values()) * half_diagonal(size)
    if moved < STILL or moved > DOUBTFUL:
        return moved < STILL
    left = sum(1 - link.pair.correlation for link in links)
    before = sum(1 - link.pair.unmoved for link in links)
    return left > _BETTER * before


def _looks_like_neighbours(n: int, thumbnails: Sequence[NDArray[Any]]) -> bool:
    """A plane too blurred to be registered still looks like the planes beside it; another scene does not."""
    beside = [thumbnails[k] for k in (n - 1, n + 1) if 0 <= k < len(thumbnails)]
    return max(likeness(thumbnails[n], other) for other in beside) >= _ALIKE


def _choose_reference(members: Sequence[int], place: dict[int, Matrix], size: tuple[int, int]) -> int:
    """The plane nearest to the middle of those whose frame loses hardly more than the least."""
    step = -(-len(members) // 48)
    shares = {}
    for candidate in members[::step]:
        back = inverse(place[candidate])
        shares[candidate] = common_share([in_pixels(compose(place[n], back), size) for n in members], size)
    least = max(shares.values()) - _SLACK
    middle = members[len(members) // 2]
    return min((n for n, share in shares.items() if share >= least), key=lambda n: abs(n - middle))


def _residual(n: int, place: dict[int, Matrix], links: Sequence[Link], size: tuple[int, int]) -> float | None:
    """Median distance in pixels between where blocks are and where the motions put them, over the nearest links."""
    distances = []
    for link in links:
        if n not in (link.first, link.second) or link.first not in place or link.second not in place:
            continue
        motion = compose(place[link.second], inverse(place[link.first]))
        tracks = link.pair.tracks
        if link.second - link.first == 1 and len(tracks):
            distances.append(np.linalg.norm(apply(motion, tracks[:, :2]) - tracks[:, 2:], axis=1))
    return float(np.median(np.concatenate(distances))) * half_diagonal(size) if distances else None
