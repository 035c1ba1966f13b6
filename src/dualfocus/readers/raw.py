"""Camera RAW and DNG, developed by LibRaw through rawpy (an extra): the same way for every frame of a stack."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.readers import metadata
from dualfocus.readers.archive import File
from dualfocus.readers.frames import naming, optional_module, silence
from dualfocus.readers.photo import PhotoFrame

SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw")

_QUARTER_TURNS = (5, 6)  # LibRaw's flip
_SRGB_GAMMA = (2.4, 12.92)  # power and slope near black


class RawFrame(PhotoFrame):
    """A RAW file known from its header; 16 bits."""

    def decode(self) -> NDArray[Any]:
        """Upright sRGB pixels, (H, W, 3) uint16.

        White balance as the camera had it, and no automatic brightness: that would differ from frame to frame.
        """
        damaged = "the RAW file is damaged or cut off; copy it again"
        with naming(self.path, damaged), silence(), _open(self.path) as raw:
            pixels = raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=16, gamma=_SRGB_GAMMA)
            if pixels.shape[:2] != self.size:
                raise ValueError(f"is {pixels.shape[1]} x {pixels.shape[0]} pixels, other than its header says")
            return np.asarray(pixels)


def read_raw_header(path: File) -> RawFrame:
    """Read size and metadata without developing (ValueError naming the file when LibRaw does not know it)."""
    with naming(path, "not a RAW file that can be read; convert it to DNG or TIFF"), silence(), _open(path) as raw:
        height, width = raw.sizes.iheight, raw.sizes.iwidth
        turned = raw.sizes.flip in _QUARTER_TURNS
        with path.open("rb") as file:
            tags = metadata.read_tags(file)
        details = metadata.from_tags(tags)
        xmp = getattr(tags.get("Image ApplicationNotes"), "values", None)
        return RawFrame(
            path,
            (width, height) if turned else (height, width),
            np.dtype(np.uint16),
            distances={
                **metadata.from_exif(details),
                **metadata.from_xmp(bytes(xmp) if isinstance(xmp, list) else xmp),
                **metadata.from_maker_note(tags),
            },
            camera=metadata.read_camera(metadata.tag_value(tags, "Image Model"), details),
        )


def _open(path: File) -> Any:
    source = str(path) if isinstance(path, Path) else io.BytesIO(path.read_bytes())
    return optional_module("rawpy", "rawpy", "raw", path).imread(source)
