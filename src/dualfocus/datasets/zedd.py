"""ZEDD: focal stacks photographed through a calibrated lens, with measured depth; the test set's is hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.datasets.files import known_depth, read_array, read_image
from dualfocus.datasets.sample import Sample
from dualfocus.stack import Camera, FocalStack

F_NUMBER = 2.8  # of 1.4, 2.0, 2.8, 4.0, 5.6 and 16
RUNS = (1, 3, 5, 7, 9)  # of nine focus distances
SHARP_RUN, SHARP_F_NUMBER = 5, 16.0
COUNT = 50  # of either split
TEST_NAMES = tuple(f"zedd_output_{number:04d}" for number in range(1, COUNT + 1))  # of test_0001, ...
HEIGHT, WIDTH = 1216, 1824
VAL_HEIGHT, VAL_WIDTH = 480, 640
METADATA, TRUTH = "metadata.txt", "gt/depth.npy"
HOW = "ZEDD.zip is linked from https://zedd.cs.princeton.edu"


class Zedd:
    """The stacks of one split at f/2.8, runs 1, 3, 5, 7 and 9: FOSSA's standard setting.

    A scene is `SPLIT/SCENE/focus_stack/img_run_R_motor_M_aperture_FX.X.jpg` with `gt/depth.npy` in metres; the motor's
    code and the focus distance of each run are in `metadata.txt`. Val is shrunk to a height of 480 (images by Lanczos,
    depth to the nearest pixel) and its central 640 columns are taken; truth counts from 0.01 to 1000 m. Test keeps its
    1216 x 1824, has no truth, and is named as its server wants the predictions: zedd_output_0001 for test_0001.

    Args:
        root: the folder `ZEDD`, or one that holds it.
        split: "val" or "test".

    Raises:
        ValueError: no such folder or split, no scene or too many, or a `metadata.txt` that lacks a run.
    """

    def __init__(self, root: str | Path, split: str = "val") -> None:
        if split not in ("val", "test"):
            raise ValueError(f"{root}: no split {split!r}; use val or test")
        self.root, self.split = find_folder(Path(root)), split
        self.runs = read_runs(self.root / METADATA)
        self.folders = sorted(path for path in (self.root / split).glob("*") if path.is_dir())
        if not self.folders:
            raise ValueError(f"{self.root / split}: no scene in it; {HOW}")
        if split == "test" and len(self.folders) > COUNT:
            raise ValueError(f"{self.root / split}: {len(self.folders)} folders in it, not {COUNT}; {HOW}")
        tested = list(TEST_NAMES[: len(self.folders)])
        self.names = tested if split == "test" else [folder.name for folder in self.folders]

    def __len__(self) -> int:
        """Number of scenes of the split."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read scene `index`."""
        *planes, sharp = self.paths(index)[: len(RUNS) + 1]
        images = [self._sized(read_image(path, "RGB"), Image.Resampling.LANCZOS) for path in planes]
        distances = [self.runs[run][1] for run in RUNS]
        stack = FocalStack(images, distances, "m", Camera("ZEDD", f_number=F_NUMBER), names=[str(p) for p in planes])
        depth, mask = np.zeros(stack.size, np.float32), np.zeros(stack.size, bool)
        if self.split == "val":
            depth, mask = known_depth(self._sized(read_array(self.folders[index] / TRUTH), Image.Resampling.NEAREST))
        aif = self._sized(read_image(sharp, "RGB"), Image.Resampling.LANCZOS)
        return Sample(self.names[index], stack, depth, mask, aif)

    def paths(self, index: int) -> list[Path]:
        """The files of a scene that are read: its planes, the all-in-focus image, and in val the truth."""
        taken = [*((run, F_NUMBER) for run in RUNS), (SHARP_RUN, SHARP_F_NUMBER)]
        names = [f"img_run_{run}_motor_{self.runs[run][0]}_aperture_F{f:.1f}.jpg" for run, f in taken]
        folder = self.folders[index]
        return [*(folder / "focus_stack" / name for name in names), *([folder / TRUTH] if self.split == "val" else [])]

    def _sized(self, image: NDArray[Any], how: Image.Resampling) -> NDArray[Any]:
        """The part of an image that counts, at the size that does."""
        if self.split == "test":
            return image
        height, width = image.shape[:2]
        if height != VAL_HEIGHT:
            width = int(width * (VAL_HEIGHT / height))
            image = np.asarray(Image.fromarray(image).resize((width, VAL_HEIGHT), how))
        left = max(0, (width - VAL_WIDTH) // 2)
        return image[:, left : left + VAL_WIDTH]


def find_folder(root: Path) -> Path:
    """The folder with `metadata.txt` (ValueError when there is none)."""
    for folder in (root, root / "ZEDD"):
        if (folder / METADATA).is_file():
            return folder
    raise ValueError(f"{root}: no {METADATA} of ZEDD there; {HOW}")


def read_runs(path: Path) -> dict[int, tuple[str, float]]:
    """Motor code and focus distance in metres of each run, from lines `run_1 TAB 6D3E TAB metres`.

    Raises:
        ValueError: a line that is none of these nor a comment, or a run missing that is used.
    """
    runs = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                run, motor, metres = line.strip().split("\t")
                runs[int(run.removeprefix("run_"))] = motor, float(metres)
            except ValueError:
                raise ValueError(
                    f"{path}: line {number} must be: run_N, motor code, metres, with tabs; {HOW}"
                ) from None
    missing = [f"run_{run}" for run in RUNS if run not in runs]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)} in it; {HOW}")
    return runs
