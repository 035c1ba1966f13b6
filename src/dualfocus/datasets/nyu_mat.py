"""NYU Depth v2 as published: `nyu_depth_v2_labeled.mat`, an HDF5 file with MATLAB's order of axes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.hdf5 import LazyFile
from dualfocus.datasets.nyu import HEIGHT, SPLITS, WIDTH, NyuImages, centre_crop

COUNT = sum(SPLITS.values())
HOW = "nyu_depth_v2_labeled.mat (2.8 GB) is at https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html"
SPLIT_FILE = "nyu_split.json"


class NyuMat(NyuImages):
    """The 1449 labelled images with the depth as measured.

    MATLAB's (480, 640, 3, 1449) `images` are (1449, 3, 640, 480) in the file. Depth is `rawDepths`, with its holes,
    from which BTS made its test images; `depths` has them painted in. The split is the official one, kept beside this
    module. A shorter file (a fixture) may state its own, in a `nyu_split.json` beside it.

    Args:
        root: the file.
        split: "train" (795 images) or "test" (654).
        planes: see `NyuImages`.
        focus_distances: see `NyuImages`.

    Raises:
        ValueError: no such file, no HDF5, keys or images missing, and as for `NyuImages`.
    """

    def _open(self) -> list[str]:
        self.file = LazyFile(self.root, HOW)
        shapes = self.file.shapes("images", "rawDepths")
        count = shapes["images"][0]
        for key, expected in (("images", (count, 3, WIDTH, HEIGHT)), ("rawDepths", (count, WIDTH, HEIGHT))):
            if shapes[key] != expected:
                raise ValueError(f"{self.root}: {key} is {shapes[key]}, not {expected} as MATLAB wrote it")
        test = test_indices(self.root)
        if max(test) >= count:
            raise ValueError(f"{self.root}: holds {count} images, the labelled set {COUNT}; download it again")
        self._indices = test if self.split == "test" else sorted(set(range(count)) - set(test))
        return [f"{index:04d}" for index in self._indices]

    def rgbd(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """See `NyuImages`."""
        number = self._indices[index]
        rgb = self.file.read("images", number).transpose(2, 1, 0)
        depth = self.file.read("rawDepths", number).T
        return centre_crop(rgb), centre_crop(depth.astype(np.float64))


def test_indices(path: Path) -> list[int]:
    """0-based positions of the test images in the file: the official split, or the one beside a fixture."""
    own = path.with_name(SPLIT_FILE)
    ranges = json.loads((own if own.is_file() else Path(__file__).with_name(SPLIT_FILE)).read_text(encoding="utf-8"))
    return [index for first, last in ranges["test"] for index in range(first, last + 1)]
