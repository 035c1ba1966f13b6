"""Which LLVM library the path tracer compiles its kernels with."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

LEAST = 19  # 15 and 16 abort the whole process ("Cannot select") on processors with bfloat16; 17 and 18 are untried

_FOLDERS = (
    "/usr/lib/*-linux-gnu",
    "/usr/lib64",
    "/usr/lib/llvm-*/lib",
    "/usr/local/lib",
    "/opt/homebrew/opt/llvm*/lib",
)
_NAME = re.compile(r"libLLVM(?:-(\d+)[\d.]*\.(?:so|dylib)|\.so\.(\d+)).*")


def choose_llvm() -> None:
    """Point the tracer at the newest good LLVM of this machine, unless DRJIT_LIBLLVM_PATH names one."""
    if "DRJIT_LIBLLVM_PATH" not in os.environ:
        found = newest(path for folder in _FOLDERS for path in Path("/").glob(folder.lstrip("/") + "/libLLVM*"))
        if found is not None:
            os.environ["DRJIT_LIBLLVM_PATH"] = str(found)


def newest(paths: Iterable[Path]) -> Path | None:
    """The library of the highest version that is good enough; None when there is none.

    >>> newest([Path("libLLVM-15.so.1"), Path("libLLVM.so.19.1"), Path("libLLVM-C.so")]).name
    'libLLVM.so.19.1'
    """
    matches = [(match, path) for path in paths if (match := _NAME.fullmatch(path.name))]
    versions = [(int(match[1] or match[2]), str(path)) for match, path in matches]
    good = [entry for entry in versions if entry[0] >= LEAST]
    return Path(max(good)[1]) if good else None
