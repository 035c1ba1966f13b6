"""DDFF 12-Scene: focal stacks refocused from light fields, ten planes evenly spaced in disparity.

A disparity d in pixels is a depth of `DISPARITY_M` / d metres, so it is proportional to dioptres. Stacks are handed on
in dioptres, whose focus coordinate is affine in disparity; protocols turn depth back into disparity to measure it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.hdf5 import LazyFile
from dualfocus.datasets.sample import Sample
from dualfocus.stack import FocalStack

DISPARITY_M = 0.1412375658  # baseline 2.708787e-4 m x 521.4052 px of focal length
PLANES = 10
NEAREST, FARTHEST = DISPARITY_M / 0.5, DISPARITY_M / 7  # px; the planes were refocused at 0.5 m to 7 m
ROUNDED_NEAREST, ROUNDED_FARTHEST = 0.28, 0.02  # what DFV and HybridDepth tell their networks instead
FILES = ("my_ddff_trainVal.h5", "dfv_trainVal.h5", "ddff-dataset-trainval.h5")
TEST_FILE = "ddff-dataset-test.h5"
TEST_SCENES = ("lockeroom", "cafeteria", "library", "spencerlab", "office44", "magistrale")  # of 20 stacks each
TEST_NAMES = tuple(f"{scene}/DISP_{number:04d}" for scene in TEST_SCENES for number in range(1, 21))
HEIGHT, WIDTH = 383, 552  # of DFV's file, which holds whole images; the official training file holds 224 x 224 crops
COUNTS = {"dfv": {"train": 400, "val": 200}, "official": {"train": 5269, "val": 1318}}
HOW = (
    "DFV's my_ddff_trainVal.h5 is linked from https://github.com/fuy34/DFV, "
    "ddff-dataset-trainval.h5 and ddff-dataset-test.h5 from https://hazirbas.com/datasets/ddff12scene"
)


class Ddff12:
    """The stacks of one split, from DFV's `my_ddff_trainVal.h5` or the official `ddff-dataset-trainval.h5`.

    Both have `stack_SPLIT` (count, 10, H, W, 3), 0 to 255 in any type, near to far, and `disp_SPLIT` (count, H, W) in
    pixels, 0 where there is none; DFV's has all-in-focus images in `AiF_SPLIT` too. Split and scenes differ: DFV's
    validation scenes are unseen in training, the official ones are not.

    Args:
        path: the file, or a folder that holds one of these.
        split: "train" or "val".
        planes: of the ten, taken at linspace(0, 9, planes) cut to whole numbers, as DFV does: 5 are 0, 2, 4, 6, 9.
        rounded: state the plane disparities as DFV and HybridDepth do, 0.28 to 0.02 px, in place of the exact ones.

    Raises:
        ValueError: no such file or split, no HDF5, keys missing, or arrays of other shapes.
    """

    def __init__(self, path: str | Path, split: str = "val", *, planes: int = PLANES, rounded: bool = True) -> None:
        if split not in ("train", "val"):
            raise ValueError(f"{path}: no split {split!r} with truth; use train or val")
        self.chosen = plane_selection(planes)
        self.disparities = plane_disparities(rounded)[self.chosen]
        self.split = split
        self.file = LazyFile(find_file(Path(path)), HOW)
        shapes = self.file.shapes(f"stack_{split}", f"disp_{split}")
        stacks, truths = shapes[f"stack_{split}"], shapes[f"disp_{split}"]
        if len(stacks) != 5 or stacks[1] != PLANES or stacks[4] != 3 or truths != (stacks[0], *stacks[2:4]):
            raise ValueError(
                f"{self.file.path}: stack_{split} is {stacks} and disp_{split} {truths}, "
                f"not (count, {PLANES}, H, W, 3) and (count, H, W)"
            )
        self.names = [f"{split}-{index:04d}" for index in range(stacks[0])]
        self.size = stacks[2:4]

    def __len__(self) -> int:
        """Number of stacks of the split."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read stack `index`; its truth is depth in metres, known where the disparity is above 0."""
        name, where = self.names[index], f"{self.file.path}: {self.names[index]}"
        images = _as_images(self.file.read(f"stack_{self.split}", index)[self.chosen], where)
        disparity = np.asarray(self.file.read(f"disp_{self.split}", index), np.float64)
        mask = np.isfinite(disparity) & (disparity > 0)
        depth = np.divide(DISPARITY_M, disparity, out=np.zeros_like(disparity), where=mask).astype(np.float32)
        stack = FocalStack(images, self.disparities / DISPARITY_M, "dioptre")
        sharp = f"AiF_{self.split}"
        return Sample(
            name,
            stack,
            depth,
            mask,
            _as_images(self.file.read(sharp, index), where) if sharp in self.file else None,
        )


