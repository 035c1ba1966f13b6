"""`align`: a focal stack whose frames moved, as one whose frames lie on each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.alignment.estimate import LEAVE, Estimate, FramePlacement, estimate
from dualfocus.alignment.exposure import apply_gain
from dualfocus.alignment.motion import MOTIONS
from dualfocus.alignment.region import common_region
from dualfocus.derived import shallow_copy, stack_arguments
from dualfocus.stack import FocalStack, check_stack
from dualfocus.stack.lazy import LazyPlanes

CHOICES = ("auto", "none", *MOTIONS)

_TOO_LONG = 32767  # pixels of a side: OpenCV's warping counts them in 16 bits
_NEGLIGIBLE_GAIN = 0.003  # a gain nearer to 1 than this is not worth a step of rounding


def check_choice(motion: str) -> None:
    """Refuse what is not one of `CHOICES`."""
    if motion not in CHOICES:
        raise ValueError(f"alignment {motion!r} is not one of {', '.join(CHOICES)}")


def align(stack: FocalStack, motion: str = "auto", progress: Callable[[], None] | None = None) -> FocalStack:
    """Register the frames of a focal stack: focus breathing and the motion of a hand.

    Frames are read once, one at a time, and registered at a reduced size; those of the stack returned are warped when
    they are asked for, in the frame of one of the planes, the reference, a quarter of a pixel beside its own grid, so
    that all are interpolated alike. Their exposure is evened out; that of a stack that lies still, where it differs
    by 6 % of the light.

    Args:
        stack: the photographs, which stay as they are; what was found is noted in `alignment` and `warnings` of
            the stack returned.
        motion: "translation", "similarity" (shift, turn, scale), "affine" or "homography"; "auto" finds out which is
            needed, if any, and leaves a stack alone that says it is aligned; "none" does nothing.
        progress: called after each plane read.

    Returns:
        A stack of the same planes when nothing is to be done (an `AlignedStack` itself, for "auto" and "none"), else an
        `AlignedStack`, without the frames that could not be aligned (its `warnings` name them).
        `alignment` of either is what `result.json` says of it.

    Raises:
        ValueError: no focal stack, an unknown motion, one for a stack that is registered already, frames with a side of
            1 pixel or of 32767 and more (which "auto" leaves alone, with a warning), or fewer than half of the frames
            (or than two) can be aligned.

    >>> stack = FocalStack(np.zeros((3, 48, 64), np.uint8), [1, 2, 3])
    >>> align(stack, "none").alignment["reason"], stack.alignment
    ('not asked for', None)
    """
    check_stack(stack, "align")
    check_choice(motion)
    if isinstance(stack, AlignedStack):
        if motion not in ("auto", "none"):
            raise ValueError(f"the stack is registered already: align the one it was made of, its .source, by {motion}")
        return stack
    if motion == "none" or (motion == "auto" and stack.aligned):
        reason = "not asked for" if motion == "none" else "the stack says that it is aligned"
        return _noting(stack, {"requested": motion, "motion": "none", "reason": reason})
    refusal = _unfit_size(stack.size)
    if refusal and motion != "auto":
        raise ValueError(f"{refusal}: leave them as they are with {LEAVE}")
    if refusal:
        left = _noting(stack, {"requested": motion, "motion": "none", "reason": refusal})
        warning = f"{refusal}; they are used as they are"
        left.warnings += [] if warning in stack.warnings else [warning]
        return left
    estimated = estimate(stack, motion, progress or (lambda: None))
    even = all(np.array_equal(placement.gain, np.ones(3)) for placement in estimated.placements.values())
    if estimated.motion == "none" and even and len(estimated.placements) == len(stack):
        return _noting(stack, _record(stack, motion, estimated))
    return AlignedStack(stack, motion, estimated)


class AlignedStack(FocalStack):
    """A focal stack seen from its reference frame; made by `align`.

    It behaves like any stack of the planes that are left. Depth of a stack without distances still counts the planes
    of the original. Pixels that a frame does not have are those of the reference: `common_region` says where all
    frames have their own, and only there a result is valid.

    Attributes:
        source: the stack as it was.
        kept: indices of the planes in it.
        transforms: for every plane the 3 x 3 motion from pixels of the stack to pixels of its photograph.
    """

    def __init__(self, source: FocalStack, requested: str, estimated: Estimate) -> None:
        self.source = source
        self.kept = sorted(estimated.placements)
        self.transforms = [estimated.placements[n].pixels for n in self.kept]
        super().__init__(_WarpedFrames(source, estimated), **{**stack_arguments(source, self.kept), "aligned": True})
        self.extra, self.index_names = dict(source.extra), source.index_names
        self.common_region = common_region(self.transforms, self.size)
        self.alignment = _record(source, requested, estimated)
        self.warnings += [*source.warnings, *_left_out(source, estimated)]

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """(N,) focus coordinate of each plane left; the index in the original stack when distances are unknown."""
        if self.focus_distances is None:
            return np.array(self.kept, np.float64)
        return super().coordinates


class _WarpedFrames(LazyPlanes):
    """Lazy frames for `FocalStack`: decoded, warped to the reference and of its exposure, when asked for."""

    def __init__(self, source: FocalStack, estimated: Estimate) -> None:
        super().__init__()
        self.shape, self.dtype, self.from_files = source.size, source.dtype, source.from_files
        self._source = source
        self._placements = [(n, estimated.placements[n]) for n in sorted(estimated.placements)]
        self._reference = estimated.reference
        self._background: NDArray[Any] | None = None  # the reference frame, once it is needed

    def __len__(self) -> int:
        return len(self._placements)

    def forget(self) -> None:
        """Drop what was begun, here and in the stack that is registered."""
        super().forget()
        self._source.forget()

    def make(self, k: int) -> NDArray[Any]:
        """Frame k of those that are kept."""
        n, placement = self._placements[k]
        frame = self._source[n]
        if np.abs(placement.gain - 1).max() > _NEGLIGIBLE_GAIN:
            frame = apply_gain(frame, placement.gain)
        if np.array_equal(placement.pixels, np.eye(3)):
            return frame
        return self._warp(frame, placement)

    def _warp(self, frame: NDArray[Any], placement: FramePlacement) -> NDArray[Any]:
        if self._background is None:
            self._background = self._source[self._reference]
        size = (self.shape[1], self.shape[0])
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        moved = cv2.warpPerspective(frame, placement.pixels, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        if moved.dtype.kind == "f":
            np.clip(moved, 0, 1, out=moved)
        outside = ~common_region([placement.pixels], self.shape)
        moved[outside] = self._background[outside]
        return moved


def _noting(stack: FocalStack, alignment: dict[str, Any]) -> FocalStack:
    """The planes as they are, and why."""
    noted = shallow_copy(stack)
    noted.alignment = alignment
    return noted


def _unfit_size(size: tuple[int, int]) -> str | None:
    """Why frames of this size cannot be registered, if they cannot."""
    height, width = size
    if max(size) < _TOO_LONG and min(size) > 1:
        return None
    wanted = f"less than {_TOO_LONG} pixels a side" if max(size) >= _TOO_LONG else "more than 1 pixel a side"
    return f"frames of {width} x {height} pixels cannot be registered, it takes {wanted}"


def _left_out(stack: FocalStack, estimated: Estimate) -> list[str]:
    names = [f"{stack.names[n]} ({reason})" for n, reason in sorted(estimated.reasons.items())]
    return (
        [f"{len(names)} of {len(stack)} planes are left out, they cannot be aligned: {', '.join(names)}"]
        if names
        else []
    )


def _record(stack: FocalStack, requested: str, estimated: Estimate) -> dict[str, Any]:
    """The alignment as plain numbers and words, for `result.json`."""
    planes: list[dict[str, Any]] = []
    for n, name in enumerate(stack.names):
        placement = estimated.placements.get(n)
        if placement is None:
            planes.append({"name": name, "used": False, "reason": estimated.reasons[n]})
            continue
        planes.append(
            {
                "name": name,
                "used": True,
                "transform": [[float(f"{value:.9g}") for value in row] for row in placement.pixels],
                "gain": [round(float(value), 4) for value in placement.gain],
                "moved_px": round(placement.moved, 3),
                "residual_px": None if placement.residual is None else round(placement.residual, 3),
            }
        )
    return {
        "requested": requested,
        "motion": estimated.motion,
        "reference": estimated.reference,
        "reference_name": stack.names[estimated.reference],
        "transforms": "pixel (x, y) of the maps to pixel of the photograph",
        "common_share": round(estimated.common_share, 4),
        "planes": planes,
    }
