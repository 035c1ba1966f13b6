"""Float images as OpenEXR files: scan lines, 32-bit channels, ZIP compression, which every EXR reader knows.

Written here because OpenCV's wheels are built without OpenEXR. Layout: https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_ZIP, _FLOAT, _LINES = 3, 2, 16  # compression, channel type, and the lines of a ZIP block


def encode_exr(channels: Mapping[str, NDArray[np.float32]], attributes: Mapping[str, str]) -> bytes:
    """An EXR file.

    Args:
        channels: name to (H, W) map, all of one size; depth is called Z by convention.
        attributes: texts for the header.
    """
    names = sorted(channels)
    planes = np.stack([np.asarray(channels[name], "<f4") for name in names], axis=1)  # line, channel, column
    height, _, width = planes.shape
    header = _header(names, width, height, attributes)
    blocks = [
        struct.pack("<i", top) + _sized(_compress(planes[top : top + _LINES].tobytes()))
        for top in range(0, height, _LINES)
    ]
    sizes = np.array([len(block) for block in blocks], np.uint64)
    first = len(header) + 8 * len(blocks)
    offsets = first + np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype("<u8")
    return header + offsets.astype("<u8").tobytes() + b"".join(blocks)


def _header(names: list[str], width: int, height: int, attributes: Mapping[str, str]) -> bytes:
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    listed = b"".join(name.encode("ascii") + b"\0" + struct.pack("<iB3x2i", _FLOAT, 0, 1, 1) for name in names)
    fields = [
        ("channels", "chlist", listed + b"\0"),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", box),
        ("displayWindow", "box2i", box),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
        *((name, "string", text.encode("utf-8")) for name, text in attributes.items()),
    ]
    body = b"".join(f"{name}\0{kind}\0".encode("ascii") + _sized(value) for name, kind, value in fields)
    return struct.pack("<2i", 20000630, 2) + body + b"\0"


def _sized(data: bytes) -> bytes:
    return struct.pack("<i", len(data)) + data


def _compress(raw: bytes) -> bytes:
    """Even bytes before odd ones, each as the difference to the last, then zlib; as it is where that is smaller."""
    data = np.frombuffer(raw, np.uint8)
    parted = np.concatenate([data[::2], data[1::2]])
    parted[1:] = np.diff(parted) + np.uint8(128)
    packed = zlib.compress(parted.tobytes(), 4)
    return packed if len(packed) < len(raw) else raw
