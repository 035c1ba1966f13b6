"""What the fixtures of all data sets are made with: seeds, lenses, holes, and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.datasets.fixture_scene import FixtureScene
from dualfocus.optics import circle_of_confusion_px

SEED = 0


def camera_blur(
    scene: FixtureScene, distances: Any, focal_length: float, f_number: float, pitch: float
) -> NDArray[np.float64]:
    """(L, N, H, W) diameter in px of a thin lens."""
    planes = [circle_of_confusion_px(scene.depth, s, focal_length, f_number, pitch) for s in distances]
    return np.stack(planes, axis=1)


def with_holes(depth: NDArray[Any]) -> NDArray[Any]:
    """The same array with 0, which marks unknown depth, in a block and along a side, as behind a rim."""
    rows, columns = depth.shape
    depth[rows // 5 : rows // 4, columns // 5 : columns // 3] = 0
    depth[rows // 3 : 2 * rows // 3, -columns // 5 :: 7] = 0
    return depth


def seeded(*words: Any) -> np.random.Generator:
    """A generator whose seed is what these words say."""
    return np.random.default_rng([SEED, *"/".join(map(str, words)).encode()])


def save(image: NDArray[Any], path: Path) -> None:
    """Write an image in the format of its suffix; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"quality": 95} if path.suffix == ".jpg" else {}
    Image.fromarray(image).save(path, **options)


def write_exr(path: Path, channels: dict[str, NDArray[Any]]) -> None:
    """Write channels of one type as an EXR image; folders are made."""
    import OpenEXR

    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file to be read by people too."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
