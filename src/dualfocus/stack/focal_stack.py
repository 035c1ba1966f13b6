"""The focal stack: photographs of one scene, the focus distance of each, and the units they are in."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dualfocus.stack.camera import Camera, as_camera
from dualfocus.stack.distances import INVERSE_UNITS, LARGEST, ORDERS, check_distances, focus_coordinates
from dualfocus.stack.planes import as_planes, check_dtype, check_names, check_plane, check_truth, is_lazy, with_channels


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

    Attributes, beside the arguments:
        size, dtype: (H, W) and type of every plane.
        warnings: what a result of this stack should say; predicting leaves it as it is.
        extra: whatever else a sidecar says (source, licence, notes, ...): kept, never used.
        files: what it was read from: planes, and whatever else a sidecar names.
        alignment: what `align` did; goes to result.json as it is. None for a stack as it was taken.
        common_region: (H, W) bool, where all planes have pixels after `align`; None for everywhere.
        index_names: what a plane index counts; more than `names` where planes were left out.

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
        self.extra: dict[str, Any] = {}
        self.files: list[Path] = []
        self.alignment: dict[str, Any] | None = None
        self.common_region: NDArray[np.bool_] | None = None
        self._planes = as_planes(images)
        self.names = check_names(names, len(self))
        self.index_names = self.names
        self._read_header()
        self.focus_distances, self.unit = check_distances(focus_distances, unit, len(self))
        self.camera = as_camera(camera)
        if order is not None and order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)} or None, not {order!r}")
        self.order = order
        if aligned is not None and not isinstance(aligned, (bool, np.bool_)):
            raise ValueError(f"aligned must be True, False or None, not {aligned!r}")
        self.aligned = None if aligned is None else bool(aligned)
        if pixel_size_um is not None and not (isinstance(pixel_size_um, Real) and 0 < pixel_size_um < LARGEST):
            raise ValueError(f"the pixel size must be a number of micrometres above zero, not {pixel_size_um!r}")
        self.pixel_size_um = None if pixel_size_um is None else float(pixel_size_um)
        self._truth_path: Path | None = None
        self._truth: NDArray[np.float32] | None = None
        if isinstance(ground_truth, (str, Path)):
            self._truth_path = Path(ground_truth)
        elif ground_truth is not None:
            self._truth = check_truth(ground_truth, self.size, "ground_truth")

    def __len__(self) -> int:
        """The number of planes N."""
        return len(self._planes)

    def __getitem__(self, n: int) -> NDArray[Any]:
        """Plane n in the order given: a new (H, W, 3) array of `dtype`; grey is repeated to three channels."""
        index = operator.index(n)
        if not -len(self) <= index < len(self):
            raise IndexError(f"plane {index} of a focal stack of {len(self)} planes")
        index %= len(self)
        plane = with_channels(np.asarray(self._planes[index]), self.names[index])
        check_plane(plane, self.size, self.dtype, self.names[index], self.names[0])
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
            self._truth = check_truth(array, self.size, str(path))
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
        return focus_coordinates(self.focus_distances, self.unit)

    @property
    def is_camera(self) -> bool:
        """Whether depth is a distance from a camera, with its inverse as the focus coordinate."""
        return self.unit in INVERSE_UNITS

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

    def depth_from_coordinate(self, coordinate: ArrayLike) -> NDArray[np.floating[Any]]:
        """Depth in `result_unit` at focus coordinates of any shape, in the unit of `coordinates`.

        For a camera, 0 and less are infinitely far.
        """
        values = _as_float(coordinate)
        if not self.is_camera:
            return values.copy()
        depth = np.full_like(values, np.inf)
        return np.divide(1, values, out=depth, where=~(values <= 0))

    def depth_std(self, coordinate: ArrayLike, std: ArrayLike) -> NDArray[np.floating[Any]]:
        """Carry a standard deviation of the focus coordinate to `result_unit` by the derivative.

        For a camera that is z^2, as the coordinate is the inverse of depth z.
        """
        sigma = _as_float(std)
        if not self.is_camera:
            return sigma.copy()
        depth = self.depth_from_coordinate(coordinate)
        with np.errstate(invalid="ignore", over="ignore"):  # inf * 0 at infinity, repaired below
            carried = depth * depth * sigma
        return np.where(np.isinf(depth), depth, carried)

    def _read_header(self) -> None:
        """Set `size` and `dtype`; planes held in memory are checked now, lazy ones when they are decoded."""
        planes = self._planes
        if is_lazy(planes):
            self.size: tuple[int, int] = (int(planes.shape[0]), int(planes.shape[1]))
            self.dtype = check_dtype(np.dtype(planes.dtype), self.names[0])
        else:
            first = with_channels(planes[0], self.names[0])
            self.size = (first.shape[0], first.shape[1])
            self.dtype = check_dtype(first.dtype, self.names[0])
            for plane, name in zip(planes, self.names, strict=True):
                check_plane(with_channels(plane, name), self.size, self.dtype, name, self.names[0])
        if 0 in self.size:
            raise ValueError(f"{self.names[0]} is empty: {self.size[1]} x {self.size[0]} pixels")


def check_stack(stack: object, user: str) -> None:
    """Refuse what is no focal stack, such as the path of one, in the name of the function that was given it."""
    if not isinstance(stack, FocalStack):
        raise ValueError(
            f"{user} takes a focal stack, not {type(stack).__name__}: make one with load_stack(files) or"
            " FocalStack(images)"
        )


def _as_float(values: ArrayLike) -> NDArray[np.floating[Any]]:
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(np.float64)
