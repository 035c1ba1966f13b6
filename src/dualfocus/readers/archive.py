"""ZIP files of images: members are read into memory one at a time when asked for, and never unpacked to disk."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import posixpath
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from dualfocus.messages import first_line

_MOST_MEMBERS = 20_000
_LARGEST_MEMBER = 2**31  # bytes unpacked: more than a 200-megapixel photograph with 16 bits
_ENCRYPTED, _UTF_8 = 1, 0x800  # bits of the flags


class _Unpacked:
    """The member that was read last, for all paths of one `zip_folder`: a TIFF is read again for each of its pages.

    It is freed with the paths. Reading and setting one attribute needs no lock, so threads and forks are safe.
    """

    last: tuple[tuple[str, int, int], bytes] | None = None  # the member and when and how large its ZIP was; its bytes

    def __reduce__(self) -> tuple[type[_Unpacked], tuple[()]]:
        """Empty in another process: the bytes are in the ZIP."""
        return _Unpacked, ()


@dataclass(frozen=True)
class ZipPath:
    """A file or folder inside a ZIP, used like a `Path`.

    Attributes:
        archive: the ZIP.
        at: the path inside it, with slashes; "" is the top.
        unpacked: the member that was read last; shared with the paths made from this one.
    """

    archive: Path
    at: str = ""
    unpacked: _Unpacked = field(default_factory=_Unpacked, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.at).name

    @property
    def stem(self) -> str:
        """The name without suffix."""
        return PurePosixPath(self.at).stem

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot."""
        return PurePosixPath(self.at).suffix

    @property
    def parent(self) -> ZipPath:
        """The folder it is in."""
        return replace(self, at=posixpath.dirname(self.at))

    def __truediv__(self, name: str) -> ZipPath:
        """A path below this folder; what would lead out of the ZIP leads nowhere."""
        return replace(self, at=posixpath.normpath(posixpath.join(self.at, unicodedata.normalize("NFC", name))))

    def __str__(self) -> str:
        """Both paths, for messages."""
        return f"{self.archive}/{self.at}"

    def is_file(self) -> bool:
        """Whether there is a file of this name."""
        return self.at in _members(self.archive)

    def iterdir(self) -> list[ZipPath]:
        """The files directly in this folder."""
        return [replace(self, at=name) for name in _members(self.archive) if posixpath.dirname(name) == self.at]

    def read_bytes(self) -> bytes:
        """The bytes of the file (ValueError or OSError when it is too large, encrypted or damaged)."""
        status = self.archive.stat()
        wanted, last = (self.at, status.st_mtime_ns, status.st_size), self.unpacked.last
        if last is not None and last[0] == wanted:
            return last[1]
        self.unpacked.last = last = None  # never two in memory
        content = self._unpack()
        self.unpacked.last = wanted, content
        return content

    def _unpack(self) -> bytes:
        member = _members(self.archive)[self.at]
        if member.flag_bits & _ENCRYPTED:
            raise ValueError(f"{self}: is encrypted; unpack the ZIP and give the folder")
        if member.file_size > _LARGEST_MEMBER:
            raise ValueError(f"{self}: unpacks to {member.file_size / 2**30:.1f} GiB, which is too large for an image")
        try:
            with zipfile.ZipFile(self.archive) as archive:
                return archive.read(member)  # never more than the size that was just checked
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
            raise ValueError(f"{self}: cannot be unpacked ({first_line(error)}); make the ZIP again") from error

    def open(self, mode: str = "rb") -> io.BytesIO:
        """The bytes as a stream; `mode` is always "rb"."""
        return io.BytesIO(self.read_bytes())

    def read_text(self, encoding: str = "utf-8") -> str:
        """The bytes as text."""
        return self.read_bytes().decode(encoding)


File = Path | ZipPath


def is_zip(path: Path) -> bool:
    """Whether a path is a file named .zip."""
    return path.suffix.lower() == ".zip" and os.path.isfile(path)


def zip_folder(path: Path, sidecar: str, wanted: tuple[str, ...]) -> ZipPath:
    """The folder of a ZIP that is the focal stack: the one with a sidecar, else the one with images.

    Args:
        path: the ZIP.
        sidecar: name of a file that marks the folder.
        wanted: suffixes of images.

    Raises:
        ValueError: naming the ZIP, when it cannot be read, or holds no such folder or several.
    """
    try:
        names = list(_members(path))
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path}: not a ZIP file that can be read ({first_line(error)})") from error
    marked = [posixpath.dirname(name) for name in names if posixpath.basename(name) == sidecar]
    images = sorted({posixpath.dirname(name) for name in names if PurePosixPath(name).suffix.lower() in wanted})
    folders = marked if len(marked) == 1 else images
    if not folders:
        raise ValueError(f"{path}: no images in this ZIP; supported are {', '.join(wanted)}")
    if len(folders) > 1:
        found = ", ".join(folder or "its top" for folder in folders[:3]) + (", ..." if len(folders) > 3 else "")
        raise ValueError(f"{path}: holds images in several folders ({found}); make one ZIP for each focal stack")
    return ZipPath(path, folders[0])


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    status = path.stat()
    return _read_members(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=8)
def _read_members(path: Path, changed: int, size: int) -> dict[str, zipfile.ZipInfo]:
    """Files of a ZIP by name, without what operating systems add; a changed file is read again."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise ValueError(f"holds {len(members)} files, more than {_MOST_MEMBERS}")
    named = [(_name(member), member) for member in members if not member.is_dir()]
    return {posixpath.normpath(name): member for name, member in named if not _is_litter(name)}


def _name(member: zipfile.ZipInfo) -> str:
    """The path of a member with slashes and composed letters, however the program that wrote it spells paths.

    Some programs for Windows write backslashes; macOS writes UTF-8 without saying so, with umlauts in two parts.
    """
    name = member.filename
    if not member.flag_bits & _UTF_8:
        with contextlib.suppress(UnicodeError):  # a name that really is in code page 437
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name.replace("\\", "/")).lstrip("/")


def _is_litter(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return ".." in parts or "__MACOSX" in parts or any(part.startswith(".") for part in parts)
