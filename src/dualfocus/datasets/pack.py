"""Data sets as one small file: photographs as WebP, depth without loss, everything else as it is."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from dualfocus.atomic import replacing
from dualfocus.datasets.files import below, read_image
from dualfocus.datasets.rgbd import depth_maps, rgbd_pairs
from dualfocus.readers.sidecar import SIDECAR, read_sidecar

if TYPE_CHECKING:
    from dualfocus.datasets.nyu_labelled import NyuLabelled

QUALITY = 90


class Entry(NamedTuple):
    """One file of a pack: its name inside, and a function that makes its bytes."""

    name: str
    content: Callable[[], bytes]


def pack(
    folder: str | Path,
    out: str | Path,
    quality: int = QUALITY,
    split: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a data set as one zip file, which every reader of the package unpacks by itself.

    Known forms: the labelled NYU set (`splits.json`; central 512 x 384), RGB-D (`rgb/` and `depth/`), and folders of
    `stack.json` stacks with truth, of which only plain 8-bit PNG planes become WebP and anything else stays as it is.

    Args:
        folder: the data set.
        out: the .zip to write; written whole or not at all.
        quality: of WebP, 1 to 100.
        split: of NYU, "train" or "test"; both by default.
        progress: called with (files done, files in all).

    Returns:
        number of files inside.

    Raises:
        ValueError: a folder of another form, a wrong suffix or split, an unreadable picture.
    """
    root, target = Path(folder), Path(out)
    if target.suffix != ".zip":
        raise ValueError(f"{target}: a pack is a .zip file")
    if target.is_dir():
        raise ValueError(f"{target}: is a folder, and a pack is a .zip file; choose another name for it")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be from 1 to 100, not {quality}")
    entries = list(_entries(root, quality, split))
    _refuse_repeats(root, [entry.name for entry in entries])
    # stored: images do not shrink a second time
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for done, entry in enumerate(entries, 1):
            archive.writestr(zipfile.ZipInfo(entry.name), entry.content())  # no dates: same data, same bytes
            if progress:
                progress(done, len(entries))
    return len(entries)


def _refuse_repeats(root: Path, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{root}: two files would both be {name} in the pack; rename one of them")
        seen.add(name)


def _entries(root: Path, quality: int, split: str | None) -> Iterator[Entry]:
    if (root / "splits.json").is_file():
        return _nyu(root, quality, split)
    if split is not None:
        raise ValueError(f"{root}: has no split {split!r}; splits belong to the labelled NYU set")
    if (root / "rgb").is_dir() and (root / "depth").is_dir():
        return _rgbd(root, quality)
    sidecars = sorted(below(root, SIDECAR))
    if sidecars:
        return _stacks(root, sidecars, quality)
    raise ValueError(f"{root}: holds no data set to pack (splits.json of NYU, rgb and depth, or stack.json folders)")


def _nyu(root: Path, quality: int, split: str | None) -> Iterator[Entry]:
    from dualfocus.datasets.nyu_labelled import form_of, read_record

    record = read_record(root / "splits.json")
    chosen = ("train", "test") if split is None else (split,)
    kept = {key: value for key, value in record.items() if key not in ("train", "test") or key in chosen}
    yield Entry("splits.json", partial(_json, {**kept, "cropped": True}))
    for name in chosen:
        images = form_of(root)(root, name, planes=2)
        for index, number in enumerate(images.names):
            yield Entry(f"rgb/{number}.webp", partial(_nyu_photo, images, index, quality))
            yield Entry(f"depth_u8/{number}.png", partial(_nyu_depth, images, index))


def _nyu_photo(images: NyuLabelled, index: int, quality: int) -> bytes:
    return _webp(Image.fromarray(images.levels(index)[0]), quality)


def _nyu_depth(images: NyuLabelled, index: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(images.levels(index)[1]).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _rgbd(root: Path, quality: int) -> Iterator[Entry]:
    pairs = rgbd_pairs(root)
    lone = {path.stem for path in depth_maps(root)} - {image.stem for image, _ in pairs}
    if lone:
        raise ValueError(f"{root / 'depth'}: {min(lone)} has no picture in rgb; remove it, or add the picture")
    for image, depth in pairs:
        yield Entry(f"rgb/{image.stem}.webp", partial(_photo, image, quality))
        yield Entry(f"depth/{depth.stem}{depth.suffix.lower()}", depth.read_bytes)


def _stacks(root: Path, sidecars: list[Path], quality: int) -> Iterator[Entry]:
    for sidecar in sidecars:
        folder = sidecar.parent
        inside = "" if folder == root else folder.relative_to(root).as_posix() + "/"
        if read_sidecar(sidecar).images is None:
            raise ValueError(f'{sidecar}: names no images; list them under "images" to pack the stack')
        content: dict[str, Any] = json.loads(sidecar.read_text(encoding="utf-8-sig"))
        sharp = content.get("all_in_focus")
        truths = [content[key] for key in ("ground_truth", "depth_png") if content.get(key)]
        for name in (*content["images"], *([sharp] if sharp else []), *truths):
            _refuse_elsewhere(sidecar, name)
        names = {name: _packed_name(folder, name) for name in (*content["images"], *([sharp] if sharp else []))}
        content["images"] = [names[name] for name in content["images"]]
        if sharp:
            content["all_in_focus"] = names[sharp]
        yield Entry(f"{inside}{SIDECAR}", partial(_json, content))
        for name, packed in names.items():
            path = folder / name
            yield Entry(inside + packed, partial(_photo, path, quality) if packed != name else path.read_bytes)
        for name in truths:
            yield Entry(inside + name, (folder / name).read_bytes)


def _refuse_elsewhere(sidecar: Path, name: Any) -> None:
    """A pack holds what lies below its folder alone."""
    if not isinstance(name, str) or not (sidecar.parent / name).is_file():
        raise ValueError(f"{sidecar}: names {name!r}, which is not there")
    if PurePosixPath(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{sidecar}: names {name}, outside its folder: move it there to pack the stack")


def _packed_name(folder: Path, name: str) -> str:
    """WebP for plain 8-bit PNG; JPEG and WebP are small already, and anything else keeps its depth and its metadata."""
    path = folder / name
    if path.suffix.lower() != ".png":
        return name
    try:
        with Image.open(path) as image:
            bits = path.read_bytes()[24]  # of a channel, in the header; Pillow calls 16-bit colour RGB too
            plain = bits == 8 and image.mode in ("L", "RGB") and not image.getexif()
            plain = plain and not image.info.get("icc_profile")  # which WebP would be written without
    except (OSError, SyntaxError) as error:  # the latter from Pillow's reader of PNG
        raise ValueError(f"{path}: cannot be read as an image ({error})") from None
    return str(PurePosixPath(name).with_suffix(".webp")) if plain else name


def _photo(path: Path, quality: int) -> bytes:
    if path.suffix.lower() == ".webp":
        return path.read_bytes()
    return _webp(Image.fromarray(read_image(path, "RGB")), quality)


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1).encode()
