"""The photographs of a stack: arrays, tensors, images or a lazy sequence, and what each of them must be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FLOAT_SLACK = 1e-4  # what rounding in a float16 or a resize may add to [0, 1]; anything beyond is another scale
_WHAT_A_STACK_IS = (
    "a focal stack is at least two photographs of one scene from one position, each focused at another distance; "
    "give all of them"
)


def as_planes(images: Any) -> Any:
    """Images as an (N, ...) array, a list of arrays or a lazy sequence, with N >= 2."""
    if isinstance(images, (str, bytes, Path)):
        raise ValueError(f"images must be arrays, not the path {str(images)!r}; load_stack() reads files")
    if isinstance(images, np.ndarray) or hasattr(images, "__array__"):
        array = _as_array(images)
        single_photo = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
        if single_photo or (array.ndim in (3, 4) and array.shape[0] == 1):
            raise ValueError(f"one photograph alone (array of shape {array.shape}): {_WHAT_A_STACK_IS}")
        if array.ndim not in (3, 4):
            raise ValueError(f"images must be (N, H, W, 3), (N, H, W, 1) or (N, H, W), not of shape {array.shape}")
        planes: Any = array
    elif is_lazy(images) and hasattr(images, "__len__") and hasattr(images, "__getitem__"):
        planes = images
    else:
        try:
            planes = [_as_array(image) for image in images]
        except TypeError as error:
            raise ValueError(f"images must be arrays, not {type(images).__name__}") from error
    if len(planes) < 2:
        raise ValueError(f"{'one photograph alone' if len(planes) else 'no photographs'}: {_WHAT_A_STACK_IS}")
    return planes


def _as_array(image: Any) -> NDArray[Any]:
    """An array, tensor or image as an array."""
    if getattr(image, "mode", None) == "P":  # an image of Pillow whose numbers are positions in a palette
        raise ValueError("an image with a palette has no brightness; give image.convert('RGB')")
    try:
        return np.asarray(image)
    except (TypeError, RuntimeError) as error:  # tensors on a GPU, with gradients or of types that numpy has not
        if not hasattr(image, "__array__"):
            raise
        raise ValueError(f"images cannot be read as arrays ({error})") from None


def is_lazy(images: Any) -> bool:
    """A lazy sequence states the (H, W) and dtype its planes will have."""
    return not isinstance(images, (list, np.ndarray)) and len(getattr(images, "shape", ())) == 2


def with_channels(plane: NDArray[Any], name: str) -> NDArray[Any]:
    """One plane as (H, W, 1) or (H, W, 3)."""
    if plane.dtype.kind in "USO":
        raise ValueError(f"{name}: images must be arrays of numbers; load_stack() reads files")
    if plane.ndim == 2:
        return plane[..., None]
    if plane.ndim != 3 or plane.shape[2] not in (1, 3):
        raise ValueError(f"{name} must be (H, W, 3), (H, W, 1) or (H, W), not of shape {plane.shape}")
    return plane


def check_dtype(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    """The type in which planes of this type are handed out; ValueError for one that has no white level."""
    if dtype.kind == "f":
        return np.dtype(np.float32)
    if dtype.kind == "u" and dtype.itemsize in (1, 2):
        return dtype.newbyteorder("=")
    raise ValueError(f"{name} is of type {dtype}: images must be uint8, uint16 or float32 in [0, 1]")


def check_plane(plane: NDArray[Any], size: tuple[int, int], dtype: np.dtype[Any], name: str, first: str) -> None:
    """Size and type as the first plane's; floats finite and in [0, 1]."""
    if plane.shape[:2] != size:
        found, wanted = (f"{s[1]} x {s[0]}" for s in (plane.shape, size))
        raise ValueError(f"{name} is {found} pixels but {first} is {wanted}: all planes must have one size")
    if check_dtype(plane.dtype, name) != dtype:
        raise ValueError(f"{name} is {plane.dtype} but {first} is {dtype}: all planes must have one type")
    if dtype.kind != "f" or plane.size == 0:
        return
    low, high = float(plane.min()), float(plane.max())  # a NaN anywhere makes both NaN
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} holds NaN or infinite values: float images must be finite, in [0, 1]")
    if low < -_FLOAT_SLACK or high > 1 + _FLOAT_SLACK:
        raise ValueError(f"{name} spans {low:g} to {high:g}: float images must be in [0, 1]; divide by the white level")


def check_names(names: Sequence[str] | None, count: int) -> list[str]:
    """N names, by default "plane 0" and so on."""
    if names is None:
        return [f"plane {n}" for n in range(count)]
    if len(names) != count:
        raise ValueError(f"{len(names)} names for {count} images: give one name for each image")
    return [str(name) for name in names]


def check_truth(truth: ArrayLike, size: tuple[int, int], name: str) -> NDArray[np.float32]:
    """True depth of the images' size (H, W), as a read-only copy."""
    array = np.asarray(truth)
    if array.shape != size or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} is of shape {array.shape} and type {array.dtype}: it must be numbers of the images' {size}"
        )
    copy = array.astype(np.float32)
    copy.flags.writeable = False
    return copy
