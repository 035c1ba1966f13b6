"""A library of meshes: the furniture catalogues of Sweet Home 3D (Debian package `sweethome3d-furniture`)."""

from __future__ import annotations

import io
import warnings
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dualfocus.rendering import textures

HELD_OUT_PERCENT = 20
_LARGEST = 4_000_000  # bytes of an .obj: larger ones take long to read and add nothing
_CATALOGUES = ("BlendSwap-CC-0", "BlendSwap-CC-BY")  # the two whose licences ask for no more than credit
FURNITURE_LICENCE = (
    "meshes: Sweet Home 3D furniture library (BlendSwap CC0 and CC-BY, authors in its catalogues);"
    " textures: as the folder they came from"
)
"""Of what is in the pictures of scenes made of these meshes."""


class Mesh(NamedTuple):
    """Triangles without shared corners, so that every one can carry its own texture coordinates.

    Attributes:
        corners: (T, 3, 3) float32, three corners of each triangle; the mesh is centred and its longest side is 1.
        uv: (T, 3, 2) float32, texture coordinates by projection along the axis that each triangle faces most.
    """

    corners: NDArray[np.float32]
    uv: NDArray[np.float32]


def is_held_out(name: str) -> bool:
    """Whether the model of this name belongs to the held-out split (a stable hash of the name alone)."""
    return textures.is_held_out(name, HELD_OUT_PERCENT)


class MeshLibrary:
    """Models of one split, by catalogue and file name.

    Args:
        folder: holds the catalogues (`*.sh3f`), as installed in /usr/share/sweethome3d/furniture.
        split: "train", "held_out" or "all".

    Raises:
        ValueError: no catalogue in the folder, or an unknown split.
    """

    def __init__(self, folder: str | Path, split: str = "train") -> None:
        if split not in textures.SPLITS:
            raise ValueError(f"mesh split must be one of {', '.join(textures.SPLITS)}, not {split!r}")
        files = [Path(folder) / f"{name}.sh3f" for name in _CATALOGUES]
        present = [file for file in files if file.is_file()]
        if not present:
            raise ValueError(
                f"{folder}: no {_CATALOGUES[0]}.sh3f; unpack the Debian package sweethome3d-furniture and give its"
                " folder share/sweethome3d/furniture"
            )
        self._where: dict[str, tuple[Path, str]] = {}
        for file in present:
            self._list(file, split)
        self.names = sorted(self._where)
        if not self.names:
            raise ValueError(f"{folder}: its catalogues hold no model of the split {split!r}")
        self.load = lru_cache(maxsize=64)(self._load)

    def _list(self, file: Path, split: str) -> None:
        try:
            with zipfile.ZipFile(file) as archive:
                members = [i for i in archive.infolist() if i.filename.endswith(".obj") and i.file_size < _LARGEST]
        except (OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"{file}: cannot be read as a catalogue ({error})") from None
        for member in members:
            name = f"{file.stem}/{Path(member.filename).stem}"
            if split == "all" or is_held_out(name) == (split == "held_out"):
                self._where[name] = (file, member.filename)

    def _load(self, name: str) -> Mesh:
        import trimesh

        file, member = self._where[name]
        with zipfile.ZipFile(file) as archive:
            content = archive.read(member)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of faces without texture coordinates: ours are made anew
            loaded: Any = trimesh.load(io.BytesIO(content), file_type="obj", force="mesh", process=False)
        try:
            return prepare(np.asarray(loaded.vertices), np.asarray(loaded.faces))
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{file}: {member} is no usable mesh ({error})") from None


def prepare(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> Mesh:
    """Centre, scale to 1 and map a mesh for a texture.

    Args:
        vertices: (V, 3).
        faces: (F, 3) indices of corners.

    Raises:
        ValueError: a mesh without extent.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    extent = float((high - low).max())
    if not extent > 0:
        raise ValueError("a mesh whose corners coincide")
    corners = ((vertices - (low + high) / 2) / extent)[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = np.abs(normal).argmax(axis=1)
    across = np.array([[1, 2], [2, 0], [0, 1]])[facing]  # the two axes that are left
    uv = np.take_along_axis(corners, across[:, None, :].repeat(3, axis=1), axis=2)
    return Mesh(corners.astype(np.float32), uv.astype(np.float32))


def write_ply(path: Path, mesh: Mesh, to_world: NDArray[np.floating], repeat: float = 1.0) -> None:
    """Write a mesh, moved by a (4, 4) matrix, as binary PLY with texture coordinates times `repeat` (no normals)."""
    corners = mesh.corners.reshape(-1, 3) @ to_world[:3, :3].T + to_world[:3, 3]
    table = np.concatenate([corners, repeat * mesh.uv.reshape(-1, 2)], axis=1).astype("<f4")
    faces = np.empty(len(mesh.corners), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"] = 3
    faces["corners"] = np.arange(3 * len(mesh.corners)).reshape(-1, 3)
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    header += [f"property float {name}" for name in ("x", "y", "z", "u", "v")]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    path.write_bytes("\n".join(header).encode() + b"\n" + table.tobytes() + faces.tobytes())
