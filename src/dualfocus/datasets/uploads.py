"""What the servers of hidden test sets take: a ZIP with one .npy for each test image, by names and of a size."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfocus.datasets import ddff12, zedd

RUNTIME = "runtime.txt"
_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Upload:
    """The contents of one server's ZIP.

    Attributes:
        names: of the samples of the test set, in order; a member is `NAME.npy`.
        size: (H, W) of each map.
        runtime: whether a `runtime.txt` with a line `NAME SECONDS` for each goes with them.
    """

    names: tuple[str, ...]
    size: tuple[int, int]
    runtime: bool = False

    def problems(self, path: Path) -> Iterator[str]:
        """What the server would refuse of a file, a sentence each."""
        wanted = [*(f"{name}.npy" for name in self.names), *([RUNTIME] if self.runtime else [])]
        try:
            with zipfile.ZipFile(path) as archive:
                held = [member for member in archive.namelist() if not member.endswith("/")]
                for wrong, what in ((_less(wanted, held), "missing"), (_less(held, wanted), "not wanted")):
                    if wrong:
                        yield f"{path}: {len(wrong)} members are {what}, first {wrong[0]}; it wants {wanted[0]}, ..."
                for member in _less(wanted, _less(wanted, held)):
                    problem = self._problem(archive, member)
                    if problem:
                        yield f"{path}: {member} {problem}"
        except _UNREADABLE as error:
            yield f"{path}: cannot be read as a ZIP ({error}); make it with `dualfocus submit`"

    def _problem(self, archive: zipfile.ZipFile, member: str) -> str | None:
        """What is wrong with a member, or None."""
        if member == RUNTIME:
            text = archive.read(member).decode(errors="replace")
            lacking = _less(self.names, re.findall(r"^(\S+) [\d.e+-]+\s*$", text, re.MULTILINE))
            return f"has no line `NAME SECONDS` for {len(lacking)} maps, first {lacking[0]}" if lacking else None
        try:
            with archive.open(member) as file:
                values = np.lib.format.read_array(file, allow_pickle=False)
        except _UNREADABLE as error:
            return f"cannot be read as a .npy array ({error})"
        if values.shape != self.size or values.dtype.kind != "f":
            return f"is {values.shape} {values.dtype}, not floats of {self.size}"
        strange = np.sum(~np.isfinite(values))
        return f"has {strange} values that are not finite" if strange else None


UPLOADS = {
    "ddff12": Upload(ddff12.TEST_NAMES, (ddff12.HEIGHT, ddff12.WIDTH), runtime=True),
    "zedd": Upload(zedd.TEST_NAMES, (zedd.HEIGHT, zedd.WIDTH)),
}


def _less(names: Collection[str], others: Collection[str]) -> list[str]:
    """The names that are not among others, in order."""
    known = set(others)
    return [name for name in names if name not in known]
