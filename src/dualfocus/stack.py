"""The focal stack: photographs of one scene, the focus distance of each, and the units they are in."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNITS = ("m", "mm", "um", "dioptre", "index")
ORDERS = ("near_to_far", "far_to_near")

_INVERSE_UNITS = ("m", "mm", "dioptre")  # blur is linear in inverse depth for a camera, in depth for a microscope
_FLOAT_SLACK = 1e-4  # what rounding in a float16 or a resize may add to [0, 1]; anything beyond is another scale
_LARGEST = 1e12  # distance or inverse distance: their products then fit into the float32 of a result
_WHAT_A_STACK_IS = (
    "a focal stack is at least two photographs of one scene from one position, each focused at another distance; "
    "give all of them"
)


@dataclass(frozen=True)
class Camera:
    """What is known of the camera; every field may be None.

    Attributes:
        sensor_width_mm: along the longer side of the photographs, also of those taken upright.

    Raises:
        ValueError: a number that is not finite and above zero.
    """

    model: str | None = None
    focal_length_mm: float | None = None
    f_number: float | None = None
    sensor_width_mm: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers and keep them as floats."""
        if self.model is not None and not isinstance(self.model, str):
            raise ValueError(f"camera model must be text, not {self.model!r}")
        for name in ("focal_length_mm", "f_number", "sensor_width_mm"):
            value = getattr(self, name)
            if value is None:
                continue
            is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not is_number or not 0 < value < _LARGEST:
                raise ValueError(f"camera {name} must be a number above zero, not {value!r}")
            object.__setattr__(self, name, float(value))


