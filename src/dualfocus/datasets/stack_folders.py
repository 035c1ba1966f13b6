"""Folders of focal stacks described by a `stack.json` that names a ground truth."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.files import below, read_image
from dualfocus.datasets.sample import Sample
from dualfocus.readers import load_stack
from dualfocus.readers.files import folder_images, why_closed
from dualfocus.readers.sidecar import SIDECAR
from dualfocus.stack import FocalStack
from dualfocus.stack.distances import PER_METRE

_LARGEST_SCALE = 1e6  # metres a level


class StackFolders:
    """Every focal stack with ground truth below a folder, found by its `stack.json`.

    The truth is the sidecar's `ground_truth` (a .npy in the stack's unit), or `depth_png` (16 bit, 0 = nothing there)
    times `depth_png_scale_m`, in metres. Stacks without truth are left out and listed in `without_truth`.

    Args:
        root: the folder, searched recursively; a folder that holds a `stack.json` itself counts too.

    Raises:
        ValueError: the folder does not exist, cannot be read, or holds no stack with truth.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise ValueError(f"{self.root}: no such folder")
        if reason := why_closed(self.root):
            raise ValueError(f"{self.root}: the folder cannot be read ({reason})")
        self.without_truth: list[str] = []
        self.names: list[str] = []
        self._folders: list[Path] = []
        sidecars = sorted(below(self.root, SIDECAR), key=_natural)
        for sidecar in sidecars:
            name = sidecar.parent.relative_to(self.root).as_posix()
            name = self.root.resolve().name if name == "." else name
            _check_name(name)
            if _read_sidecar(sidecar).keys() & {"ground_truth", "depth_png"}:
                self.names.append(name)
                self._folders.append(sidecar.parent)
            else:
                self.without_truth.append(name)
        if not self.names:
            raise ValueError(
                f"{self.root}: {len(sidecars)} stack.json found below, none of them names a ground truth; "
                'add "ground_truth": "file.npy" (depth in the unit of the stack)'
            )

    def __len__(self) -> int:
        """Number of stacks with truth."""
        return len(self.names)

    def fingerprint(self) -> str:
        """Short hash of what the figures rest on: every sidecar, every truth, and the names and sizes of the images."""
        digest = hashlib.sha256()
        for folder in self._folders:
            sidecar = _read_sidecar(folder / SIDECAR)
            digest.update(json.dumps(sidecar, sort_keys=True).encode())
            truth = folder / str(sidecar.get("ground_truth") or sidecar.get("depth_png"))
            with contextlib.suppress(OSError):  # what is missing is said when the stack is loaded
                digest.update(truth.read_bytes())
            with contextlib.suppress(ValueError):  # no image lies here: the sidecar names them elsewhere
                images = [path for path in folder_images(folder) if isinstance(path, Path) and path.is_file()]
                digest.update(json.dumps([[path.name, path.stat().st_size] for path in images]).encode())
        return digest.hexdigest()[:16]

    def __getitem__(self, index: int) -> Sample:
        """Load stack `index` (frames stay on disk until used) with its truth in the result unit."""
        folder = self._folders[index]
        sidecar = _read_sidecar(folder / SIDECAR)
        stack = load_stack(folder)
        if "ground_truth" in sidecar:
            truth, mask = _truth_from_array(stack, folder)
        else:
            truth, mask = _truth_from_png(stack, folder, sidecar)
        if not mask.any():
            raise ValueError(f"{folder / 'stack.json'}: the ground truth has no valid pixel")
        image = sidecar.get("all_in_focus")
        return Sample(self.names[index], stack, truth, mask, read_image(folder / image) if image else None)


def _check_name(name: str) -> None:
    """Refuse what no table or JSON of results can hold."""
    if re.search(r"[\x00-\x1f\ud800-\udfff]", name):
        raise ValueError(f"{name!r}: the name has characters that cannot be written in a table: rename the folder")


def _natural(path: Path) -> list[Any]:
    """Sort key that puts scene2 before scene10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.as_posix())]


def _read_sidecar(path: Path) -> dict[str, Any]:
    """The entries of a stack.json that are not null."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: must hold one JSON object")
    for key in ("depth_png", "all_in_focus"):
        if not isinstance(content.get(key), (str, type(None))):
            raise ValueError(f'{path}: "{key}" must be a file name or null, not {content[key]!r}')
    return {key: value for key, value in content.items() if value is not None}


def _truth_from_array(stack: FocalStack, folder: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Ground truth in the stack's unit, carried to the result unit (dioptres become metres)."""
    given = stack.ground_truth
    if given is None:
        raise ValueError(f"{folder / 'stack.json'}: the ground truth it names was not loaded")
    truth = np.asarray(given, np.float64)
    mask = np.isfinite(truth)
    if stack.is_camera:
        mask &= truth > 0
    if stack.unit == "dioptre":
        truth = np.divide(1, truth, out=np.zeros_like(truth), where=mask)
    return np.where(mask, truth, 0).astype(np.float32), mask


def _truth_from_png(
    stack: FocalStack, folder: Path, sidecar: dict[str, Any]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Ground truth in metres from a 16-bit depth image."""
    scale = sidecar.get("depth_png_scale_m")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < _LARGEST_SCALE:
        raise ValueError(f"{folder / 'stack.json'}: depth_png needs depth_png_scale_m, metres for each level")
    if stack.result_unit not in PER_METRE:
        raise ValueError(f"{folder / 'stack.json'}: depth_png is in metres, the stack in {stack.unit!r}")
    level = read_image(folder / sidecar["depth_png"]).astype(np.float64)
    if level.ndim != 2:
        raise ValueError(f"{folder / sidecar['depth_png']}: a depth image has one channel, not {level.shape[2]}")
    truth = level * scale * PER_METRE[stack.result_unit]
    return truth.astype(np.float32), level > 0
