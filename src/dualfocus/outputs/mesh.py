"""A textured surface from a depth map, as a binary glTF file (.glb)."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.outputs.projection import Projection
from dualfocus.outputs.result import DepthResult
from dualfocus.pixels import to_uint8

STEEPEST = 20.0  # depth change over the width of a pixel there; a steeper triangle (87 degrees) spans a depth edge
MOST_VERTICES = 1_000_000  # viewers choke on more; a larger depth map gives every second, third, ... pixel
LONGEST_TEXTURE = 4096  # pixels of a side that every graphics card takes

_ASSET = {"version": "2.0", "generator": "dualfocus"}
_METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6}  # glTF is in metres
_FLOAT, _UINT32, _VERTICES, _INDICES = 5126, 5125, 34962, 34963  # glTF's numbers for types and buffers


@dataclass(frozen=True)
class Surface:
    """Triangles over the valid pixels of a depth map.

    Attributes:
        positions: (V, 3) float32 in the unit of the depth, x right, y down, z forward.
        texture_positions: (V, 2) float32 in [0, 1] from the upper left corner of the image.
        triangles: (T, 3) uint32, counter-clockwise for the camera.
        stride: distance in pixels of neighbouring vertices.
    """

    positions: NDArray[np.float32]
    texture_positions: NDArray[np.float32]
    triangles: NDArray[np.uint32]
    stride: int


def surface(result: DepthResult, camera: Projection, most_vertices: int = MOST_VERTICES) -> Surface:
    """Two triangles for every square of four pixels, without those that span a depth edge or a pixel without depth."""
    height, width = result.depth.shape
    stride = max(1, math.ceil(math.sqrt(height * width / most_vertices)))
    rows, columns = np.arange(0, height, stride), np.arange(0, width, stride)
    depth = result.depth[::stride, ::stride]
    known = result.valid[::stride, ::stride] & np.isfinite(depth)
    used = np.nonzero(known)
    number = np.zeros(depth.shape, np.uint32)
    number[used] = np.arange(len(used[0]), dtype=np.uint32)
    centres = np.stack([(columns[used[1]] + 0.5) / width, (rows[used[0]] + 0.5) / height], axis=1)
    return Surface(
        camera.positions(depth[used], rows[used[0]], columns[used[1]]),
        centres.astype(np.float32),
        _triangles(depth, known, number, camera, stride),
        stride,
    )


def _triangles(
    depth: NDArray[np.float32],
    known: NDArray[np.bool_],
    number: NDArray[np.uint32],
    camera: Projection,
    stride: int,
) -> NDArray[np.uint32]:
    corners = {
        name: (slice(top, depth.shape[0] - 1 + top), slice(left, depth.shape[1] - 1 + left))
        for name, top, left in (("a", 0, 0), ("b", 0, 1), ("c", 1, 0), ("d", 1, 1))
    }
    z = np.where(known, depth, np.nan)
    found = []
    for chosen in ("acb", "bcd"):
        depths = np.stack([z[corners[name]] for name in chosen])
        nearest = depths.min(axis=0)  # NaN where one is unknown: no comparison with it is true
        with np.errstate(invalid="ignore"):
            flat = depths.max(axis=0) - nearest <= STEEPEST * stride * camera.pixel_width(nearest)
        found.append(np.stack([number[corners[name]][flat] for name in chosen], axis=1))
    return np.concatenate(found)


def encode_glb(mesh: Surface, image: NDArray[Any], unit: str, comment: str) -> bytes:
    """A binary glTF file with its texture, shown without light.

    The vertices keep the unit and the axes of the depth map; the node turns them into glTF's metres with x right, y up
    and z towards the viewer.

    Args:
        mesh: the surface.
        image: (H, W, 3) uint8 or uint16, sRGB.
        unit: the unit of the positions: m, mm or um.
        comment: text for the file's `extras`.
    """
    if not len(mesh.triangles):  # glTF has no empty meshes, but empty scenes
        nothing = {"asset": _ASSET, "extras": {"comment": comment}, "scene": 0, "scenes": [{"name": "no surface"}]}
        return _container(nothing, b"")
    parts = [mesh.positions, mesh.texture_positions, mesh.triangles]
    chunks = [np.ascontiguousarray(part).tobytes() for part in parts] + [encode_jpeg(image, LONGEST_TEXTURE)]
    binary = b"".join(_padded(chunk) for chunk in chunks)
    scale = _METRES[unit]
    primitive = {"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}
    bounds = {"min": mesh.positions.min(axis=0).tolist(), "max": mesh.positions.max(axis=0).tolist()}
    description = {
        "asset": _ASSET,
        "extras": {"comment": comment},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "rotation": [1, 0, 0, 0], "scale": [scale, scale, scale]}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [
            {
                "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0},
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"wrapS": 33071, "wrapT": 33071}],  # clamped to the edge
        "images": [{"bufferView": 3, "mimeType": "image/jpeg"}],
        "accessors": [
            {"bufferView": 0, "componentType": _FLOAT, "count": len(mesh.positions), "type": "VEC3", **bounds},
            {"bufferView": 1, "componentType": _FLOAT, "count": len(mesh.texture_positions), "type": "VEC2"},
            {"bufferView": 2, "componentType": _UINT32, "count": mesh.triangles.size, "type": "SCALAR"},
        ],
        "bufferViews": _views(chunks, (_VERTICES, _VERTICES, _INDICES, None)),
        "buffers": [{"byteLength": len(binary)}],
    }
    return _container(description, binary)


def _views(chunks: Sequence[bytes], targets: Sequence[int | None]) -> list[dict[str, int]]:
    """Where each chunk lies in the buffer, and what the graphics card takes it for; a texture is for none."""
    views, offset = [], 0
    for chunk, target in zip(chunks, targets, strict=True):
        view = {"buffer": 0, "byteOffset": offset, "byteLength": len(chunk)}
        views.append(view if target is None else {**view, "target": target})
        offset += len(_padded(chunk))
    return views


def _container(description: dict[str, Any], binary: bytes) -> bytes:
    text = _padded(json.dumps(description).encode("ascii"), b" ")
    parts = [(b"JSON", text), (b"BIN\0", binary)] if binary else [(b"JSON", text)]
    body = b"".join(struct.pack("<I4s", len(data), kind) + data for kind, data in parts)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def encode_jpeg(image: NDArray[Any], longest: int, quality: int = 92) -> bytes:
    """An image as JPEG, 8 bits, its longer side at most `longest`."""
    pixels = to_uint8(image)
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _padded(data: bytes, fill: bytes = b"\0") -> bytes:
    return data + fill * (-len(data) % 4)