class Ddff12Test:
    """The hidden test set: `stack_test` of `ddff-dataset-test.h5`, named as its server wants the predictions.

    Args:
        path: the file, or a folder that holds it.
        planes: see `Ddff12`; their disparities are told rounded.

    Raises:
        ValueError: no such file, no HDF5, no such key, or an array of another shape.
    """

    def __init__(self, path: str | Path, *, planes: int = PLANES) -> None:
        self.chosen = plane_selection(planes)
        self.disparities = plane_disparities(rounded=True)[self.chosen]
        self.file = LazyFile(find_file(Path(path), (TEST_FILE,)), HOW)
        shape = self.file.shapes("stack_test")["stack_test"]
        if shape[1:] != (PLANES, HEIGHT, WIDTH, 3) or shape[0] > len(TEST_NAMES):
            raise ValueError(f"{self.file.path}: stack_test is {shape}, not (120, {PLANES}, {HEIGHT}, {WIDTH}, 3)")
        self.names = list(TEST_NAMES[: shape[0]])

    def __len__(self) -> int:
        """Number of stacks."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read stack `index`; its mask is empty."""
        images = _as_images(self.file.read("stack_test", index)[self.chosen], self.names[index])
        stack = FocalStack(images, self.disparities / DISPARITY_M, "dioptre")
        return Sample(self.names[index], stack, np.zeros(stack.size, np.float32), np.zeros(stack.size, bool))


def plane_disparities(rounded: bool) -> NDArray[np.float64]:
    """(10,) disparities in pixels of the planes, near to far: the rounded list of DFV or the exact one."""
    ends = (ROUNDED_NEAREST, ROUNDED_FARTHEST) if rounded else (NEAREST, FARTHEST)
    return np.linspace(*ends, PLANES)


def plane_selection(planes: int) -> NDArray[np.intp]:
    """Which of the ten planes make a shorter stack: linspace(0, 9, planes), truncated as DFV does.

    >>> plane_selection(5).tolist()
    [0, 2, 4, 6, 9]
    """
    if not 2 <= planes <= PLANES:
        raise ValueError(f"DDFF 12-Scene has {PLANES} planes: take from 2 to {PLANES}, not {planes}")
    return np.linspace(0, PLANES - 1, planes).astype(np.intp)


def find_file(path: Path, names: tuple[str, ...] = FILES) -> Path:
    """The HDF5 file that a path means, of these names in a folder (ValueError when it holds none)."""
    if not path.is_dir():
        return path
    for name in names:
        if (path / name).is_file():
            return path / name
    raise ValueError(f"{path}: no {' or '.join(names)} in it; {HOW}")


def _as_images(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Images stored as 0 to 255 in any type: uint8 where they are whole numbers, else float32 in [0, 1]."""
    if values.dtype == np.uint8:
        return values
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):
        raise ValueError(f"{where}: images span {low:g} to {high:g}, not 0 to 255: a damaged file; {HOW}")
    whole = values.astype(np.uint8)
    return whole if np.array_equal(whole, values) else (values / 255).astype(np.float32)
