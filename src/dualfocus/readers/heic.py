"""HEIC photographs, through pillow-heif (an extra)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualfocus.readers import metadata
from dualfocus.readers.archive import File
from dualfocus.readers.frames import naming, optional_module
from dualfocus.readers.photo import PhotoFrame
from dualfocus.readers.profile import pixels_to_srgb

SUFFIXES = (".heic", ".heif", ".hif")

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class HeicFrame(PhotoFrame):
    """A HEIC photograph known from its header; uint16 when it has more than 8 bits. It is stored upright."""

    def decode(self) -> NDArray[Any]:
        """Upright sRGB pixels, (H, W, 1) or (H, W, 3); transparency is dropped."""
        with naming(self.path, "the image is damaged or cut off; copy or export it again"):
            opened = _open(self.path)
            pixels = np.asarray(opened)
            pixels = pixels[..., None] if pixels.ndim == 2 else pixels
            pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
            return pixels_to_srgb(pixels, opened.info.get("icc_profile"))


def is_heic(start: bytes) -> bool:
    """Whether a file that starts like this is HEIC, whatever it is called."""
    return start[4:8] == b"ftyp" and start[8:12] in _BRANDS


def read_heic_header(path: File) -> HeicFrame:
    """Read size, type and metadata without decoding (ValueError naming the file when it is no such image)."""
    with naming(path, "not a HEIC image that can be read; is it damaged, or another kind of file?"):
        opened = _open(path)
        width, height = opened.size
        exif = Image.Exif()
        exif.load(opened.info.get("exif") or b"")
        details = metadata.exif_details(exif)
        return HeicFrame(
            path,
            (height, width),
            np.dtype(np.uint16 if opened.info.get("bit_depth", 8) > 8 else np.uint8),
            distances={**metadata.from_exif(details), **metadata.from_xmp(opened.info.get("xmp"))},
            camera=metadata.read_camera(metadata.exif_model(exif), details),
        )


def _open(path: File) -> Any:
    heif = optional_module("pillow_heif", "pillow-heif", "heic", path)
    return heif.open_heif(path.read_bytes(), convert_hdr_to_8bit=False)
