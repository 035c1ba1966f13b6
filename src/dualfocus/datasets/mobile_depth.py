"""Mobile Depth: eleven stacks photographed with a hand-held phone and aligned. There is no truth: only to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dualfocus.datasets.files import below
from dualfocus.datasets.sample import Sample
from dualfocus.readers import load_stack

SCENES = (
    "balls",
    "bottles",
    "fruits",
    "keyboard",
    "largemotion",
    "metals",
    "plants",
    "smallmotion",
    "telephone",
    "window",
    "zeromotion",
)
PLANES = 5
HOW = "get the aligned focus stacks (depth_from_focus_data3) from https://www.supasorn.com/dffdownload.html"


class MobileDepth:
    """The scenes `Aligned/FIGURE/SCENE/aNUMBER.jpg`, five frames of each, evenly taken from the sweep, by rank.

    The distances that the set's authors estimated have no metric scale and for some scenes leap by a factor of 10^6;
    they are not read. Results are in positions of the five frames.

    Args:
        root: the folder `Aligned`, or one that holds it.

    Raises:
        ValueError: no such folder, or none of the scenes in it.
    """

    def __init__(self, root: str | Path) -> None:
        if not Path(root).is_dir():
            raise ValueError(f"{root}: no such folder; {HOW}")
        scenes = (path for path in below(root, "*") if path.name in SCENES)
        folders = {path.name: path for path in scenes if len(frames(path)) >= PLANES}
        self.names = sorted(folders)
        self.folders = [folders[name] for name in self.names]
        if not self.names:
            raise ValueError(f"{root}: no scene (a folder such as {SCENES[0]} with a1.jpg, a2.jpg, ...) in it; {HOW}")

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Scene `index`, its frames read when they are used; its mask is empty."""
        paths = frames(self.folders[index])
        chosen = np.linspace(0, len(paths) - 1, PLANES).round().astype(int)
        stack = load_stack([paths[k] for k in chosen], unit="index")
        return Sample(self.names[index], stack, np.zeros(stack.size, np.float32), np.zeros(stack.size, bool))


def frames(folder: Path) -> list[Path]:
    """The aligned frames of a scene by their numbers; those without an `a` before it are not aligned."""
    return sorted((path for path in folder.glob("a*.jpg") if path.stem[1:].isdigit()), key=lambda p: int(p.stem[1:]))
