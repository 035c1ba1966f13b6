"""NYU Depth v2 as BTS laid it out: `sync/` with 24 231 training pairs, `official_splits/test` with 654 test pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.files import below, read_image, read_millimetres
from dualfocus.datasets.nyu import HEIGHT, WIDTH, NyuImages, centre_crop

LISTS = {
    "train": ("nyu_train.txt", "nyudepthv2_train_files_with_gt.txt"),
    "test": ("nyu_test.txt", "nyudepthv2_test_files_with_gt.txt"),
}
HOW = "the set of BTS is linked from https://github.com/cleinc/bts"
COUNTS = {"train": 24231, "test": 654}


class NyuBts(NyuImages):
    """RGB in JPEG and depth in 16-bit millimetres, paired by a list or by their names.

    A list has lines `RGB DEPTH FOCAL` with paths below the split's folder and lies in `root` under one of the names in
    `LISTS`, as HybridDepth and BTS call it. Without a list, every `rgb_NNNNN.jpg` below the split's folder is paired
    with the `sync_depth_NNNNN.png` beside it.

    Args:
        root: folder with `sync` (train), and `official_splits/test` or `test`.
        split: "train" or "test".
        planes: see `NyuImages`.
        focus_distances: see `NyuImages`.

    Raises:
        ValueError: no such folder, nothing in it, a bad list, and as for `NyuImages`.
    """

    def _open(self) -> list[str]:
        self.folder = split_folder(self.root, self.split)
        self.pairs = list_pairs(self.root, self.folder, self.split)
        return [rgb.removesuffix(Path(rgb).suffix) for rgb, _ in self.pairs]

    def rgbd(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """See `NyuImages`."""
        photo, depth_path = (self.folder / name for name in self.pairs[index])
        rgb, depth = read_image(photo, "RGB"), read_millimetres(depth_path)
        if rgb.shape[:2] != (HEIGHT, WIDTH) or depth.shape != (HEIGHT, WIDTH):
            raise ValueError(f"{photo} is {rgb.shape[:2]}, its depth {depth.shape}: both must be {HEIGHT} x {WIDTH}")
        return centre_crop(rgb), centre_crop(depth)


def split_folder(root: Path, split: str) -> Path:
    """The folder of a split (ValueError when there is none)."""
    choices = (root / "sync",) if split == "train" else (root / "official_splits" / "test", root / "test")
    for folder in choices:
        if folder.is_dir():
            return folder
    wanted = " or ".join(choice.relative_to(root).as_posix() for choice in choices)
    raise ValueError(f"{root}: no folder {wanted} for the {split} split; {HOW}")


def list_pairs(root: Path, folder: Path, split: str) -> list[tuple[str, str]]:
    """RGB and depth paths below the split's folder, from the list or from the names (ValueError when there are none).

    BTS's list of the training images begins each path with a slash.
    """
    for name in LISTS[split]:
        if (root / name).is_file():
            lines = [line.split() for line in (root / name).read_text(encoding="utf-8").splitlines() if line.strip()]
            bad = next((n for n, line in enumerate(lines, 1) if len(line) not in (2, 3)), None)
            if bad is not None or not lines:
                raise ValueError(f"{root / name}: line {bad or 1} must be: RGB path, depth path, focal length")
            return [(rgb.lstrip("/"), depth.lstrip("/")) for rgb, depth, *_ in lines]
    images = sorted(path.relative_to(folder).as_posix() for path in below(folder, "rgb_*.jpg"))
    if not images:
        raise ValueError(f"{folder}: no rgb_NNNNN.jpg below it; {HOW}")
    return [(path, f"{Path(path).parent.as_posix()}/sync_depth_{Path(path).stem[4:]}.png") for path in images]
