"""Messages in the words of the page, which has fields for options and knows no folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from dualfocus.app.fields import LABELS
from dualfocus.remedies import FOCUS_EXAMPLE, Remedy

_PHRASES = (
    ("no images in this folder", "no images among these files"),
    ("give the folder they are in", "give the photographs it was made of"),
)


def in_fields(remedy: Remedy) -> str:
    """What a message says to do, as the field to fill in; what has none is for the command line."""
    if remedy == FOCUS_EXAMPLE:  # said beside the field
        return remedy.value
    if remedy.option not in LABELS:
        return f"`dualfocus predict --{remedy.option}`"
    return f'"{LABELS[remedy.option]}" {remedy.value.replace("_", " ")}'.rstrip()


def on_page(text: str, folders: Iterable[Path], workplace: Path) -> str:
    """A message that names files as the visitor does.

    Args:
        text: an error or a warning.
        folders: where the visitor's files are; the names of what is in them are the visitor's own.
        workplace: the folder in which nothing else has a name that a visitor knows.
    """
    for folder in sorted(set(map(str, folders)), key=len, reverse=True):  # a folder before the one it is in
        text = text.replace(f"{folder}{os.sep}", "").replace(f"{folder}: ", "")
    text = re.sub(re.escape(str(workplace)) + r"[^\s:]*[/\\]", "", text)
    for ours, theirs in _PHRASES:
        text = text.replace(ours, theirs)
    return text
