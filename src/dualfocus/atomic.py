"""Files and folders that are whole or absent: written beside their place, then moved there."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

_LONGEST_START = 100  # bytes of a temporary name that are taken from the target
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside a file or folder, whose content takes that one's place when the block ends.

    Whatever ends the block otherwise leaves the earlier file as it was, and nothing beside it; only a kill leaves the
    temporary one, see `remove_leftovers`. The name is random: two writers do not meet, the later one wins. The block
    opens or makes it, so that it has the permissions of any new file. A link is replaced, what it leads to is not
    touched. A folder can only take the place of none, or of an empty one.

    Args:
        path: of the file or folder; the folders above are made.

    Raises:
        OSError: naming `path`, not the temporary place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(temporary_name(path))
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        where = str(error.filename)
        if not where.startswith(str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, f"{path}{where.removeprefix(str(temporary))}") from error
    finally:
        remove(temporary)


def temporary_name(path: Path) -> str:
    """A name that nothing else has, for what will be moved to a path."""
    return f".{_start(path)}.{secrets.token_hex(4)}.tmp"


def is_temporary(name: str) -> bool:
    """Whether a name is one of `temporary_name`, of whatever path."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_leftovers(path: Path, older_than_s: float | None = None) -> None:
    """Remove what killed writers of a file or folder left beside it.

    Args:
        path: of the file or folder.
        older_than_s: seconds, beyond which no writer is still at work; None for who is the only one.
    """
    start, now = f".{_start(path)}.", time.time()
    with contextlib.suppress(OSError):  # a folder that is not there, or whose entries may not be seen
        for entry in path.parent.iterdir():
            is_left = is_temporary(entry.name) and entry.name[: -len("01234567.tmp")] == start
            if is_left and (older_than_s is None or now - entry.lstat().st_mtime > older_than_s):
                remove(entry)


def remove(path: Path) -> None:
    """Remove a file, a folder with all in it, or a link; what cannot be removed, or is not there, is left."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # such as one that is open, on Windows: it must not hide the first error
            path.unlink(missing_ok=True)


def _start(path: Path) -> str:
    # Bytes are what file systems count, 255 at most, and a character takes up to four.
    return path.name.encode("utf-8", "surrogateescape")[:_LONGEST_START].decode("utf-8", "ignore") or "result"
