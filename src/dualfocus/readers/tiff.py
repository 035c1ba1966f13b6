"""TIFF files: single photos, and z-stacks whose pages are the planes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from dualfocus.readers import metadata
from dualfocus.readers.archive import File
from dualfocus.readers.frames import naming, open_image, orient, oriented_size, silence
from dualfocus.readers.microscope import channel_names, unused_bits
from dualfocus.readers.profile import image_to_srgb, pixels_to_srgb
from dualfocus.remedies import Remedy
from dualfocus.stack import Camera

# What tifffile logs of a damaged file is said in our error; without a handler Python would print it as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PLAIN = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.RGB)
_CONVERTED = (tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.SEPARATED)
_ICC_PROFILE, _EXIF_IFD, _XMP, _MODEL, _BITS_PER_SAMPLE = 34675, 34665, 700, 272, 258
_EXIF_TAGS = {"SubjectDistance": 0x9206, "FocalLength": 0x920A, "FNumber": 0x829D, "FocalLengthIn35mmFilm": 0xA405}
_AXIS_OPTIONS = {"C": ("channel", "channels"), "T": ("time", "time points")}


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
        distances: focus distances in metres by source; see `metadata.SOURCES`.
        camera: what EXIF says of the camera, or None.
        unused_bits: how many of the 16 bits the camera did not fill; the samples are shifted up by them.
    """

    path: File
    page: int
    size: tuple[int, int]
    dtype: np.dtype[Any]
    orientation: int
    multiple: bool
    in_one_page: bool = False
    distances: Mapping[str, float] = field(default_factory=dict)
    camera: Camera | None = None
    unused_bits: int = 0

    @property
    def name(self) -> str:
        """The file name, with the page when there are several."""
        return f"{self.path.name} page {self.page}" if self.multiple else self.path.name

    def decode(self) -> NDArray[Any]:
        """Upright sRGB pixels, (H, W, 1) or (H, W, 3); transparency is dropped."""
        with naming(self.path, f"page {self.page} is damaged or cannot be decoded; export it again"):
            with open_tiff(self.path) as tiff:
                pixels = self._decode_contiguous(tiff) if self.in_one_page else self._decode_page(tiff)
        return np.minimum(pixels, 65535 >> self.unused_bits) << self.unused_bits if self.unused_bits else pixels

    def _decode_contiguous(self, tiff: tifffile.TiffFile) -> NDArray[Any]:
        page: Any = tiff.pages[0]
        profile = page.tags.valueof(_ICC_PROFILE) if page.photometric in _PLAIN else None
        if page.axes == "SYX":
            return orient(pixels_to_srgb(page.asarray()[self.page, ..., None], profile), self.orientation)
        stored, count = page.dtype.newbyteorder(tiff.byteorder), int(np.prod(page.shape))
        tiff.filehandle.seek(page.dataoffsets[0] + self.page * count * stored.itemsize)
        pixels = np.frombuffer(tiff.filehandle.read(count * stored.itemsize), stored)
        pixels = _as_colour(pixels.astype(self.dtype).reshape(page.shape), page)
        return orient(pixels_to_srgb(pixels, profile), self.orientation)

    def _decode_page(self, tiff: tifffile.TiffFile) -> NDArray[Any]:
        page: Any = tiff.pages[self.page]
        if page.photometric not in (*_PLAIN, *_CONVERTED) or page.bitspersample not in (1, 8, 16, 32, 64):
            return _decode_by_pillow(self.path, self.page)
        profile = page.tags.valueof(_ICC_PROFILE) if page.photometric in _PLAIN else None
        try:
            pixels = page.asarray()
        except (ValueError, ImportError):  # LZW, JPEG, Zstandard need a package that is not ours
            if page.bitspersample <= 8:
                return _decode_by_pillow(self.path, self.page)
            return pixels_to_srgb(_decode_by_opencv(self.path, self.page), profile)
        return orient(pixels_to_srgb(_as_colour(pixels, page), profile), self.orientation)


@contextmanager
def open_tiff(path: File) -> Iterator[tifffile.TiffFile]:
    """The TIFF alone, without the other files that a multi-file OME-TIFF names."""
    with path.open("rb") as file, tifffile.TiffFile(file, name=path.name, _multifile=False) as tiff:
        yield tiff


def is_tiff(start: bytes) -> bool:
    """Whether a file that starts like this is a TIFF, whatever it is called."""
    return start[:4] in _MAGIC


