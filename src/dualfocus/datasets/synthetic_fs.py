"""FlyingThings3D-FS and Middlebury-FS: fifteen planes that AiFDepthNet's authors blurred from stereo disparity.

Focus positions and truth are disparities in pixels, and blur is linear in them. Stacks are handed on as if a pixel were
a dioptre; protocols turn depth back into disparity.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.files import below, read_exr, read_image
from dualfocus.datasets.sample import Sample
from dualfocus.stack import FocalStack

PLANES = 15
SHARP, TRUTH = "AiF.png", "disp.exr"
HOW = "https://github.com/albert100121/AiFDepthNet links it (README, Download Dataset)"


@dataclass(frozen=True)
class StereoSet:
    """One of the sets: the folder of its scenes, how many there are, and the planes in px of disparity."""

    title: str
    folder: str
    count: int
    nearest: float
    farthest: float = 10.0

    @property
    def disparities(self) -> NDArray[np.float64]:
        """(15,) focus positions in px, far to near."""
        return np.linspace(self.farthest, self.nearest, PLANES)


FLYINGTHINGS3D = StereoSet("FlyingThings3D-FS", "val", 100, 100.0)
MIDDLEBURY = StereoSet("Middlebury-FS", "focal_stack", 15, 60.0)


class SyntheticFs:
    """The scenes to measure on: folders with `AiF.png`, `disp.exr` and a `FOCUS.png` for each focus position.

    Args:
        root: the unpacked archive; scenes are folders with a `disp.exr` below its `val` (FlyingThings3D-FS) or
            `focal_stack` (Middlebury-FS), or anywhere below it when there is no such folder.
        kind: `FLYINGTHINGS3D` or `MIDDLEBURY`.

    Raises:
        ValueError: no such folder, or no scene in it.
    """

    def __init__(self, root: str | Path, kind: StereoSet) -> None:
        if not Path(root).is_dir():
            raise ValueError(f"{root}: no such folder; {HOW}")
        self.kind = kind
        sets = sorted(path for path in below(root, kind.folder) if path.is_dir())
        base = sets[0] if sets else Path(root)
        self.folders = sorted(path.parent for path in below(base, TRUTH))
        if not self.folders:
            raise ValueError(f"{base}: no scene of {kind.title} (a folder with {TRUTH}) in it; {HOW}")
        self.names = [folder.relative_to(base).as_posix() for folder in self.folders]

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read scene `index`; truth is known where its disparity is finite and above 0."""
        folder = self.folders[index]
        paths = plane_paths(folder, self.kind)
        disparity = read_exr(folder / TRUTH).astype(np.float64)
        mask = np.isfinite(disparity) & (disparity > 0)
        depth = np.divide(1, disparity, out=np.zeros_like(disparity), where=mask).astype(np.float32)
        images = [read_image(path, "RGB") for path in paths]
        stack = FocalStack(images, self.kind.disparities, "dioptre", names=[str(path) for path in paths])
        return Sample(self.names[index], stack, depth, mask, read_image(folder / SHARP, "RGB"))


def plane_paths(folder: Path, kind: StereoSet) -> list[Path]:
    """The images of a scene by focus position, which their names are (ValueError when one is missing)."""
    found = {float(path.stem): path for path in folder.glob("*.png") if _is_number(path.stem)}
    positions = sorted(found)
    if len(positions) != PLANES or not np.allclose(positions, kind.disparities):
        raise ValueError(
            f"{folder}: {len(positions)} images named by their focus, not the {PLANES} of {kind.title} from "
            f"{kind.farthest:g}.png to {kind.nearest:g}.png; {HOW}"
        )
    return [found[position] for position in positions]


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
