"""What the commands say and show: one-line messages on stderr, and progress where someone is looking."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from dualfocus.messages import one_line
from dualfocus.remedies import Remedy


def fail(message: str, code: int = 2) -> int:
    """Print `error: ...` on one line of stderr; returns the exit code."""
    _say(f"error: {one_line(message)}")
    return code


def warn(messages: Iterable[str]) -> None:
    """Print each as `warning: ...` on one line of stderr."""
    for message in messages:
        _say(f"warning: {one_line(message)}")


def _say(line: str) -> None:
    """Print a line on stderr; that nobody can read it must not fail a run that is done."""
    with contextlib.suppress(OSError):
        typer.echo(line, err=True)


def as_option(remedy: Remedy) -> str:
    """What a message says to do, as the option to give."""
    return remedy.command or f"--{remedy.option} {remedy.value}".rstrip()


def status(text: str) -> contextlib.AbstractContextManager[Any]:
    """A spinner where someone is looking, nothing in a log."""
    console = Console(stderr=True)
    return console.status(Text(text)) if console.is_terminal else contextlib.nullcontext()


@contextlib.contextmanager
def progress_bar(title: str, shown: bool = True) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar where someone is looking; the block gets a function of (done, total, what is being done)."""
    console = Console(stderr=True)
    columns = (  # a title or a name may hold braces or brackets: neither is a template or markup
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[what]}", markup=False),
    )
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task(title, total=None, what="")
        yield lambda done, total, what: progress.update(task, completed=done, total=total, what=what)