def read_tiff_headers(path: File, alone: bool, channel: int | None = None, time: int | None = None) -> list[TiffFrame]:
    """One frame for each plane: each full-size page, or each z of the channel and time point of a microscope's file.

    Args:
        path: the file.
        alone: whether it is the whole stack, so that planes may lie behind one another in one page.
        channel: which channel, counted from 0, of a file with several.
        time: which time point, counted from 0, of a file with several.

    Raises:
        ValueError: naming the file, when it is damaged, not supported, or holds several z-stacks and none is chosen.
    """
    with naming(path, "not a TIFF file that can be read"), open_tiff(path) as tiff:
        pages: list[Any] = [tiff.pages[n] for n in range(len(tiff.pages))]
        if not pages or _names_another_page(tiff):
            raise ValueError(f"{path}: the file is cut off after {len(pages)} pages; copy or export it again")
        for page in pages:
            ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False))
            if max(ends, default=0) > tiff.filehandle.size:
                raise ValueError(f"{path}: the file is cut off in page {page.index}; copy or export it again")
        if tiff.is_imagej and not tiff.is_ome and tiff.series[0].kind.lower() != "imagej":  # it cannot be as stated
            _check_complete(path, tiff, int((tiff.imagej_metadata or {}).get("images", 1)))
        if tiff.is_imagej or tiff.is_ome:
            frames, unused = _microscope_frames(path, tiff, pages, {"C": channel, "T": time}), unused_bits(tiff)
            return [replace(frame, unused_bits=unused) for frame in frames]
        _refuse_choice(path, {"C": channel, "T": time}, {})
        count = _contiguous_count(tiff) if alone and len(pages) == 1 else 1
        if count > 1:
            _check_complete(path, tiff, count)
            return [_frame(path, pages[0], n, multiple=True, in_one_page=True) for n in range(count)]
        full = [page for page in pages if not page.is_reduced]
        return [_frame(path, page, page.index, multiple=len(full) > 1) for page in full]


def _check_complete(path: File, tiff: tifffile.TiffFile, count: int) -> None:
    """ValueError when the file ends before the last of `count` planes that lie behind one another in its only page."""
    page: Any = tiff.pages[0]
    if len(tiff.pages) > 1 or page.axes == "SYX":  # pages state their own lengths; there all planes are the page
        return
    there = (tiff.filehandle.size - page.dataoffsets[0]) // max(page.nbytes, 1)
    if there < count:
        raise ValueError(f"{path}: the file is cut off after {there} of {count} planes; copy or export it again")


def _names_another_page(tiff: tifffile.TiffFile) -> bool:
    """Whether the last page that could be read points to one more; tifffile only logs that."""
    tiff.filehandle.seek(tiff.pages.next_page_offset or 0)
    return any(tiff.filehandle.read(tiff.tiff.offsetsize))


def _frame(path: File, page: Any, index: int, *, multiple: bool, in_one_page: bool = False) -> TiffFrame:
    tag = page.tags.get("Orientation")
    orientation = int(tag.value) if tag is not None and tag.value in range(1, 9) else 1
    dtype = np.dtype(np.uint8) if page.dtype == np.bool_ or page.photometric not in _PLAIN else page.dtype
    if dtype is None or not (dtype.kind == "f" or dtype in (np.uint8, np.uint16)):
        raise ValueError(f"{path}: samples of type {dtype} are not supported; save it with 8 or 16 bits or as float")
    if page.imagedepth != 1:
        raise ValueError(f"{path}: volumetric pages are not supported; save one plane in each page")
    size = oriented_size(page.imagelength, page.imagewidth, orientation)
    stated = page.tags.valueof(_EXIF_IFD)
    details = {number: _exif_value(stated.get(name)) for name, number in _EXIF_TAGS.items()} if stated else {}
    return TiffFrame(
        path,
        index,
        size,
        dtype.newbyteorder("="),
        orientation,
        multiple,
        in_one_page,
        distances={**metadata.from_exif(details), **metadata.from_xmp(page.tags.valueof(_XMP))},
        camera=metadata.read_camera(page.tags.valueof(_MODEL), details) if stated else None,
    )


def _exif_value(value: Any) -> Any:
    """A number of tifffile's EXIF, whose fractions are pairs."""
    return value[0] / value[1] if isinstance(value, tuple) and len(value) == 2 and value[1] else value


