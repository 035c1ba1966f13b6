"""What is shown on a terminal: names as they are, whatever they hold."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from dualfocus.commands import console

NAMES = ("m{x}/w.safetensors", "[/x]", "[red]x", "{task.fields[no]}", ":smile:")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """A terminal without colours in place of stderr; the function gives what was written to it."""
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(console, "Console", lambda stderr: terminal)
    return written.getvalue


@pytest.mark.parametrize("name", NAMES)
def test_progress_shows_names_as_they_are(name: str, shown: Callable[[], str]) -> None:
    with console.progress_bar(name) as report:
        report(1, 2, name)
    assert any(line.count(name) == 2 for line in shown().splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_a_spinner_shows_names_as_they_are(name: str, shown: Callable[[], str]) -> None:
    with console.status(f"exporting {name}"):
        pass
    assert f"exporting {name}" in shown()
