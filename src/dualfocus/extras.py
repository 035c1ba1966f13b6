"""What to do when an optional package is missing."""

from __future__ import annotations


def install(extra: str) -> str:
    """The command that installs an extra, for messages; from the clone, as long as no index has a release."""
    return f'pip install -c constraints.txt ".[{extra}]" in the clone of DualFocus'
