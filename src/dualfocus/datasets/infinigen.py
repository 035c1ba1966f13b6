"""Infinigen-Defocus: path-traced scenes with true thin-lens blur, in the setting that FOSSA measures."""

from __future__ import annotations

import json
from pathlib import Path

from dualfocus.datasets.files import known_depth, read_array, read_image
from dualfocus.datasets.sample import Sample
from dualfocus.stack import Camera, FocalStack

FOCUS_DISTANCES_M = (0.8, 1.7, 3.0, 4.7, 8.0)  # of nine
F_NUMBER = 1.4  # of five
COUNT = 200
LIST = "val.json"
SHARP, TRUTH = "image_all_in_focus.png", "depth.npy"
PLANES = tuple(f"image_ap_{F_NUMBER:.2f}_fd_{s:.2f}.png" for s in FOCUS_DISTANCES_M)
FILES = (*PLANES, SHARP, TRUTH)
HOW = "https://github.com/princeton-vl/FOSSA links InfinigenDefocus.zip (README, Infinigen Defocus)"


class InfinigenDefocus:
    """The scenes that FOSSA's `val.json` lists, or without it, beside or inside the folder, all that have a depth.

    A scene is a folder, whose name is the sample's, with `image_ap_A_fd_S.png` for f-number A and focus distance S in
    metres, `image_all_in_focus.png` and `depth.npy` in metres. Truth counts from 0.01 to 1000 m.

    Args:
        root: the folder of the scenes.

    Raises:
        ValueError: no such folder, no scene in it, or a bad list.
    """

    def __init__(self, root: str | Path) -> None:
        self.folder = Path(root)
        if not self.folder.is_dir():
            raise ValueError(f"{root}: no such folder; {HOW}")
        self.names = _listed(self.folder) or sorted(path.parent.name for path in self.folder.glob(f"*/{TRUTH}"))
        if not self.names:
            raise ValueError(f"{root}: no scene (a folder with {TRUTH}) in it; {HOW}")

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read scene `index`, five planes near to far, 720 x 960."""
        folder = self.folder / self.names[index]
        images = [read_image(folder / plane, "RGB") for plane in PLANES]
        names = [str(folder / plane) for plane in PLANES]
        stack = FocalStack(images, FOCUS_DISTANCES_M, "m", Camera("thin lens", f_number=F_NUMBER), names=names)
        depth, mask = known_depth(read_array(folder / TRUTH))
        return Sample(self.names[index], stack, depth, mask, read_image(folder / SHARP, "RGB"))


def _listed(folder: Path) -> list[str]:
    """The names in FOSSA's list, in its order; none without a list."""
    for path in (folder / LIST, folder.parent / LIST):
        if path.is_file():
            try:
                return [str(entry["id"]) for entry in json.loads(path.read_text(encoding="utf-8"))["files"]]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f'{path}: must hold {{"files": [{{"id": SCENE}}, ...]}} ({error!r}); {HOW}') from None
    return []
