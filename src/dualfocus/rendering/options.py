"""The options that a rendered data set was made with, kept beside it: going on with others would mix two sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualfocus.atomic import replacing


def keep_options(path: Path, options: Mapping[str, Any]) -> None:
    """Write the options of a new set down, or see that an earlier set was made with the same.

    Args:
        path: of the record.
        options: what decides the set; `textures` among them as in `TexturePool.fingerprint`, if it has any.

    Raises:
        ValueError: a record of other options, or something else under its name.
    """
    if not path.exists():
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(options) + "\n", encoding="utf-8")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not the record of rendered stacks; choose another folder") from error
    if not _same(found, options):
        raise ValueError(
            f"{path.parent}: holds stacks made with other options or textures ({found}); choose another folder"
        )


def _same(recorded: Any, wanted: Mapping[str, Any]) -> bool:
    """Whether they are the same; earlier versions wrote for `textures` only whether there were any."""
    if isinstance(recorded, dict) and recorded.get("textures") is True:
        wanted = {**wanted, "textures": bool(wanted.get("textures"))}
    return bool(recorded == json.loads(json.dumps(wanted)))