class FocalStack:
    """N >= 2 photographs of one scene (the planes), each focused at another distance.

    Args:
        images: (N, H, W, 3), (N, H, W, 1) or (N, H, W); or a sequence of N such planes; or a lazy sequence with
            `__len__`, `__getitem__(n)`, `shape` = (H, W) and `dtype`, whose planes are checked when they are asked for.
            uint8, uint16 or float in [0, 1], display-encoded (sRGB). Never changed, and not copied as a whole.
        focus_distances: N finite, distinct numbers in `unit`, in the order of the images; None when unknown.
        unit: "m", "mm", "um", "dioptre" or "index"; None means m when there are distances, else index.
        camera: a `Camera`, or a mapping with its fields.
        names: N names used in messages, e.g. file names.
        order: "near_to_far" or "far_to_near", what is known of a stack without distances.
        ground_truth: (H, W) depth in `unit` (index: fractional position in `images`), or the path of a .npy.
        aligned: whether the frames are registered already; None when unknown.
        pixel_size_um: width of a pixel on the object in micrometres, of a microscope; None when unknown.

    Raises:
        ValueError: anything that is not as above, naming the plane or value.

    >>> stack = FocalStack(np.zeros((3, 4, 6), np.uint8), [2.0, 0.5, 1.0])
    >>> len(stack), stack.size, stack.unit, stack[0].shape
    (3, (4, 6), 'm', (4, 6, 3))
    >>> stack.near_to_far
    array([1, 2, 0])
    """

    def __init__(
        self,
        images: Any,
        focus_distances: ArrayLike | None = None,
        unit: str | None = None,
        camera: Camera | Mapping[str, Any] | None = None,
        *,
        names: Sequence[str] | None = None,
        order: str | None = None,
        ground_truth: ArrayLike | str | Path | None = None,
        aligned: bool | None = None,
        pixel_size_um: float | None = None,
    ) -> None:
        """Check everything that can be checked without decoding a lazy plane."""
        self.warnings: list[str] = []
        self.extra: dict[str, Any] = {}  # whatever else a sidecar says (source, licence, notes, ...): kept, never used
        self.files: list[Path] = []  # what it was read from: planes, and whatever else a sidecar names
        self.alignment: dict[str, Any] | None = None  # what `align` did; goes to result.json as it is
        self.common_region: NDArray[np.bool_] | None = None  # (H, W) where all planes have pixels; None for everywhere
        self._planes = _as_planes(images)
        self.names = _check_names(names, len(self))
        self.index_names = self.names  # what a plane index counts; more than `names` where planes were left out
        self._read_header()
        self.focus_distances, self.unit = _check_distances(focus_distances, unit, len(self))
        self.camera = _as_camera(camera)
        if order is not None and order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)} or None, not {order!r}")
        self.order = order
        if aligned is not None and not isinstance(aligned, (bool, np.bool_)):
            raise ValueError(f"aligned must be True, False or None, not {aligned!r}")
        self.aligned = None if aligned is None else bool(aligned)
        if pixel_size_um is not None and not (isinstance(pixel_size_um, Real) and 0 < pixel_size_um < _LARGEST):
            raise ValueError(f"the pixel size must be a number of micrometres above zero, not {pixel_size_um!r}")
        self.pixel_size_um = None if pixel_size_um is None else float(pixel_size_um)
        self._truth_path: Path | None = None
        self._truth: NDArray[np.float32] | None = None
        if isinstance(ground_truth, (str, Path)):
            self._truth_path = Path(ground_truth)
        elif ground_truth is not None:
            self._truth = _check_truth(ground_truth, self.size, "ground_truth")

    def __len__(self) -> int:
        """The number of planes N."""
        return len(self._planes)

    def __getitem__(self, n: int) -> NDArray[Any]:
        """Plane n in the order given: a new (H, W, 3) array of `dtype`; grey is repeated to three channels."""
        index = operator.index(n)
        if not -len(self) <= index < len(self):
            raise IndexError(f"plane {index} of a focal stack of {len(self)} planes")
        index %= len(self)
        plane = _with_channels(np.asarray(self._planes[index]), self.names[index])
        _check_plane(plane, self.size, self.dtype, self.names[index], self.names[0])
        colour = np.repeat(plane, 3, axis=2) if plane.shape[2] == 1 else plane
        copy = np.array(colour, dtype=self.dtype, order="C")
        return np.clip(copy, 0, 1, out=copy) if copy.dtype.kind == "f" else copy

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """The planes one after another, each decoded when it is reached."""
        return (self[n] for n in range(len(self)))

    def __repr__(self) -> str:
        """Count, size, type and distances."""
        height, width = self.size
        where = "" if self.focus_distances is None else f", focus distances {self.focus_distances.tolist()}"
        return f"FocalStack({len(self)} planes of {width} x {height}, {self.dtype}, unit {self.unit!r}{where})"

    @property
    def ground_truth(self) -> NDArray[np.float32] | None:
        """(H, W) true depth in `unit`, or None; a path is read on first use (ValueError naming it when it is bad)."""
        if self._truth is None and self._truth_path is not None:
            path = self._truth_path
            try:
                array = np.load(path, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise ValueError(f"{path}: the ground truth cannot be read as a .npy array ({error})") from error
            self._truth = _check_truth(array, self.size, str(path))
        return self._truth

    @property
    def from_files(self) -> bool:
        """Whether planes are decoded from files when asked for, which a thread of our own may do."""
        return bool(getattr(self._planes, "from_files", False))

    def decode_ahead(self, n: int) -> None:
        """Begin to decode plane n in a thread, if it is in a file; it stays in memory until it is asked for."""
        if self.from_files:
            self._planes.decode_ahead(operator.index(n))

    def forget(self) -> None:
        """Drop the planes that were begun; for whoever has read enough, or has failed."""
        if self.from_files:
            self._planes.forget()

    @property
    def result_unit(self) -> str:
        """The unit of a depth map of this stack: m for metres and dioptres, else the stack's own."""
        return "m" if self.unit == "dioptre" else self.unit

    @property
    def near_to_far(self) -> NDArray[np.intp]:
        """(N,) permutation that sorts the planes near to far; the identity when distances are unknown."""
        if self.focus_distances is None:
            return np.arange(len(self))
        return np.argsort(-self.focus_distances if self.unit == "dioptre" else self.focus_distances, kind="stable")

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """(N,) focus coordinate of each plane in the order given: 1/m, 1/mm, micrometres or plane index."""
        if self.focus_distances is None:
            return np.arange(len(self), dtype=np.float64)
        return _coordinates(self.focus_distances, self.unit)

    @property
    def is_camera(self) -> bool:
        """Whether depth is a distance from a camera, with its inverse as the focus coordinate."""
        return self.unit in _INVERSE_UNITS

    def normalised_coordinate(self, depth: ArrayLike) -> NDArray[np.float64]:
        """Depth in the focus coordinate, 0 at the nearest plane and 1 at the farthest.

        Args:
            depth: any shape, in `result_unit`; 0 or less lies before every camera distance.
        """
        values = np.asarray(depth, np.float64)
        if self.is_camera:
            values = np.divide(1, values, out=np.full_like(values, np.inf), where=values > 0)
        planes = self.coordinates[self.near_to_far]
        return (values - planes[0]) / (planes[-1] - planes[0])

    def depth_from_coordinate(self, u: ArrayLike) -> NDArray[np.floating[Any]]:
        """Depth in `result_unit` at focus coordinate u, of any shape; u <= 0 is infinitely far for a camera."""
        values = _as_float(u)
        if not self.is_camera:
            return values.copy()
        depth = np.full_like(values, np.inf)
        return np.divide(1, values, out=depth, where=~(values <= 0))

    def depth_std(self, u: ArrayLike, sigma_u: ArrayLike) -> NDArray[np.floating[Any]]:
        """Carry a standard deviation of u to `result_unit` by the derivative: z^2 sigma_u for inverse depth."""
        sigma = _as_float(sigma_u)
        if not self.is_camera:
            return sigma.copy()
        depth = self.depth_from_coordinate(u)
        with np.errstate(invalid="ignore", over="ignore"):  # inf * 0 at infinity, repaired below
            std = depth * depth * sigma
        return np.where(np.isinf(depth), depth, std)

    def _read_header(self) -> None:
        """Set `size` and `dtype`; planes held in memory are checked now, lazy ones when they are decoded."""
        planes = self._planes
        if _is_lazy(planes):
            self.size: tuple[int, int] = (int(planes.shape[0]), int(planes.shape[1]))
            self.dtype = _check_dtype(np.dtype(planes.dtype), self.names[0])
        else:
            first = _with_channels(planes[0], self.names[0])
            self.size = (first.shape[0], first.shape[1])
            self.dtype = _check_dtype(first.dtype, self.names[0])
            for plane, name in zip(planes, self.names, strict=True):
                _check_plane(_with_channels(plane, name), self.size, self.dtype, name, self.names[0])
        if 0 in self.size:
            raise ValueError(f"{self.names[0]} is empty: {self.size[1]} x {self.size[0]} pixels")


def _is_lazy(images: Any) -> bool:
    """A lazy sequence states the (H, W) and dtype its planes will have."""
    return not isinstance(images, (list, np.ndarray)) and len(getattr(images, "shape", ())) == 2


def _as_planes(images: Any) -> Any:
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
    elif _is_lazy(images) and hasattr(images, "__len__") and hasattr(images, "__getitem__"):
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
    if getattr(image, "mode", None) == "P":  # of Pillow: its numbers are places in a palette
        raise ValueError("an image with a palette has no brightness; give image.convert('RGB')")
    try:
        return np.asarray(image)
    except (TypeError, RuntimeError) as error:  # tensors on a GPU, with gradients or of types that numpy has not
        if not hasattr(image, "__array__"):
            raise
        raise ValueError(f"images cannot be read as arrays ({error})") from None


def _with_channels(plane: NDArray[Any], name: str) -> NDArray[Any]:
    """One plane as (H, W, 1) or (H, W, 3)."""
    if plane.dtype.kind in "USO":
        raise ValueError(f"{name}: images must be arrays of numbers; load_stack() reads files")
    if plane.ndim == 2:
        return plane[..., None]
    if plane.ndim != 3 or plane.shape[2] not in (1, 3):
        raise ValueError(f"{name} must be (H, W, 3), (H, W, 1) or (H, W), not of shape {plane.shape}")
    return plane


def _check_dtype(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    if dtype.kind == "f":
        return np.dtype(np.float32)
    if dtype.kind == "u" and dtype.itemsize in (1, 2):
        return dtype.newbyteorder("=")
    raise ValueError(f"{name} is of type {dtype}: images must be uint8, uint16 or float32 in [0, 1]")


def _check_plane(plane: NDArray[Any], size: tuple[int, int], dtype: np.dtype[Any], name: str, first: str) -> None:
    """Size and type as the first plane's; floats finite and in [0, 1]."""
    if plane.shape[:2] != size:
        found, wanted = (f"{s[1]} x {s[0]}" for s in (plane.shape, size))
        raise ValueError(f"{name} is {found} pixels but {first} is {wanted}: all planes must have one size")
    if _check_dtype(plane.dtype, name) != dtype:
        raise ValueError(f"{name} is {plane.dtype} but {first} is {dtype}: all planes must have one type")
    if dtype.kind != "f" or plane.size == 0:
        return
    low, high = float(plane.min()), float(plane.max())  # a NaN anywhere makes both NaN
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} holds NaN or infinite values: float images must be finite, in [0, 1]")
    if low < -_FLOAT_SLACK or high > 1 + _FLOAT_SLACK:
        raise ValueError(f"{name} spans {low:g} to {high:g}: float images must be in [0, 1]; divide by the white level")


def _check_names(names: Sequence[str] | None, count: int) -> list[str]:
    if names is None:
        return [f"plane {n}" for n in range(count)]
    if len(names) != count:
        raise ValueError(f"{len(names)} names for {count} images: give one name for each image")
    return [str(name) for name in names]


def _check_distances(
    focus_distances: ArrayLike | None, unit: str | None, count: int
) -> tuple[NDArray[np.float64] | None, str]:
    """Distances as a read-only float64 array (or None) and the unit."""
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}: use one of {', '.join(UNITS)}")
    if focus_distances is None:
        if unit not in (None, "index"):
            raise ValueError(
                f"unit {unit!r} needs focus distances: give one for each image, a z-step, or use unit 'index'"
            )
        return None, "index"
    if unit == "index":
        raise ValueError("unit 'index' has no focus distances: leave them out, or name the unit they are in")
    unit = unit or "m"
    try:
        values = np.array(focus_distances, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"focus distances must be numbers: {focus_distances!r}") from error
    if values.ndim != 1 or len(values) != count:
        found = len(values) if values.ndim == 1 else f"an array of shape {values.shape}"
        raise ValueError(f"{found} focus distances for {count} images: give one for each image, in their order")
    for n, value in enumerate(values.tolist()):
        if not math.isfinite(value):
            raise ValueError(f"focus distance {value} of image {n} is not finite (infinity is 0 in unit dioptre)")
        if value <= 0 and unit in ("m", "mm"):
            raise ValueError(f"focus distance {value:g} {unit} of image {n} must be above zero")
        if value < 0 and unit == "dioptre":
            raise ValueError(f"focus distance {value:g} dioptre of image {n} must not be negative (0 is infinity)")
    _check_distinct(values, unit)
    values.flags.writeable = False
    return values, unit


