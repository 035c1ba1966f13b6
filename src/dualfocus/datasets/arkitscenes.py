"""ARKitScenes, the `upsampling` subset, with focal stacks rendered as HybridDepth does for its zero-shot test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets.files import read_image, read_millimetres
from dualfocus.datasets.sample import Sample
from dualfocus.rendering.gathered_stack import Lens, planes_over, render_gather_stack
from dualfocus.stack import Camera, FocalStack

LENS = Lens(focal_length=2.9e-3, f_number=0.5, pixel_pitch=3.1e-3 / 560)
PLANES = 5
HEIGHT, WIDTH = 480, 640
COUNT = 5594
NEAREST_M = 0.01  # blending depth with holes leaves values near 0; a thin lens of 2.9 mm cannot be focused there
HOW = (
    "get it with `download_data.py upsampling --video_id_csv depth_upsampling/upsampling_train_val_splits.csv` "
    "of https://github.com/apple/ARKitScenes"
)

_CAMERA = Camera("thin lens", focal_length_mm=2.9, f_number=0.5, sensor_width_mm=WIDTH * LENS.pixel_pitch * 1e3)


class ArkitScenes:
    """The validation frames: `Validation/VIDEO/wide/VIDEO_TIME.png` with `highres_depth` in 16-bit millimetres.

    Image and depth are both shrunk to 480 x 640 by antialiased bilinear interpolation, as HybridDepth does, which
    blends depth across edges and holes. Truth counts wherever it is not 0. The five planes are equally spaced between
    the least and the largest depth of each image, which tells that range.

    The frames are those that `Validation.txt` (HybridDepth's list, beside or inside the folder `Validation`) names by
    their path in `lowres_wide`, or without it every frame of `wide` that has a depth.

    Args:
        root: the folder `upsampling`, or `Validation` itself.

    Raises:
        ValueError: no such folder, no frame, or a bad list.
    """

    def __init__(self, root: str | Path) -> None:
        self.folder = find_folder(Path(root))
        self.frames = list_frames(self.folder)
        self.names = [frame.replace("/wide/", "/").removesuffix(".png") for frame in self.frames]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read frame `index` and render its stack, near to far, 480 x 640."""
        photo = self.folder / self.frames[index]
        rgb = _resized(read_image(photo, "RGB") / 255)
        depth_path = depth_of(self.folder, self.frames[index])
        depth = _resized(read_millimetres(depth_path)[..., None])[..., 0]
        mask = depth != 0
        distances = planes_over(np.maximum(depth, NEAREST_M), mask, PLANES, str(depth_path))
        images = render_gather_stack(rgb, depth, distances, LENS)
        return Sample(self.names[index], FocalStack(images, distances, "m", _CAMERA), depth, mask, rgb)


def find_folder(root: Path) -> Path:
    """The folder `Validation` (ValueError when there is none)."""
    for folder in (root / "Validation", root / "upsampling" / "Validation", root):
        if folder.is_dir() and (folder.name == "Validation" or any(folder.glob("*/wide"))):
            return folder
    raise ValueError(f"{root}: no folder Validation of ARKitScenes' upsampling subset there; {HOW}")


def list_frames(folder: Path) -> list[str]:
    """Paths of the images below `Validation`, from the list or from the folders (ValueError when there are none)."""
    for listed in (folder / "Validation.txt", folder.parent / "Validation.txt"):
        if listed.is_file():
            lines = [line.split() for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
            bad = next((n for n, line in enumerate(lines, 1) if "/lowres_wide/" not in line[0]), None)
            if bad is not None or not lines:
                raise ValueError(f"{listed}: line {bad or 1} must begin with VIDEO/lowres_wide/NAME.png")
            return [line[0].replace("/lowres_wide/", "/wide/") for line in lines]
    images = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/wide/*.png"))
    frames = [frame for frame in images if depth_of(folder, frame).is_file()]
    if not frames:
        raise ValueError(f"{folder}: no VIDEO/wide/NAME.png with a highres_depth/NAME.png; {HOW}")
    return frames


def depth_of(folder: Path, frame: str) -> Path:
    """The depth image of a frame."""
    return folder / frame.replace("/wide/", "/highres_depth/")


def _resized(image: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, C) of float32 at 480 x 640, by antialiased bilinear interpolation."""
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[None]
    small = torch.nn.functional.interpolate(
        tensor, (HEIGHT, WIDTH), mode="bilinear", align_corners=False, antialias=True
    )
    return np.ascontiguousarray(small[0].numpy().transpose(1, 2, 0))
