"""The smartphone set of Learning to Autofocus: 47 test scenes with multi-view stereo depth and its confidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dualfocus.datasets.files import read_exr, read_image
from dualfocus.datasets.sample import Sample
from dualfocus.stack import FocalStack

# millimetres, of the 49 positions 0, 1, ... (the set's readme)
POSITIONS_MM = (
    3910.92, 2289.27, 1508.71, 1185.83, 935.91, 801.09, 700.37, 605.39, 546.23, 486.87, 447.99, 407.40, 379.91,
    350.41, 329.95, 307.54, 291.72, 274.13, 261.53, 247.35, 237.08, 225.41, 216.88, 207.10, 198.18, 191.60, 183.96,
    178.29, 171.69, 165.57, 160.99, 155.61, 150.59, 146.81, 142.35, 138.98, 134.99, 131.23, 127.69, 124.99, 121.77,
    118.73, 116.40, 113.63, 110.99, 108.47, 106.54, 104.23, 102.01,
)  # fmt: skip
TAKEN = (0, 5, 11, 16, 21, 27, 32, 37, 43, 48)  # ten of them, evenly
DIOPTRES = tuple(1000 / POSITIONS_MM[k] for k in TAKEN)
COUNT = 47
HEIGHT, WIDTH = 504, 378
CROP = (slice(84, -84), slice(63, -63))  # 336 x 252
HOW = "get its test part from the project page of Learning to Autofocus, https://learntoautofocus-google.github.io"


class Smartphone:
    """The scenes `scaled_images/SCENE/POSITION/result_scaled_image_center.jpg`, ten planes of each, the central part.

    Level v of `merged_depth/SCENE/result_merged_depth_center.png` is 20 / (100 - 99.8 v / 255) m. The channel R of
    `merged_conf/SCENE/result_merged_conf_center.exr`, cut off at 1, is how much a pixel counts.

    Args:
        root: the folder `test`, or one that holds it.

    Raises:
        ValueError: no such folder, or no scene in it.
    """

    def __init__(self, root: str | Path) -> None:
        self.folder = Path(root) / "test" if (Path(root) / "test").is_dir() else Path(root)
        self.names = sorted(path.name for path in self.folder.glob("scaled_images/*") if path.is_dir())
        if not self.names:
            raise ValueError(f"{self.folder}: no scene (a folder in scaled_images) there; {HOW}")

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read scene `index`, far to near; all of its truth is known, as far as it is trusted."""
        *planes, depth_file, trust_file = self.paths(index)
        images = [read_image(path, "RGB")[CROP] for path in planes]
        level = read_image(depth_file)[CROP]
        if level.ndim != 2 or level.dtype != np.uint8:
            raise ValueError(f"{depth_file}: is {level.shape} {level.dtype}, not an 8-bit image of one channel; {HOW}")
        depth = (20 / (100 - 99.8 * level / 255)).astype(np.float32)
        weight = np.minimum(read_exr(trust_file)[CROP], 1)
        stack = FocalStack(images, DIOPTRES, "dioptre", names=[str(path) for path in planes])
        return Sample(self.names[index], stack, depth, weight > 0, weight=weight)

    def paths(self, index: int) -> list[Path]:
        """The files of a scene that are read: its planes, depth and confidence."""
        name = self.names[index]
        images = self.folder / "scaled_images" / name
        return [
            *(images / str(position) / "result_scaled_image_center.jpg" for position in TAKEN),
            self.folder / "merged_depth" / name / "result_merged_depth_center.png",
            self.folder / "merged_conf" / name / "result_merged_conf_center.exr",
        ]
