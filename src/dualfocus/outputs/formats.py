"""The files that are written on request, beside those every result has."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dualfocus import __version__
from dualfocus.outputs.exr import encode_exr
from dualfocus.outputs.mesh import encode_glb, surface
from dualfocus.outputs.points import write_ply
from dualfocus.outputs.projection import check_fov, check_projection, projection
from dualfocus.outputs.report import encode_report
from dualfocus.outputs.result import DepthResult
from dualfocus.stack import FocalStack

FORMATS = {"tiff": "depth.tiff", "exr": "depth.exr", "ply": "points.ply", "glb": "mesh.glb", "html": "report.html"}
_SPATIAL = frozenset(("ply", "glb"))


def check_formats(also: Collection[str], unit: str, pixel_size_um: float | None, fov: float | None) -> None:
    """Find out whether further files can be made of a depth map, before it is computed.

    Raises:
        ValueError: an unknown format, or one that needs what is not known, naming the remedy.
    """
    unknown = sorted(set(also) - set(FORMATS))
    if unknown:
        raise ValueError(f"unknown output {unknown[0]!r}: choose from {', '.join(FORMATS)}")
    check_fov(fov, unit)
    if _SPATIAL & set(also):
        check_projection(unit, pixel_size_um, fov)


def write_formats(
    result: DepthResult, folder: Path, also: Collection[str], fov: float | None, stack: FocalStack | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Write each file; yields keys of `result.json` and what is to be said there of the file."""
    if "tiff" in also:
        _write_tiff(folder / FORMATS["tiff"], result)
    if "exr" in also:
        maps = {"Z": result.depth, "confidence": result.confidence}
        data = encode_exr(maps, {"unit": result.unit, "comments": _what(result)})
        (folder / FORMATS["exr"]).write_bytes(data)
    if "html" in also:
        (folder / FORMATS["html"]).write_bytes(encode_report(result, stack, fov))
    if not _SPATIAL & set(also):
        return
    camera = projection(result, fov)
    if "ply" in also:
        comment = f"dualfocus {__version__}: x right, y down, z forward, in {result.unit}; {camera.source}"
        write_ply(folder / FORMATS["ply"], result, camera, comment)
        yield "points", {"file": FORMATS["ply"], **camera.record()}
    if "glb" in also:
        mesh = surface(result, camera)
        data = encode_glb(mesh, result.all_in_focus, result.unit, f"{_what(result)}; {camera.source}")
        (folder / FORMATS["glb"]).write_bytes(data)
        yield "mesh", {"file": FORMATS["glb"], "stride": mesh.stride, **camera.record()}


def _what(result: DepthResult) -> str:
    unit = "fractional plane index" if result.unit == "index" else f"depth along the optical axis in {result.unit}"
    return f"dualfocus {__version__}: {unit}"


def _write_tiff(path: Path, result: DepthResult) -> None:
    import tifffile

    size: dict[str, Any] = {}
    if result.pixel_size_um is not None:
        per_cm = 1e4 / result.pixel_size_um
        size = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    depth = np.asarray(result.depth, np.float32)
    tifffile.imwrite(path, depth, photometric="minisblack", description=_what(result), metadata=None, **size)
