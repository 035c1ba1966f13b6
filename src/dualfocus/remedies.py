"""What mends a fault, in the words of who reads of it: Python's, the command line's or those of the page.

A message names an option as `f"... with {Remedy('z-step')}"`. It is put into words where the message is made, so that a
message is text from then on. The words are Python's; who has others makes and reads messages inside `phrased`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Remedy(NamedTuple):
    """An option to give; as text it is in the words of the reader.

    Attributes:
        option: its name, as that of `dualfocus predict` without dashes.
        value: what it should be, if that is known.
        python: what to write in Python, where that is not the argument called like the option, of this value.
        command: what the command line says, where that is more than the option and its value.

    >>> f"say {Remedy('unit', 'mm')}"
    'say unit="mm"'
    """

    option: str
    value: str = ""
    python: str = ""
    command: str = ""

    def __str__(self) -> str:
        return _phrasing.get()(self)


Phrasing = Callable[[Remedy], str]  # how an option is named to the reader


FOCUS_EXAMPLE = Remedy("focus", "0.3,0.5,1", python="focus=[0.3, 0.5, 1]")
CALIBRATE = Remedy("calibrate", python="dualfocus.calibration.calibrate")


class Answerable(str):
    """A warning that points of known distance answer, so that it is not given with them."""


def in_python(remedy: Remedy) -> str:
    """The argument to give: `pixel_size=`, or `align="none"`."""
    value = f'"{remedy.value}"' if remedy.value else ""
    return remedy.python or f"{remedy.option.replace('-', '_')}={value}"


_phrasing: ContextVar[Phrasing] = ContextVar("phrasing", default=in_python)


@contextmanager
def phrased(phrasing: Phrasing) -> Iterator[None]:
    """Messages made inside the block name options in these words.

    A thread or process that is started inside begins with Python's words again: hand it `current_phrasing()`.
    """
    before = _phrasing.set(phrasing)
    try:
        yield
    finally:
        _phrasing.reset(before)


def current_phrasing() -> Phrasing:
    """How options are named here, for `phrased` elsewhere."""
    return _phrasing.get()