def _microscope_frames(
    path: File, tiff: tifffile.TiffFile, pages: list[Any], chosen: dict[str, int | None]
) -> list[TiffFrame]:
    """The planes of an ImageJ or OME file: one channel and one time point of its z axis.

    A file whose only axis is time (or has no name) is taken as a z-stack: that is how stacks are often exported.
    """
    series = tiff.series[0]
    if len(tiff.series) > 1:
        raise ValueError(f"{path}: holds {len(tiff.series)} separate images, such as positions; save one z-stack alone")
    axes = {axis: length for axis, length in zip(series.axes, series.shape, strict=True) if axis not in "YXS"}
    several = {axis for axis, length in axes.items() if length > 1}
    others = [axis for axis in axes if axis in _AXIS_OPTIONS]
    free = [axis for axis in axes if axis in several and axis != "C" and chosen.get(axis) is None]
    along = "Z" if "Z" in several else next(iter(free), "")
    if several == {"C"} and chosen["C"] is None:
        raise ValueError(f"{path}: its {axes['C']} images are channels, not planes of a z-stack; export the z-stack")
    _refuse_choice(path, chosen, {axis: axes[axis] for axis in others})
    if several - {along, *others}:
        found = ", ".join(f"{axis} {length}" for axis, length in axes.items() if length > 1)
        raise ValueError(f"{path}: more than one axis beside the image ({found}); save one z-stack alone")
    for axis in others:
        if axis != along and axis in several and chosen[axis] is None:
            raise ValueError(f"{path}: {_which(axis, axes[axis], channel_names(tiff) if axis == 'C' else [])}")
    index = np.arange(int(np.prod(list(axes.values())))).reshape(tuple(axes.values()))
    where = tuple(slice(None) if axis == along else chosen.get(axis) or 0 for axis in axes)
    planes = np.atleast_1d(index[where]).tolist()
    if len(pages) == 1 and index.size > 1:
        return [_frame(path, pages[0], n, multiple=True, in_one_page=True) for n in planes]
    stored = [series.pages[n] for n in planes] if len(series.pages) == index.size else []
    if not stored or any(page is None or page.index >= len(pages) for page in stored):
        raise ValueError(f"{path}: some of its planes are in other files; export the z-stack as one file")
    return [_frame(path, pages[page.index], page.index, multiple=len(stored) > 1) for page in stored]


def _refuse_choice(path: File, chosen: dict[str, int | None], axes: dict[str, int]) -> None:
    """ValueError when a channel or time point is chosen that the file does not have."""
    for axis, wanted in chosen.items():
        held = axes.get(axis, 1)
        if wanted is not None and not 0 <= wanted < held:
            one = _AXIS_OPTIONS[axis][1].removesuffix("s")
            many = one if held == 1 else f"{one}s"
            raise ValueError(f"{path}: there is no {one} {wanted}: it has {held} {many}, counted from 0")


def _which(axis: str, count: int, names: list[str]) -> str:
    name, plural = _AXIS_OPTIONS[axis]
    listed = f" ({', '.join(names)})" if names else ""
    choice = f"0 to {count - 1}"
    choose = Remedy(name, choice, python=f"{name}= ({choice})", command=f"--{name} {choice} ({name}=)")
    return f"holds {count} {plural}{listed}; choose one with {choose}"


def _contiguous_count(tiff: tifffile.TiffFile) -> int:
    """Number of grey planes behind one another in a single page, as tifffile writes them."""
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


def _decode_by_opencv(path: File, page: int) -> NDArray[Any]:
    """16-bit and float pages of compressions that tifffile alone cannot decode, upright."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    with silence():
        ok, images = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    if not ok or len(images) != 1:
        raise ValueError("its compression cannot be decoded; save it without compression")
    pixels = np.asarray(images[0])
    return pixels[..., None] if pixels.ndim == 2 else pixels[..., 2::-1]


def _decode_by_pillow(path: File, page: int) -> NDArray[Any]:
    """Pages in compressions, colours or bit depths left over, upright and in sRGB: Pillow applies the orientation."""
    with silence(), path.open("rb") as file, open_image(file, ("TIFF",)) as opened:
        opened.seek(page)
        opened.load()
        if opened.mode.startswith("I;16"):  # pixels of 12 bits, as scientific cameras write them
            bits = opened.getexif().get(_BITS_PER_SAMPLE, 16)
            return np.asarray(opened).astype(np.uint16)[..., None] << (16 - int(np.max(bits)))
        image = image_to_srgb(opened)
        if image.mode in ("1", "L", "LA"):
            return np.asarray(image.convert("L"))[..., None]
        return np.asarray(image.convert("RGBA").convert("RGB") if image.mode in ("P", "PA") else image.convert("RGB"))
