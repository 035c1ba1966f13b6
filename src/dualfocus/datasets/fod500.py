"""FoD500, the set that DefocusNet released: 500 rendered focal stacks of five planes in the folder `fs_6`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dualfocus.datasets.files import read_exr, read_image
from dualfocus.datasets.sample import Sample
from dualfocus.stack import Camera, FocalStack

FOCUS_DISTANCES_M = (0.1, 0.15, 0.3, 0.7, 1.5)
COUNT, FIRST_TEST = 500, 400
SIZE = 256
CAMERA = Camera("thin lens", focal_length_mm=2.9, f_number=1.0, sensor_width_mm=3.1)
HOW = "the set (fs_6) is linked from https://github.com/dvl-tum/defocus-net"


class Fod500:
    """The stacks of one split. Names begin with a number of six digits: below 400 train, from 400 test.

    Of each sample there are five `*All.tif`, near to far when sorted, and one `*Dpt.exr` of half floats in metres, of
    which the channel R is read. Its `*Aif.tif`, which only DEReD's own copies have, is the all-in-focus image.

    Args:
        root: the folder `fs_6`, or one that holds it.
        split: "train" or "test".

    Raises:
        ValueError: no such folder or split, or a sample without five images and one depth.
    """

    def __init__(self, root: str | Path, split: str = "test") -> None:
        if split not in ("train", "test"):
            raise ValueError(f"{root}: no split {split!r}; use train or test")
        self.root = find_folder(Path(root))
        samples = list_samples(self.root)
        self._samples = {n: f for n, f in samples.items() if (int(n) < FIRST_TEST) == (split == "train")}
        if not self._samples:
            raise ValueError(f"{self.root}: no sample of the {split} split; {HOW}")
        for name, files in self._samples.items():
            problem = incomplete(name, files)
            if problem:
                raise ValueError(f"{self.root}: {problem}; {HOW}")
        self.names = list(self._samples)

    def __len__(self) -> int:
        """Number of samples of the split."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read sample `index`; truth is known where it is above 0, however far."""
        name = self.names[index]
        files = self._samples[name]
        images = np.stack([read_image(path, "RGB") for path in files["All.tif"]])
        depth = read_exr(files["Dpt.exr"][0])
        stack = FocalStack(images, FOCUS_DISTANCES_M, "m", CAMERA)
        sharp = files.get("Aif.tif")
        mask = np.isfinite(depth) & (depth > 0)
        return Sample(name, stack, depth, mask, read_image(sharp[0], "RGB") if sharp else None)


def find_folder(root: Path) -> Path:
    """The folder with the files: `fs_6` below a folder that holds it (ValueError when there is none)."""
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; {HOW}")
    return root / "fs_6" if (root / "fs_6").is_dir() else root


def list_samples(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """The files of each sample by its number, sorted, told apart by the last seven letters of their names."""
    samples: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(folder.iterdir()):
        number, kind = path.name[:6], path.name[-7:]
        if number.isdigit() and len(number) == 6 and kind in ("All.tif", "Dpt.exr", "Aif.tif"):
            samples.setdefault(number, {}).setdefault(kind, []).append(path)
    return samples


def incomplete(name: str, files: dict[str, list[Path]]) -> str | None:
    """What is wrong with a sample's files, or None."""
    images, depths = (len(files.get(kind, [])) for kind in ("All.tif", "Dpt.exr"))
    if images == len(FOCUS_DISTANCES_M) and depths == 1:
        return None
    return f"sample {name} has {images} of {len(FOCUS_DISTANCES_M)} All.tif and {depths} of 1 Dpt.exr"