def _check_distinct(values: NDArray[np.float64], unit: str) -> None:
    coordinates = _coordinates(values, unit)
    extremes = np.maximum(np.abs(values), np.abs(coordinates))
    if extremes.max() > _LARGEST:
        n = int(np.argmax(extremes))
        raise ValueError(f"focus distance {values[n]:g} {unit} of image {n} is too extreme: check the unit")
    ranked = np.argsort(coordinates, kind="stable")
    steps = np.diff(coordinates[ranked])
    if (steps == 0).any():
        first, second = sorted(ranked[int(np.argmin(steps)) :][:2].tolist())
        raise ValueError(
            f"images {first} and {second} have the same focus distance, {values[first]:g} {unit}: distances must differ"
        )


def _coordinates(distances: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """Focus coordinate of distances: the inverse for m and mm, else the number itself."""
    with np.errstate(over="ignore"):
        return 1 / distances if unit in ("m", "mm") else distances.copy()


def _as_camera(camera: Camera | Mapping[str, Any] | None) -> Camera | None:
    if camera is None or isinstance(camera, Camera):
        return camera
    known = [field.name for field in fields(Camera)]
    if not isinstance(camera, Mapping) or not set(camera) <= set(known):
        raise ValueError(f"camera must be a Camera or a mapping with {', '.join(known)}, not {camera!r}")
    return Camera(**camera)


def _check_truth(truth: ArrayLike, size: tuple[int, int], name: str) -> NDArray[np.float32]:
    array = np.asarray(truth)
    if array.shape != size or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} is of shape {array.shape} and type {array.dtype}: it must be numbers of the images' {size}"
        )
    copy = array.astype(np.float32)
    copy.flags.writeable = False
    return copy


def _as_float(values: ArrayLike) -> NDArray[np.floating[Any]]:
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(np.float64)
