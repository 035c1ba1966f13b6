"""A point cloud from a depth map, as a binary PLY file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dualfocus.outputs.projection import Projection
from dualfocus.outputs.result import DepthResult

_VERTEX = np.dtype(
    [(axis, "<f4") for axis in "xyz"]
    + [(colour, "u1") for colour in ("red", "green", "blue")]
    + [("confidence", "<f4")]
)


def point_cloud(result: DepthResult, camera: Projection) -> NDArray[np.void]:
    """Vertices of the valid pixels of finite depth: position, colour, confidence.

    x points to the right, y down, z forward, in `result.unit`.
    """
    rows, columns = np.nonzero(result.valid & np.isfinite(result.depth))
    positions = camera.positions(result.depth[rows, columns], rows, columns)
    colours = result.all_in_focus[rows, columns]
    if colours.dtype == np.uint16:
        colours = (colours >> 8).astype(np.uint8)
    vertices = np.empty(len(rows), _VERTEX)
    for axis, name in enumerate("xyz"):
        vertices[name] = positions[:, axis]
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
