"""Names of models, protocols and samples as names of files."""

from __future__ import annotations

import hashlib

_LONGEST_NAME = 100  # bytes of a name that are kept; a part of a path has room for 255, with what is put around it


def safe_name(name: str) -> str:
    """A name as one path component."""
    return "".join(c if c.isalnum() or c in "-_." else "__" for c in name).lstrip(".") or "_"


def own_name(name: str) -> str:
    """A name as one path component that no other name has: a hash is in it, unless it is a plain one.

    Capitals are not plain: to some file systems `Scene` and `scene` are one. Nor are names longer than a part of a path
    may be, which those of nested folders are together.
    """
    safe = safe_name(name).encode()[:_LONGEST_NAME].decode(errors="ignore")
    return safe if safe == name == name.lower() else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
