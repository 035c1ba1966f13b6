"""How pixels become points in space: a pinhole camera for distances, parallel rays for a microscope."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.outputs.result import DepthResult
from dualfocus.remedies import CALIBRATE, Remedy

_PIXEL_SIZE = Remedy("pixel-size", command="--pixel-size (pixel_size=)")
DEFAULT_FOV_DEGREES = 60.0  # a phone's or a 31 mm lens's, over the longer side


@dataclass(frozen=True)
class Projection:
    """Where the ray of a pixel runs; x to the right, y down, z forward.

    Attributes:
        kind: "pinhole": x = (column - center x) / focal_px * z, y likewise; "orthographic": x = (column - center x) *
            pixel_size.
        center: x, y of the principal point in pixels; 0, 0 is the centre of the first pixel.
        source: where the focal length or the pixel size comes from.
        focal_px: focal length in pixels, of a pinhole.
        pixel_size: side of a pixel of an orthographic view, in the unit of the depth.
    """

    kind: str
    center: tuple[float, float]
    source: str
    focal_px: float | None = None
    pixel_size: float | None = None

    def record(self) -> dict[str, Any]:
        """What `result.json` says of it."""
        scale = {"focal_px": self.focal_px} if self.focal_px is not None else {"pixel_size": self.pixel_size}
        return {"kind": self.kind, **scale, "center": list(self.center), "source": self.source}

    def pixel_width(self, depth: NDArray[Any]) -> NDArray[Any]:
        """What the width of a pixel covers at a depth, of the same shape and unit."""
        return np.full_like(depth, self.pixel_size) if self.focal_px is None else depth / self.focal_px

    def positions(self, depth: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.float32]:
        """(..., 3) x, y, z of pixels, in the unit of `depth`; the arguments broadcast together."""
        z = np.asarray(depth, np.float64)
        width = self.pixel_width(z)
        x, y = (columns - self.center[0]) * width, (rows - self.center[1]) * width
        return np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(np.float32)


def check_fov(fov: float | None, unit: str) -> None:
    """Raise ValueError unless a field of view (degrees) is one that a pinhole can have, and the unit is of a camera."""
    if fov is not None and not (isinstance(fov, Real) and 0 < fov < 180):
        raise ValueError(f"a field of view of {fov!r} degrees is not possible: it must lie between 0 and 180")
    if fov is not None and unit == "um":
        raise ValueError("a field of view belongs to distances from a camera, and this depth is in 'um': leave it out")


def check_projection(unit: str, pixel_size_um: float | None, fov: float | None = None) -> None:
    """Raise ValueError unless a depth map in this unit can be put into space."""
    check_fov(fov, unit)
    if unit == "index":
        raise ValueError(
            "a point cloud or mesh needs distances, and this depth is in 'index': "
            f"give the focus distances, or two known points with {CALIBRATE}, or leave the point cloud and mesh out"
        )
    if unit == "um" and pixel_size_um is None:
        raise ValueError(
            "a point cloud or mesh of a stack in um needs the size of a pixel in micrometres, which the images do not "
            f"state: give it with {_PIXEL_SIZE}, or leave the point cloud and mesh out"
        )


def projection(result: DepthResult, fov: float | None = None) -> Projection:
    """The camera of a result: pinhole for m and mm, orthographic for um.

    The sensor's width lies along the longer side of the image, so that photographs taken upright are right too.

    Args:
        result: the depth, with its camera or pixel size.
        fov: degrees over the longer side; wins over what is known of the camera.

    Raises:
        ValueError: a depth that cannot be put into space.
    """
    check_projection(result.unit, result.pixel_size_um, fov)
    height, width = result.depth.shape
    center = ((width - 1) / 2, (height - 1) / 2)
    if result.unit == "um":
        return Projection("orthographic", center, "pixel size of the images", pixel_size=result.pixel_size_um)
    longer, camera = max(height, width), result.camera
    if fov is not None:
        source = f"given field of view of {fov:g} degrees"
    elif camera is not None and camera.focal_length_mm is not None and camera.sensor_width_mm is not None:
        return Projection("pinhole", center, "camera", camera.focal_length_mm / camera.sensor_width_mm * longer)
    else:
        fov = DEFAULT_FOV_DEGREES
        source = f"assumed field of view of {fov:g} degrees"
    return Projection("pinhole", center, source, longer / (2 * math.tan(math.radians(fov) / 2)))
