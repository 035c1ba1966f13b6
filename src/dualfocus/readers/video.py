"""A video of a focus sweep: the frames between which the focus has moved equally far are the planes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.ordering import relative_sharpness, sharpness_pattern
from dualfocus.readers.frames import naming, silence
from dualfocus.stack import Camera

DEFAULT_FRAMES = 10  # as many planes as a network is at home with

_MOST_FRAMES = 10_000
_NEIGHBOURHOOD = 2  # frames to either side over which sharpness is averaged, against the noise of the coding
_COMPLETE = 0.9  # share of the frames in the header that whole videos have at least: some headers estimate
_STANDSTILL = 25  # per cent of the steps that are taken to be noise alone


class _Video:
    """A video read forwards; going back starts again, because seeking misses frames in many files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._capture: Any = None
        self._next = 0

    def frame(self, n: int) -> NDArray[np.uint8]:
        """Frame n as (H, W, 3) RGB."""
        if self._capture is None or n < self._next:
            self.close()
            self._capture, self._next = _open(self.path), 0
        while self._next < n:
            if not self._capture.grab():
                raise ValueError(f"ends before frame {n}")
            self._next += 1
        done, image = self._capture.read()
        self._next += 1
        if not done:
            raise ValueError(f"frame {n} cannot be decoded")
        return np.ascontiguousarray(image[..., ::-1])

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


@dataclass(frozen=True)
class VideoFrame:
    """A frame of a video that is a plane.

    Attributes:
        path: the video.
        number: the frame's, counted from 0.
        size: (H, W) upright.
        video: what reads it, shared by all frames.
    """

    path: Path
    number: int
    size: tuple[int, int]
    video: _Video
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    distances: Mapping[str, float] = field(default_factory=dict)
    camera: Camera | None = None

    @property
    def name(self) -> str:
        """The file name and the number."""
        return f"{self.path.name} frame {self.number}"

    def decode(self) -> NDArray[Any]:
        """Upright pixels, (H, W, 3)."""
        with naming(self.path, f"frame {self.number} cannot be decoded"), silence():
            return self.video.frame(self.number)


def read_sweep(path: Path, count: int | None, warnings: list[str]) -> list[VideoFrame]:
    """Read a video once and pick frames by how far the focus has moved.

    Args:
        path: the video.
        count: how many frames; None for `DEFAULT_FRAMES`, or all of a shorter video.
        warnings: gets a sentence when the video ends long before its header says.

    Raises:
        ValueError: naming the file, when it cannot be read or has too few frames.
    """
    if count is not None and not isinstance(count, int):
        raise ValueError(f"{path}: the number of frames must be a whole number, not {count!r}")
    if count is not None and count < 2:
        raise ValueError(f"{path}: {count} frames are no focal stack; use two or more")
    with naming(path, "not a video that can be read; is it damaged, or of another kind?"), silence():
        patterns, size = _patterns(path)
        promised = _promised(path)
    read = len(patterns)
    if read < _COMPLETE * promised:
        warnings.append(
            f"{path}: only {read} of its {promised} frames can be read, so the end of the sweep may be missing; copy "
            "or export it again"
        )
    if read < 2:
        raise ValueError(f"{path}: one frame is no focal stack; record the whole focus sweep")
    if count is None:
        count = min(DEFAULT_FRAMES, read)
    if read < count:
        raise ValueError(f"{path}: has {read} frames and {count} are asked for; choose fewer")
    video = _Video(path)
    return [VideoFrame(path, number, size, video) for number in pick_frames(patterns, count)]


def pick_frames(patterns: NDArray[np.floating[Any]], count: int) -> list[int]:
    """Frames at equal steps of focus change, from the sharpness patterns (F, ...) of all.

    What frames differ by while the focus stands still (noise, a hand) is taken off every step, so that a pause at
    either end is not sampled.
    """
    width = min(_NEIGHBOURHOOD, (len(patterns) - 1) // 2)
    padded = np.concatenate([patterns[:1]] * width + [patterns] + [patterns[-1:]] * width)
    smooth = np.mean([padded[k : k + len(patterns)] for k in range(2 * width + 1)], axis=0)
    relative, weight = relative_sharpness(smooth)
    steps = np.abs(np.diff(relative, axis=0)) @ weight
    steps = np.clip(steps - np.percentile(steps, _STANDSTILL), 0, None) + 1e-6 * max(float(steps.max()), 1e-12)
    travelled = np.concatenate([[0], np.cumsum(steps)])
    wanted = np.linspace(0, travelled[-1], count)
    picked = np.searchsorted(travelled, wanted).clip(0, len(patterns) - 1)
    for n in range(1, count):  # one each, also where the focus jumps
        picked[n] = max(picked[n], picked[n - 1] + 1)
    for n in range(count - 1, -1, -1):
        picked[n] = min(picked[n], len(patterns) - (count - n))
    return [int(n) for n in picked]


def _patterns(path: Path) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Sharpness patterns of all frames, and the (H, W) of the first."""
    found: list[NDArray[np.float32]] = []
    size = (0, 0)
    for image in _images(path):
        if found and image.shape[:2] != size:
            raise ValueError("its frames change their size")
        size = (image.shape[0], image.shape[1])
        found.append(sharpness_pattern(image))
        if len(found) > _MOST_FRAMES:
            raise ValueError(f"longer than {_MOST_FRAMES} frames; cut it to the focus sweep")
    if not found:
        raise ValueError("no frame can be decoded")
    return np.stack(found), size


def _images(path: Path) -> Iterator[NDArray[np.uint8]]:
    capture = _open(path)
    try:
        while True:
            done, image = capture.read()
            if not done:
                return
            yield image
    finally:
        capture.release()


def _promised(path: Path) -> int:
    """How many frames the header of a video states; 0 or less where it does not."""
    capture = _open(path)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()


def _open(path: Path) -> Any:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise ValueError("cannot be opened")
    return capture
