"""Messages of the program in the words of the page, which has fields for options and knows no folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from dualfocus.app.fields import LABELS

_IN_PYTHON = re.compile(r" \((?:channel=|time=|motion=\"none\")\)")  # beside the option of the command line
_OPTION = re.compile(r"(?<!\S)--(?P<name>[a-z][a-z-]*)(?P<value>(?: \w+_to_\w+ or \w+_to_\w+)?)")
_PHRASES = (
    ("such as --focus ", "such as "),
    ("no images in this folder", "no images among these files"),
    ("give the folder they are in", "give the photographs it was made of"),
)


def on_page(text: str, folders: Iterable[Path], workplace: Path) -> str:
    """A message that names files as the visitor does, and the fields of the page in place of options.

    Args:
        text: an error or a warning.
        folders: where the visitor's files are; the names of what is in them are the visitor's own.
        workplace: in which nothing else has a name that a visitor knows.
    """
    text = _without_paths(text, folders, workplace)
    for ours, theirs in _PHRASES:
        text = text.replace(ours, theirs)
    return _OPTION.sub(_field, _IN_PYTHON.sub("", text))


def _without_paths(text: str, folders: Iterable[Path], workplace: Path) -> str:
    for folder in sorted(set(map(str, folders)), key=len, reverse=True):  # a folder before the one it is in
        text = text.replace(f"{folder}{os.sep}", "").replace(f"{folder}: ", "")
    return re.sub(re.escape(str(workplace)) + r"[^\s:]*[/\\]", "", text)


def _field(option: re.Match[str]) -> str:
    """The field of an option; what has none is for the command line."""
    if option["name"] not in LABELS:
        return f"`dualfocus predict {option[0]}`"
    return f'"{LABELS[option["name"]]}"{option["value"].replace("_", " ")}'
