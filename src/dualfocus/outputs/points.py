"""A point cloud from a depth map, as a binary PLY file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.outputs.result import DepthResult

DEFAULT_FOV_DEGREES = 60.0  # a phone's or a 31 mm lens's, over the longer side

_VERTEX = np.dtype(
    [(axis, "<f4") for axis in "xyz"]
    + [(colour, "u1") for colour in ("red", "green", "blue")]
    + [("confidence", "<f4")]
)


def check_points(unit: str) -> None:
    """Raise ValueError unless a depth map in this unit is a distance from a camera."""
    if unit not in ("m", "mm"):
        raise ValueError(
            f"a point cloud needs distances from the camera, and this depth is in {unit!r}: "
            "give the focus distances in m, mm or dioptre, or leave the point cloud out"
        )


def projection(result: DepthResult) -> dict[str, Any]:
    """The pinhole camera of the point cloud: `focal_px`, `center` (x, y) and where the focal length comes from.

    The sensor's width lies along the longer side of the image, so that photographs taken upright are right too.
    """
    height, width = result.depth.shape
    longer, camera = max(height, width), result.camera
    if camera is not None and camera.focal_length_mm is not None and camera.sensor_width_mm is not None:
        focal_px, source = camera.focal_length_mm / camera.sensor_width_mm * longer, "camera"
    else:
        focal_px = longer / (2 * math.tan(math.radians(DEFAULT_FOV_DEGREES) / 2))
        source = f"assumed field of view of {DEFAULT_FOV_DEGREES:g} degrees"
    return {"focal_px": focal_px, "center": [(width - 1) / 2, (height - 1) / 2], "source": source}


def point_cloud(result: DepthResult) -> NDArray[np.void]:
    """Vertices of the valid pixels of finite depth: position, colour, confidence.

    x points to the right, y down, z forward, in `result.unit`.

    Raises:
        ValueError: a unit that is not a distance from a camera.
    """
    check_points(result.unit)
    camera = projection(result)
    rows, columns = np.nonzero(result.valid & np.isfinite(result.depth))
    z = result.depth[rows, columns].astype(np.float64)
    vertices = np.empty(len(z), _VERTEX)
    vertices["x"] = (columns - camera["center"][0]) / camera["focal_px"] * z
    vertices["y"] = (rows - camera["center"][1]) / camera["focal_px"] * z
    vertices["z"] = z
    colours = result.all_in_focus[rows, columns]
    if colours.dtype == np.uint16:
        colours = (colours >> 8).astype(np.uint8)
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = colours[:, channel]
    vertices["confidence"] = result.confidence[rows, columns]
    return vertices


def encode_ply(vertices: NDArray[np.void], comment: str) -> bytes:
    """A binary little-endian PLY file of the vertices."""
    kinds = {"<f4": "float", "|u1": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", f"comment {comment}", f"element vertex {len(vertices)}"]
    lines += [f"property {kinds[_VERTEX[name].str]} {name}" for name in _VERTEX.names or ()]
    return ("\n".join([*lines, "end_header"]) + "\n").encode("ascii") + vertices.tobytes()
