"""TIFF files: single photos, and z-stacks whose pages are the planes."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from dualfocus.readers.frames import naming, open_image, orient, oriented_size

# What tifffile logs of a damaged file is said in our error; without a handler Python would print it as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PLAIN = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.RGB)
_CONVERTED = (tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.SEPARATED)
_IN_MICROMETRES = {"um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3, "nm": 1e-3}


@dataclass(frozen=True)
class TiffFrame:
    """A page of a TIFF file known from its header.

    Attributes:
        path: the file.
        page: index of the page; index of the image when `in_one_page`.
        size: (H, W) upright.
        dtype: the type of the samples.
        orientation: TIFF orientation, 1 to 8.
        multiple: whether the file holds more planes than this.
        in_one_page: all planes lie behind one another in the first page.
    """

    path: Path
    page: int
    size: tuple[int, int]
    dtype: np.dtype[Any]
    orientation: int
    multiple: bool
    in_one_page: bool = False

    @property
    def name(self) -> str:
        """The file name, with the page when there are several."""
        return f"{self.path.name} page {self.page}" if self.multiple else self.path.name

    def decode(self) -> NDArray[Any]:
        """Upright pixels, (H, W, 1) or (H, W, 3); transparency is dropped."""
        with naming(self.path, f"page {self.page} is damaged or cannot be decoded; export it again"):
            return self._decode_contiguous() if self.in_one_page else self._decode_page()

    def _decode_contiguous(self) -> NDArray[Any]:
        with tifffile.TiffFile(self.path) as tiff:
            if tiff.pages[0].ndim == 3:
                return tiff.pages[0].asarray()[self.page, ..., None]
        planes = tifffile.memmap(self.path, mode="r")
        return np.array(planes.reshape(-1, *planes.shape[-2:], 1)[self.page])

    def _decode_page(self) -> NDArray[Any]:
        with tifffile.TiffFile(self.path) as tiff:
            page: Any = tiff.pages[self.page]
            if page.photometric not in (*_PLAIN, *_CONVERTED) or page.bitspersample not in (1, 8, 16, 32, 64):
                return _decode_by_pillow(self.path, self.page)
            try:
                pixels = page.asarray()
            except (ValueError, ImportError):  # LZW, JPEG, Zstandard need a package that is not ours
                by_other = _decode_by_pillow if page.bitspersample <= 8 else _decode_by_opencv
                return by_other(self.path, self.page)
            return orient(_as_colour(pixels, page), self.orientation)


def is_tiff(path: Path) -> bool:
    """Whether the file starts like a TIFF, whatever it is called (ValueError when it cannot be opened)."""
    with naming(path, "the file cannot be opened"), path.open("rb") as file:
        return file.read(4) in _MAGIC


def read_tiff_headers(path: Path, alone: bool) -> list[TiffFrame]:
    """One frame for each full-size page.

    Args:
        path: the file.
        alone: whether it is the whole stack, so that planes may lie behind one another in one page.

    Raises:
        ValueError: naming the file, when it is damaged, not supported or more than one z-stack.
    """
    with naming(path, "not a TIFF file that can be read"), tifffile.TiffFile(path) as tiff:
        pages: list[Any] = [tiff.pages[n] for n in range(len(tiff.pages))]
        if not pages or _names_another_page(tiff):
            raise ValueError(f"{path}: the file is cut off after {len(pages)} pages; copy or export it again")
        for page in pages:
            ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False))
            if max(ends, default=0) > tiff.filehandle.size:
                raise ValueError(f"{path}: the file is cut off in page {page.index}; copy or export it again")
        if tiff.is_imagej or tiff.is_ome:
            _require_one_axis(path, tiff)
        count = _contiguous_count(tiff) if alone and len(pages) == 1 else 1
        if count > 1:
            return [_frame(path, pages[0], n, multiple=True, in_one_page=True) for n in range(count)]
        full = [page for page in pages if not page.is_reduced]
        return [_frame(path, page, page.index, multiple=len(full) > 1) for page in full]


def z_spacing_um(path: Path) -> float | None:
    """Distance between the planes of a microscope's z-stack in micrometres, from ImageJ or OME metadata, else None."""
    with naming(path, "not a TIFF file that can be read"), tifffile.TiffFile(path) as tiff:
        metadata = tiff.imagej_metadata or {}
        step, unit = metadata.get("spacing"), str(metadata.get("unit", "")).replace("\\u00B5", "µ")
        if tiff.is_ome and tiff.ome_metadata:
            size = re.search(r'\bPhysicalSizeZ="([^"]+)"', tiff.ome_metadata)
            named = re.search(r'\bPhysicalSizeZUnit="([^"]+)"', tiff.ome_metadata)
            step, unit = size.group(1) if size else None, named.group(1) if named else "µm"
    try:
        spacing = float(step) * _IN_MICROMETRES[unit]  # type: ignore[arg-type]
    except (TypeError, ValueError, KeyError):
        return None
    return spacing if np.isfinite(spacing) and spacing != 0 else None


