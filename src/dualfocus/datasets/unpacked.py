"""Packs as folders: unpacked once, beside the pack, into a folder of the program's own."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from dualfocus.atomic import replacing

_UNPACKED = ".unpacked-"


def unpacked(path: Path) -> Path:
    """A folder as it is; a pack's contents, unpacked once into a folder beside it that is named after them.

    Nothing is ever replaced: another pack of the same name gets another folder.

    Raises:
        ValueError: a file that is no pack.
    """
    if path.is_dir() or path.suffix != ".zip":
        return path
    folder: Path | None = None
    try:
        with zipfile.ZipFile(path) as archive:
            folder = path.with_name(f"{path.stem}{_UNPACKED}{_digest(archive):08x}")
            if folder.is_dir():
                return folder
            with replacing(folder) as temporary:
                archive.extractall(temporary)
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:  # also of encrypted ones
        if folder is not None and folder.is_dir():  # another process was quicker
            return folder
        raise ValueError(f"{path}: cannot be unpacked ({error})") from None
    return folder


def is_unpacked(folder: Path) -> bool:
    """Whether a folder is one that `unpacked` made: the program's own, where it may keep what it computes."""
    return _UNPACKED in folder.name


def _digest(archive: zipfile.ZipFile) -> int:
    """A checksum of names and contents, from the archive's own directory."""
    listing = [(info.filename, info.CRC, info.file_size) for info in archive.infolist()]
    return zlib.crc32(repr(listing).encode())
