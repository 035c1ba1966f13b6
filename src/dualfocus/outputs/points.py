"""A point cloud from a depth map, as a binary PLY file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualfocus.outputs.projection import Projection
from dualfocus.outputs.result import DepthResult
from dualfocus.pixels import to_uint8

_BAND = 256  # rows at once: a whole photograph's points take gigabytes on the way
_VERTEX = np.dtype(
    [(axis, "<f4") for axis in "xyz"]
    + [(colour, "u1") for colour in ("red", "green", "blue")]
    + [("confidence", "<f4")]
)


def write_ply(path: Path, result: DepthResult, camera: Projection, comment: str) -> None:
    """Write the valid pixels of finite depth to a binary little-endian PLY file, row by row.

    x points to the right, y down, z forward, in `result.unit`.
    """
    known = result.valid & np.isfinite(result.depth)
    kinds = {"<f4": "float", "|u1": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", f"comment {comment}", f"element vertex {int(known.sum())}"]
    lines += [f"property {kinds[_VERTEX[name].str]} {name}" for name in _VERTEX.names or ()]
    with path.open("wb") as file:
        file.write(("\n".join([*lines, "end_header"]) + "\n").encode("ascii"))
        for top in range(0, len(known), _BAND):
            rows, columns = np.nonzero(known[top : top + _BAND])
            file.write(_vertices(result, camera, rows + top, columns).tobytes())


def _vertices(
    result: DepthResult, camera: Projection, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.void]:
    """Position, colour and confidence of pixels."""
    positions = camera.positions(result.depth[rows, columns], rows, columns)
    colours = to_uint8(result.all_in_focus[rows, columns])
    vertices = np.empty(len(rows), _VERTEX)
    for axis, name in enumerate("xyz"):
        vertices[name] = positions[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = colours[:, channel]
    vertices["confidence"] = result.confidence[rows, columns]
    return vertices
