"""A result as one web page: pictures, values under the cursor, the planes, and a view that turns."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus import __version__
from dualfocus.outputs.codes import encode_depth
from dualfocus.outputs.colour import colour_map, colour_scale
from dualfocus.outputs.mesh import STEEPEST, encode_jpeg
from dualfocus.outputs.numbers import apart
from dualfocus.outputs.projection import check_projection, projection
from dualfocus.outputs.result import DepthResult
from dualfocus.pixels import pick_pixels
from dualfocus.stack import FocalStack

LONGEST = 1280  # pixels of a side of the pictures in the page
_PLANE_PIXELS = 24_000_000  # pixels of all planes together, about 5 MB
_TEMPLATE = Path(__file__).with_name("report.html")
_RELIEF = 0.35  # range of a depth without scale, as a part of the longer side


def encode_report(result: DepthResult, stack: FocalStack | None, fov: float | None) -> bytes:
    """The page; everything is inside it.

    Args:
        result: what is shown.
        stack: its planes get a slider; none without.
        fov: field of view in degrees where it is given.
    """
    height, width = result.depth.shape
    factor = min(1.0, LONGEST / max(height, width))
    shown = (max(1, round(height * factor)), max(1, round(width * factor)))
    depth, valid, confidence = (pick_pixels(part, shown) for part in (result.depth, result.valid, result.confidence))
    codes, scale, offset = encode_depth(depth, valid)
    colours = colour_scale(result)
    data = {
        "unit": result.unit,
        "size": [height, width],
        "shown": list(shown),
        "maps": _pack(codes, confidence),
        "scale": scale,
        "offset": offset,
        "image": _data_url(encode_jpeg(result.all_in_focus, max(shown))),
        "inverse": colours.inverse,
        "farther": colours.farther,
        "low": colours.low,
        "high": colours.high,
        "colours": colour_map().tolist(),
        "ticks": colours.depth_texts(6),
        "planes": [] if stack is None else _planes(stack, result.unit),
        "camera": _camera(result, shown, fov),
        "steepest": STEEPEST,
        "facts": _facts(result),
        "warnings": list(result.warnings),
        "made": f"dualfocus {__version__}, model {result.model}",
    }
    # "<" starts a tag even inside a script; names of files may hold it.
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    return _TEMPLATE.read_text(encoding="utf-8").replace("__DATA__", text).encode("utf-8")


def _pack(codes: NDArray[np.uint16], confidence: NDArray[np.float32]) -> str:
    """Differences of the codes along the rows as high and low bytes, then the confidence as bytes: zlib, base64."""
    steps = np.diff(codes, axis=1, prepend=np.zeros((len(codes), 1), np.uint16))
    sure = np.round(255 * np.clip(np.nan_to_num(confidence), 0, 1)).astype(np.uint8)
    parts = [(steps >> 8).astype(np.uint8), (steps & 255).astype(np.uint8), sure]
    return base64.b64encode(zlib.compress(b"".join(part.tobytes() for part in parts), 9)).decode("ascii")


def _planes(stack: FocalStack, unit: str) -> list[dict[str, Any]]:
    """Every plane near to far: picture, name, and depth (None at infinity) if it is known in the unit of the result."""
    height, width = stack.size
    allowed = (_PLANE_PIXELS / len(stack) / (height * width)) ** 0.5 * max(height, width)
    planes: list[dict[str, Any]] = []
    distances = None if stack.focus_distances is None else apart(stack.focus_distances)
    for number, n in enumerate(stack.near_to_far.tolist(), 1):
        name = f"{number} of {len(stack)}: {stack.names[n]}"
        if distances is not None:
            name += f", focused at {distances[n]} {stack.unit}"
        picture = _data_url(encode_jpeg(stack[n], round(min(LONGEST, allowed)), quality=80))
        planes.append({"image": picture, "name": name})
        if stack.result_unit == unit:  # not so after a calibration
            depth = float(stack.depth_from_coordinate(stack.coordinates[n]))
            planes[-1]["depth"] = depth if np.isfinite(depth) else None
    return planes


def _camera(result: DepthResult, shown: tuple[int, int], fov: float | None) -> dict[str, Any]:
    """The projection for the page's pixels: `focal` for a pinhole, else `pixel`; and a note on where it comes from."""
    height, width = result.depth.shape
    factor = shown[1] / width
    center = [(shown[1] - 1) / 2, (shown[0] - 1) / 2]
    try:
        check_projection(result.unit, result.pixel_size_um, fov)
    except ValueError:
        low, high = result.depth_range or (0.0, 1.0)
        pixel = (high - low or 1.0) / (_RELIEF * max(shown))
        return {"pixel": pixel, "center": center, "note": "A relief: its depth is not to scale."}
    camera = projection(result, fov)
    note = f"{camera.kind.capitalize()} projection ({camera.source})."
    if camera.focal_px is not None:
        return {"focal": camera.focal_px * factor, "center": center, "note": note}
    assert camera.pixel_size is not None
    return {"pixel": camera.pixel_size / factor, "center": center, "note": note}


def _facts(result: DepthResult) -> str:
    height, width = result.depth.shape
    facts = [f"{width} x {height} pixels", f"{100 * float(result.valid.mean()):.3g} % with a valid depth"]
    if result.depth_range is not None:
        low, high = apart(result.depth_range)
        unit = "plane " if result.unit == "index" else ""
        facts.append(f"{unit}{low} to {high}{'' if unit else ' ' + result.unit}")
    return ", ".join(facts)


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
