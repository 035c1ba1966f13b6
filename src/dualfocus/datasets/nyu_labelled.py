"""NYU Depth v2 in a small form: JPEG with 8-bit depth, as it is or in a pack.

That depth has steps of 39 mm. They are smoothed away inside what the rounding allows before anything is rendered, and
the result is the truth, so that image and truth agree; true details below a step are lost.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.atomic import replacing
from dualfocus.datasets.files import read_image
from dualfocus.datasets.nyu import CROP_HEIGHT, CROP_WIDTH, HEIGHT, WIDTH, NyuImages, centre_crop
from dualfocus.datasets.steps import remove_steps
from dualfocus.datasets.unpacked import is_unpacked

_RECORD = "splits.json"


def form_of(root: Path) -> type[NyuLabelled]:
    """Which class reads a folder with `splits.json` (ValueError when that cannot be read)."""
    return NyuPack if read_record(root / _RECORD).get("cropped") is True else NyuLabelled


class NyuLabelled(NyuImages):
    """The labelled NYU images of one split, from JPEG with 8-bit depth.

    Args:
        root: folder with `rgb/NNNN.jpg`, `depth_u8/NNNN.png` and `splits.json`.
        split: "train" (795 images) or "test" (654).
        planes: see `NyuImages`.
        focus_distances: see `NyuImages`.

    Raises:
        ValueError: a missing or unreadable file, and as for `NyuImages`.
    """

    suffix = ".jpg"
    size = (HEIGHT, WIDTH)

    def _open(self) -> list[str]:
        path = self.root / _RECORD
        record = read_record(path)
        if self.split not in record:
            raise ValueError(f"{path}: no split {self.split!r} in it")
        self._decode = _depth_decoder(record, path)
        return [f"{index:04d}" for index in record[self.split]]

    def rgbd(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """See `NyuImages`."""
        rgb, level = self._read(index)
        return centre_crop(rgb), centre_crop(self._decode(self._smooth(index, level) / 256))

    def levels(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The (384, 512, 3) image and its depth as stored, for a pack."""
        rgb, level = self._read(index)
        return centre_crop(rgb), centre_crop(level)

    def _smooth(self, index: int, level: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Depth without steps, in 1/256 of a level; of the whole image, as the crop does not know what is beyond it."""
        return np.rint(remove_steps(level).clip(0) * 256).astype(np.uint16)

    def _read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        name = self.names[index]
        photo = self.root / "rgb" / f"{name}{self.suffix}"
        rgb = read_image(photo, "RGB")
        level = read_image(self.root / "depth_u8" / f"{name}.png", "L")
        if rgb.shape[:2] != self.size or level.shape != self.size:
            height, width = self.size
            raise ValueError(f"{photo} is {rgb.shape[:2]}, its depth {level.shape}: both must be {height} x {width}")
        return rgb, level


class NyuPack(NyuLabelled):
    """The same from the contents of a pack, which holds the central crop alone, as WebP."""

    suffix = ".webp"
    size = (CROP_HEIGHT, CROP_WIDTH)

    def _smooth(self, index: int, level: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """As of a whole image; kept in a folder of the program's own, because one takes 0.4 s."""
        if not is_unpacked(self.root):
            return super()._smooth(index, level)
        kept = self.root / "depth_smooth" / f"{self.names[index]}.png"
        if kept.exists():
            return read_image(kept, "I;16")
        fine = super()._smooth(index, level)
        with replacing(kept) as temporary:
            Image.fromarray(fine).save(temporary, "PNG")
        return fine


def read_record(path: Path) -> dict[str, Any]:
    """What `splits.json` says (ValueError naming it when it is not an object whose splits are lists of numbers)."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); give the folder of the labelled NYU images") from error
    splits = [record.get(name, []) for name in ("train", "test")] if isinstance(record, dict) else [None]
    if not all(isinstance(split, list) and all(type(index) is int for index in split) for split in splits):
        raise ValueError(f"{path}: must be one JSON object in which train and test are lists of image numbers")
    return record


def _depth_decoder(record: dict[str, Any], path: Path) -> Any:
    """Level to metres, from the formula that the record states: (v + offset) * range / levels."""
    number = r"(\d+(?:\.\d+)?)"
    stated = re.search(rf"\(v \+ {number}\) \* {number} / {number}", str(record.get("depth_encoding", "")))
    if stated is None:
        raise ValueError(f"{path}: depth_encoding must state '(v + offset) * range / levels'")
    offset, span, levels = (float(part) for part in stated.groups())
    return lambda level: (level + offset) * span / levels
