"""What errors say, as one line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


def one_line(text: object) -> str:
    """A text without line breaks, and without blanks beside one another."""
    return " ".join(str(text).split())


def first_line(error: BaseException) -> str:
    """The first line of what an error says; the name of its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def of_the_system(error: OSError) -> str:
    """An error of the file system: the file, if it names one, and the reason."""
    where = "" if error.filename is None else f"{error.filename}: "
    return f"{where}{error.strerror or error}"


@contextlib.contextmanager
def ending_in_one_line() -> Iterator[None]:
    """For the tools run with `python -m`: what their user can mend ends them with one line on stderr, and code 1."""
    try:
        yield
    except OSError as error:
        sys.exit(f"error: {of_the_system(error)}")
    except ValueError as error:
        sys.exit(f"error: {error}")
