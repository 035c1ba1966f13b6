"""Frames on disk as a lazy sequence: headers are read when a stack is loaded, pixels when a plane is asked for."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dualfocus.extras import install
from dualfocus.readers.archive import File
from dualfocus.stack import Camera
from dualfocus.stack.lazy import LazyPlanes, NotAhead, decoding_ahead

_STDERR = 2
_MOST_PIXELS = 2**30  # an image may have, as in OpenCV
_pillow_limit = threading.Lock()  # Pillow's limit is of the whole process


class Frame(Protocol):
    """One plane on disk, known from its header."""

    @property
    def name(self) -> str:
        """Short name for messages and results."""

    @property
    def path(self) -> File:
        """The file it is in."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) as decoded, orientation applied."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type as decoded."""

    @property
    def distances(self) -> Mapping[str, float]:
        """Focus distances its metadata state, in metres (inf is infinity), by the name of their source."""

    @property
    def camera(self) -> Camera | None:
        """What its metadata say of the camera."""

    def decode(self) -> NDArray[Any]:
        """The pixels, (H, W, 1) or (H, W, 3); ValueError naming the file when it is damaged."""


class LazyFrames(LazyPlanes):
    """A sequence of planes for `FocalStack` that decodes a frame each time it is asked for.

    Frames of several types (8 bits beside 16, or float) are all brought to the widest of them.

    Args:
        frames: at least one frame.

    Raises:
        ValueError: a frame of another size than the first, naming both files.
    """

    from_files = True

    def __init__(self, frames: Sequence[Frame]) -> None:
        """Compare the headers."""
        super().__init__()
        first = frames[0]
        for frame in frames[1:]:
            if frame.size != first.size:
                found, wanted = (f"{size[1]} x {size[0]}" for size in (frame.size, first.size))
                raise ValueError(
                    f"{frame.path}: {frame.name} is {found} pixels but {first.name} is {wanted}; "
                    "all images of a focal stack must have one size"
                )
        self.frames = list(frames)
        self.shape = first.size
        self.dtype = max((frame.dtype for frame in frames), key=lambda dtype: (dtype.kind == "f", dtype.itemsize))
        if self.dtype.kind == "f":  # half precision ends at 65504, below the white of 16 bits
            self.dtype = np.promote_types(self.dtype, np.float32)

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.frames)

    def make(self, n: int) -> NDArray[Any]:
        """Decode frame n."""
        return _as_type(self.frames[n].decode(), self.dtype)


def _as_type(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Pixels in a type at least as wide, white staying white."""
    if pixels.dtype == dtype or pixels.dtype.kind not in "fu":
        return pixels
    if pixels.dtype.kind == "f":
        return pixels.astype(dtype)
    if dtype.kind == "f":
        return pixels / dtype.type(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.uint16) * np.uint16(257)


def orient(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn (H, W, C) pixels upright as the EXIF / TIFF orientation tag (1 to 8) says."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def oriented_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """(H, W) after `orient`."""
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def open_image(source: Any, formats: tuple[str, ...]) -> Image.Image:
    """`Image.open` without its warning above 89 and its error above 179 megapixels: phones take 200."""
    with _pillow_limit:
        usual = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = _MOST_PIXELS // 2  # Pillow's error comes at twice the limit
        try:
            return Image.open(source, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def optional_module(name: str, package: str, extra: str, file: File) -> Any:
    """A module that only one kind of file needs (ValueError that says how to install it)."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(f"{file}: such files need {package}, which is not installed: {install(extra)}") from error


@contextmanager
def naming(path: File, what: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one ValueError line that names the file; what it only warns of is dropped."""
    try:
        with contextlib.nullcontext() if decoding_ahead() else warnings.catch_warnings():
            if not decoding_ahead():  # filters are the process's: not to be changed beside the caller
                warnings.simplefilter("ignore")
            yield
    except MemoryError as error:
        raise ValueError(f"{path}: the image is too large for the memory that is free") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error, cv2.error and more
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)  # LibRaw's are bytes
        reason = (text.strip() or type(error).__name__).splitlines()[0]
        detail = "" if isinstance(error, UnidentifiedImageError) else f" ({reason})"  # it only repeats the path
        raise ValueError(f"{path}: {what}{detail}") from error


@contextmanager
def silence() -> Iterator[None]:
    """Keep what a C library prints of a damaged file (LibRaw, libtiff, FFmpeg) off stderr: our error says it.

    The descriptor is the process's: the first thread inside redirects it, and the last one to leave restores it. So
    it is never done ahead, in a thread of which the caller knows nothing and while it may have something to say.
    """
    if decoding_ahead():
        raise NotAhead
    _silence.enter()
    try:
        yield
    finally:
        _silence.leave()


class _Silence:
    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.saved: int | None = None

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside > 1:
                return
            try:
                self.saved = os.dup(_STDERR)
            except OSError:  # there is no stderr
                return
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, _STDERR)
            os.close(nowhere)

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0 and self.saved is not None:
                os.dup2(self.saved, _STDERR)
                os.close(self.saved)
                self.saved = None


_silence = _Silence()
