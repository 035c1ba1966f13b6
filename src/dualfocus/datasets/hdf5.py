"""HDF5 files that are opened when they are first read, in whichever process reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.messages import first_line


class LazyFile:
    """One HDF5 file for reading. A handle is made in each process and never carried into a forked or spawned one.

    Args:
        path: the file.
        how: a sentence on how to get it, for messages.
    """

    def __init__(self, path: Path, how: str) -> None:
        self.path, self.how = path, how
        self._handle: Any = None
        self._process = -1

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "how": self.how, "_handle": None, "_process": -1}

    def shapes(self, *keys: str) -> dict[str, tuple[int, ...]]:
        """The shapes of arrays, all of which must be there (ValueError naming what is missing)."""
        handle = self._open()
        missing = [key for key in keys if key not in handle]
        if missing:
            found = ", ".join(sorted(handle)) or "none"
            raise ValueError(f"{self.path}: no key {', '.join(missing)} in it (keys: {found}); {self.how}")
        return {key: tuple(handle[key].shape) for key in keys}

    def __contains__(self, key: str) -> bool:
        """Whether there is an array of that name."""
        return key in self._open()

    def read(self, key: str, index: int) -> NDArray[Any]:
        """Element `index` along the first axis of an array (ValueError when the file is damaged there)."""
        try:
            return np.asarray(self._open()[key][index])
        except (OSError, KeyError, IndexError) as error:
            raise ValueError(f"{self.path}: {key}[{index}] cannot be read ({first_line(error)}); {self.how}") from None

    def _open(self) -> Any:
        if self._process != os.getpid():
            import h5py

            if not self.path.is_file():
                raise ValueError(f"{self.path}: no such file; {self.how}")
            try:
                self._handle = h5py.File(self.path, "r")
            except OSError as error:
                raise ValueError(
                    f"{self.path}: not a whole HDF5 file ({first_line(error)}); download it again: {self.how}"
                ) from None
            self._process = os.getpid()
        return self._handle
