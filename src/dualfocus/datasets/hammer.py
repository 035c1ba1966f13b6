"""HAMMER in MoGe's packaging: JPEG images, logarithmic depth in 16-bit PNG; stacks rendered as FOSSA does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.datasets.adaptive import adaptive_sample
from dualfocus.datasets.files import DAMAGED, read_image
from dualfocus.datasets.sample import Sample

INDEX = ".index.txt"
FILES = ("image.jpg", "depth.png", "meta.json")
HOLE_M = 1000.0  # the depth that FOSSA gives to unknown pixels, for the renderer and the planes
HOW = "get HAMMER.zip of MoGe's evaluation data, which https://github.com/microsoft/MoGe links"


class Hammer:
    """The frames that `.index.txt` lists, a folder `SCENE/FRAME` a line, which is also the name of the sample.

    Args:
        root: the folder `HAMMER`, or one that holds it.

    Raises:
        ValueError: no such folder or list, or an empty one.
    """

    def __init__(self, root: str | Path) -> None:
        above = (Path(root) / "HAMMER", Path(root))
        found = next((folder for folder in above if (folder / INDEX).is_file()), None)
        if found is None:
            raise ValueError(f"{root}: no {INDEX} of HAMMER's frames there; {HOW}")
        self.folder = found
        self.names = (self.folder / INDEX).read_text(encoding="utf-8").split()
        if not self.names:
            raise ValueError(f"{self.folder / INDEX}: lists no frame; {HOW}")

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read frame `index` and render its stack, near to far; truth is known where it is finite."""
        image, depth_file, meta = (self.folder / self.names[index] / file for file in FILES)
        rgb = read_image(image, "RGB")
        depth = read_log_depth(depth_file)
        mask = np.isfinite(depth)
        focal_px = _focal_px(meta, rgb.shape[:2])
        return adaptive_sample(self.names[index], rgb, np.where(mask, depth, HOLE_M), mask, focal_px, str(depth_file))


def read_log_depth(path: Path) -> NDArray[np.float64]:
    """A depth image of MoGe as (H, W) metres, NaN where there is none and inf where there is nothing.

    Level v from 1 to 65534 is near^(1 - t) far^t, t = (v - 1) / 65533, with `near` and `far` (and perhaps `unit`, a
    factor) from the text of the PNG; 0 is NaN and 65535 infinity.

    Raises:
        ValueError: no image of 16 bits with `near` and `far`, naming the file.
    """
    try:
        with Image.open(path) as image:
            text, level = image.info, np.array(image)
        near, far, unit = float(text["near"]), float(text["far"]), float(text.get("unit", 1))
        if level.ndim != 2 or level.dtype.itemsize == 1 or not 0 < near < far:
            raise ValueError(f"{level.shape} {level.dtype}, near {near:g}, far {far:g}")
    except KeyError as error:
        raise ValueError(f"{path}: its text has no {error}, the scale of MoGe's depth; {HOW}") from None
    except (*DAMAGED, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as a 16-bit depth image of MoGe ({error}); {HOW}") from None
    t = (level.astype(np.float64) - 1) / 65533
    depth = near ** (1 - t) * far**t * unit
    depth[level == 0], depth[level == 65535] = np.nan, np.inf
    return depth


def _focal_px(path: Path, size: tuple[int, ...]) -> float:
    """Mean focal length in pixels from a meta.json, whose intrinsics are parts of the image's width and height."""
    try:
        intrinsics = np.array(json.loads(path.read_text(encoding="utf-8"))["intrinsics"], np.float64)
        return float(intrinsics[0, 0] * size[1] + intrinsics[1, 1] * size[0]) / 2
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path}: no intrinsics can be read from it ({error!r}); {HOW}") from None