def _names_another_page(tiff: tifffile.TiffFile) -> bool:
    """Whether the last page that could be read points to one more; tifffile only logs that."""
    tiff.filehandle.seek(tiff.pages.next_page_offset or 0)
    return any(tiff.filehandle.read(tiff.tiff.offsetsize))


def _frame(path: Path, page: Any, index: int, *, multiple: bool, in_one_page: bool = False) -> TiffFrame:
    tag = page.tags.get("Orientation")
    orientation = int(tag.value) if tag is not None and tag.value in range(1, 9) else 1
    dtype = np.dtype(np.uint8) if page.dtype == np.bool_ or page.photometric not in _PLAIN else page.dtype
    if dtype is None or not (dtype.kind == "f" or dtype in (np.uint8, np.uint16)):
        raise ValueError(f"{path}: samples of type {dtype} are not supported; save it with 8 or 16 bits or as float")
    if page.imagedepth != 1:
        raise ValueError(f"{path}: volumetric pages are not supported; save one plane in each page")
    size = oriented_size(page.imagelength, page.imagewidth, orientation)
    return TiffFrame(path, index, size, dtype.newbyteorder("="), orientation, multiple, in_one_page)


def _require_one_axis(path: Path, tiff: tifffile.TiffFile) -> None:
    """Channels or time points beside z would be read as planes: refuse rather than mix them."""
    series = tiff.series[0]
    axes = {axis: length for axis, length in zip(series.axes, series.shape, strict=True) if axis not in "YXS"}
    several = {axis: length for axis, length in axes.items() if length > 1}
    if len(several) > 1:
        found = ", ".join(f"{axis} {length}" for axis, length in several.items())
        raise ValueError(f"{path}: more than one axis beside the image ({found}); save one channel and one time point")


def _contiguous_count(tiff: tifffile.TiffFile) -> int:
    """Number of grey planes behind one another in a single page, as ImageJ and tifffile write them."""
    series, page = tiff.series[0], tiff.pages[0]
    if page.axes == "SYX" and tiff.is_shaped:  # tifffile's own writer takes 3 or 4 grey planes for colours
        return int(page.shape[0])
    return int(np.prod(series.shape)) // int(np.prod(page.shape)) if page.ndim == 2 else 1


def _as_colour(pixels: NDArray[Any], page: Any) -> NDArray[Any]:
    """Samples of a page as grey (H, W, 1) or RGB (H, W, 3)."""
    pixels = np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        return (page.colormap >> 8).astype(np.uint8).T[pixels]
    if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
        if pixels.dtype != np.uint8 or pixels.ndim != 3:
            raise ValueError("CMYK is supported with 8 bits only")
        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels[..., :4]), "CMYK").convert("RGB"))
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = np.iinfo(pixels.dtype).max - pixels if pixels.dtype.kind == "u" else 1 - pixels
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]


def _decode_by_opencv(path: Path, page: int) -> NDArray[Any]:
    """16-bit and float pages of compressions that tifffile alone cannot decode, upright."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    ok, images = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    if not ok or len(images) != 1:
        raise ValueError("its compression cannot be decoded; save it without compression")
    pixels = np.asarray(images[0])
    return pixels[..., None] if pixels.ndim == 2 else pixels[..., 2::-1]


def _decode_by_pillow(path: Path, page: int) -> NDArray[np.uint8]:
    """8-bit pages in compressions or colours left over, upright: Pillow applies the orientation."""
    with open_image(path, ("TIFF",)) as image:
        image.seek(page)
        if image.mode in ("1", "L", "LA"):
            return np.asarray(image.convert("L"))[..., None]
        return np.asarray(image.convert("RGBA").convert("RGB") if image.mode in ("P", "PA") else image.convert("RGB"))
