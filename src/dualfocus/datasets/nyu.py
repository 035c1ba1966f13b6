"""NYU Depth v2 with focal stacks rendered as HybridDepth does, whatever form the RGB-D images have on disk.

`NyuLabelled` reads the small form, JPEG with 8-bit depth. That depth has steps of 39 mm. They are smoothed away inside
what the rounding allows before anything is rendered, and the result is the truth, so that image and truth agree; true
details below a step are lost. The forms with full depth are in `nyu_bts` and `nyu_mat`; `open_nyu` tells them apart.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.datasets.files import read_image
from dualfocus.datasets.gather import Lens, planes_over, render_gather_stack
from dualfocus.datasets.sample import Sample
from dualfocus.datasets.steps import remove_steps
from dualfocus.stack import Camera, FocalStack

LENS = Lens(focal_length=0.050, f_number=8.0, pixel_pitch=12e-6)
MIN_DEPTH_M, MAX_DEPTH_M = 0.001, 10.0
HEIGHT, WIDTH = 480, 640
CROP_HEIGHT, CROP_WIDTH = 384, 512
WHITE, BLACK = 255, 0
SPLITS = {"train": 795, "test": 654}

_CAMERA = Camera(
    "thin lens", focal_length_mm=50, f_number=LENS.f_number, sensor_width_mm=CROP_WIDTH * LENS.pixel_pitch * 1e3
)


class NyuImages(ABC):
    """RGB-D images of one split of NYU, in any form, as focal stacks.

    Args:
        root: file or folder of the data.
        split: "train" or "test".
        planes: number of focus distances, equally spaced in metres between the smallest and the largest valid depth
            of each image. This tells the network the true depth range of the image, as HybridDepth's protocol does.
        focus_distances: fixed distances in metres for every image instead, which tell nothing.

    Raises:
        ValueError: an unknown split, or not exactly one of planes / focus_distances.
    """

    names: list[str]

    def __init__(
        self,
        root: str | Path,
        split: str = "test",
        *,
        planes: int | None = None,
        focus_distances: Sequence[float] | None = None,
    ) -> None:
        if (planes is None) == (focus_distances is None):
            raise ValueError("give either planes (per-image range) or focus_distances (fixed)")
        if planes is not None and planes < 2:
            raise ValueError(f"planes must be at least 2, not {planes}")
        if split not in SPLITS:
            raise ValueError(f"{root}: no split {split!r}; use {' or '.join(SPLITS)}")
        self.root = Path(root)
        self.split = split
        self._planes = planes
        self._distances = np.asarray([] if focus_distances is None else focus_distances, np.float64)
        self._border = BLACK if split == "test" else WHITE  # the peers test for black in the test split
        self.names = self._open()

    def __len__(self) -> int:
        """Number of images of the split."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Render the focal stack of image `index`: float32, near to far, 384 x 512."""
        name = self.names[index]
        rgb, depth = self.rgbd(index)
        mask = (depth > MIN_DEPTH_M) & (depth < MAX_DEPTH_M)
        if self._planes is None:
            distances = self._distances
        else:
            distances = planes_over(depth, mask, self._planes, f"{self.root}: {name}")
        images = render_gather_stack(rgb, depth, distances, LENS)
        return Sample(name, FocalStack(images, distances, "m", _CAMERA), depth.astype(np.float32), mask, rgb)

    @abstractmethod
    def _open(self) -> list[str]:
        """Look at what is in `root`; returns the names of the split's images."""

    @abstractmethod
    def rgbd(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The (384, 512, 3) uint8 image and its (384, 512) depth in metres, 0 in holes, before any blur."""

    def _central(
        self, rgb: NDArray[np.uint8], depth: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The protocol's part of a whole image: frame removed and padded back, then the centre."""
        rgb, depth = remove_border(rgb, depth, self._border)
        return centre_crop(rgb), centre_crop(depth)


def open_nyu(
    path: str | Path,
    split: str = "test",
    *,
    planes: int | None = None,
    focus_distances: Sequence[float] | None = None,
) -> NyuImages:
    """Open NYU in whichever of its three forms `path` is; arguments as for `NyuImages`.

    Raises:
        ValueError: none of the three.
    """
    from dualfocus.datasets import nyu_bts, nyu_mat

    root = Path(path)
    form: type[NyuImages]
    if root.is_file() or root.suffix == ".mat":
        form = nyu_mat.NyuMat
    elif (root / "splits.json").is_file():
        form = NyuLabelled
    elif (root / "nyu_depth_v2_labeled.mat").is_file():
        root, form = root / "nyu_depth_v2_labeled.mat", nyu_mat.NyuMat
    elif any((root / part).is_dir() for part in ("sync", "test", "official_splits")):
        form = nyu_bts.NyuBts
    else:
        raise ValueError(
            f"{root}: no NYU Depth v2 there: give nyu_depth_v2_labeled.mat, a folder with sync and official_splits "
            f"(the set of BTS), or one with splits.json, rgb and depth_u8; {nyu_mat.HOW}; {nyu_bts.HOW}"
        )
    return form(root, split, planes=planes, focus_distances=focus_distances)


class NyuLabelled(NyuImages):
    """The labelled NYU images of one split, from JPEG with 8-bit depth.

    Args:
        root: folder with `rgb/NNNN.jpg`, `depth_u8/NNNN.png` and `splits.json`, or an unpacked pack of it.
        split: "train" (795 images) or "test" (654).
        planes: see `NyuImages`.
        focus_distances: see `NyuImages`.

    Raises:
        ValueError: a missing or unreadable file, and as for `NyuImages`.
    """

    def _open(self) -> list[str]:
        record = _read_record(self.root / "splits.json")
        if self.split not in record:
            raise ValueError(f"{self.root / 'splits.json'}: no split {self.split!r} in it")
        self._cropped = record.get("cropped") is True  # a pack holds the central crop alone
        self._decode = _depth_decoder(record, self.root / "splits.json")
        return [f"{index:04d}" for index in record[self.split]]

    def rgbd(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """See `NyuImages`."""
        rgb, level = self._read(index)
        depth = self._decode(self._smooth(index, level))
        return (rgb, depth) if self._cropped else self._central(rgb, depth)

    def _smooth(self, index: int, level: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Levels without steps, in 1/256 of a level; kept beside an unpacked pack, because they take 0.4 s each."""
        kept = self.root / "depth_smooth" / f"{self.names[index]}.png"
        if self._cropped and kept.exists():
            return read_image(kept, "I;16") / 256
        fine = np.rint(remove_steps(level).clip(0) * 256).astype(np.uint16)
        if self._cropped:
            kept.parent.mkdir(exist_ok=True)
            temporary = kept.with_suffix(f".{os.getpid()}.part")
            Image.fromarray(fine).save(temporary, "PNG")
            os.replace(temporary, kept)
        return fine / 256

    def levels(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The (384, 512, 3) image and its depth as stored, for a pack: borders never reach the crop."""
        rgb, level = self._read(index)
        return (rgb, level) if self._cropped else (centre_crop(rgb), centre_crop(level))

    def _read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        name = self.names[index]
        photo = self.root / "rgb" / (f"{name}.webp" if self._cropped else f"{name}.jpg")
        rgb = read_image(photo, "RGB")
        level = read_image(self.root / "depth_u8" / f"{name}.png", "L")
        if rgb.shape[:2] != level.shape or level.shape[0] < CROP_HEIGHT or level.shape[1] < CROP_WIDTH:
            raise ValueError(
                f"{photo} is {rgb.shape[:2]}, its depth {level.shape}: "
                f"both must have one size of at least {CROP_HEIGHT} x {CROP_WIDTH}"
            )
        return rgb, level


def uniform_border(rgb: NDArray[np.uint8], value: int) -> tuple[int, int, int, int]:
    """Widths (top, bottom, left, right) of a uniform frame of grey level `value`, as HybridDepth finds it.

    From each side the search starts 5 px in and moves inwards while more than 10 % of the row or column is within
    5 levels of the value, and stops once the cut is wider than 20 px.
    """
    framed = np.abs(rgb.mean(axis=2) - value) < 5
    rows, columns = framed.mean(axis=1), framed.mean(axis=0)

    def cut(fraction_at: Any) -> int:
        width = 5
        while width <= 20 and fraction_at(width) > 0.1:
            width += 1
        return width

    return (
        cut(lambda k: rows[k]),
        cut(lambda k: rows[-k]),
        cut(lambda k: columns[k]),
        cut(lambda k: columns[-k]),
    )


def remove_border(
    rgb: NDArray[np.uint8], depth: NDArray[np.float64], value: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut the uniform frame off and pad back to the old size: the image by reflection, the depth by zeros.

    At 640 x 480 the cut (at most 21 px) never reaches the centre crop (48 px in at the least), so this step cannot
    change a figure; it is here because the protocol has it.
    """
    height, width = depth.shape
    top, bottom, left, right = uniform_border(rgb, value)
    inner = (slice(top, height - bottom), slice(left, width - right))
    frame = ((top, bottom), (left, right))
    return np.pad(rgb[inner], (*frame, (0, 0)), mode="reflect"), np.pad(depth[inner], frame)


def centre_crop(array: NDArray[Any]) -> NDArray[Any]:
    """The middle 384 x 512 (rows 48-431 and columns 64-575 of 480 x 640)."""
    top, left = (array.shape[0] - CROP_HEIGHT) // 2, (array.shape[1] - CROP_WIDTH) // 2
    return np.ascontiguousarray(array[top : top + CROP_HEIGHT, left : left + CROP_WIDTH])


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); give the folder of the labelled NYU images") from error
    return record


def _depth_decoder(record: dict[str, Any], path: Path) -> Any:
    """Level to metres, from the formula that the record states: (v + offset) * range / levels."""
    number = r"(\d+(?:\.\d+)?)"
    stated = re.search(rf"\(v \+ {number}\) \* {number} / {number}", str(record.get("depth_encoding", "")))
    if stated is None:
        raise ValueError(f"{path}: depth_encoding must state '(v + offset) * range / levels'")
    offset, span, levels = (float(part) for part in stated.groups())
    return lambda level: (level + offset) * span / levels
