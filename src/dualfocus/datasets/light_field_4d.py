"""The 4D Light Field Benchmark (HCI and Konstanz): 9 x 9 views of a scene, refocused as AiFDepthNet does.

The disparity of its views has a sign: 0 is where the cameras converge, which leaves nothing metric to a stack made of
them. Stacks are handed on in dioptres, disparity + `SHIFT_PX`: blur is linear in both, near and far stay what they
are, and nothing is below 0. Protocols turn depth back into disparity.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.files import read_image
from dualfocus.datasets.sample import Sample
from dualfocus.rendering.light_field import refocus
from dualfocus.stack import FocalStack

CATEGORIES = ("additional", "stratified", "training")  # `test` has no truth
VALIDATION = ("boxes", "cotton", "dino", "sideboard")
COUNTS = {"train": 20, "val": 4}
VIEWS = 9  # on a side
VIEW_NAMES = [f"input_Cam{number:03d}.png" for number in range(VIEWS**2)]
DISPARITIES = np.linspace(-2.5, 2.5, 10)  # px from view to view, far to near
LEAST_PX = -3.6  # a truth at or below it counts as none
SHIFT_PX = 4.0
TRUTH = "gt_disp_lowres.pfm"
HOW = "request full_data.zip at https://lightfield-analysis.uni-konstanz.de"


class LightField4d:
    """The scenes of one split: `CATEGORY/SCENE/input_Cam000.png` to `080`, row by row, and `gt_disp_lowres.pfm`.

    Args:
        root: the folder with the categories, or `full_data`'s parent.
        split: "train" or "val", AiFDepthNet's validation scenes: boxes, cotton, dino, sideboard.

    Raises:
        ValueError: no such folder or split, or no scene of it.
    """

    def __init__(self, root: str | Path, split: str = "val") -> None:
        if split not in COUNTS:
            raise ValueError(f"{root}: no split {split!r} with truth; use train or val")
        if not Path(root).is_dir():
            raise ValueError(f"{root}: no such folder; {HOW}")
        above = (Path(root) / "full_data", Path(root))
        scenes = sorted(path.parent for base in above for part in CATEGORIES for path in base.glob(f"{part}/*/{TRUTH}"))
        self.folders = [folder for folder in scenes if (folder.name in VALIDATION) == (split == "val")]
        if not self.folders:
            raise ValueError(f"{root}: no scene of the {split} split there (CATEGORY/SCENE/{TRUTH}); {HOW}")
        self.names = [folder.name for folder in self.folders]

    def __len__(self) -> int:
        """Number of scenes of the split."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read the views of scene `index` and refocus them, 8 bits cut off as AiFDepthNet stores them."""
        views, disparity = self.read(index)
        images = (refocus(views / 255, DISPARITIES) * 255).astype(np.uint8)
        mask = np.isfinite(disparity) & (disparity > LEAST_PX)
        truth = 1 / (np.where(mask, disparity, 0) + SHIFT_PX)
        stack = FocalStack(images, DISPARITIES + SHIFT_PX, "dioptre")
        return Sample(self.names[index], stack, truth.astype(np.float32), mask, views[VIEWS // 2, VIEWS // 2])

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The views of scene `index`, (9, 9, H, W, 3), and its disparity, (H, W) in px."""
        folder = self.folders[index]
        views = [read_image(folder / name, "RGB") for name in VIEW_NAMES]
        disparity = read_image(folder / TRUTH).astype(np.float64)
        if any(view.shape != (*disparity.shape, 3) for view in views):
            raise ValueError(f"{folder}: views of another size than {TRUTH}, {disparity.shape}")
        return np.stack(views).reshape(VIEWS, VIEWS, *disparity.shape, 3), disparity
