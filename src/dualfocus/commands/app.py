"""`dualfocus app`: a local web page."""

from __future__ import annotations

from typing import Annotated

import typer

from dualfocus.commands.options import DEFAULT_MODEL, DeviceOption, ModelOption
from dualfocus.inference.shipped import DEMO_STACK


def app(
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    most_files: Annotated[int, typer.Option(min=2, help="Most files of a stack.")] = 100,
    most_megabytes: Annotated[int, typer.Option(min=1, help="Most megabytes of a file.")] = 200,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Serve a local web page: drop photographs, look at depth."""
    from dualfocus.app import serve
    from dualfocus.app.jobs import Limits
    from dualfocus.pipeline import Settings

    serve(host, port, Settings(model, device), Limits(most_files, most_megabytes), DEMO_STACK, browser)
