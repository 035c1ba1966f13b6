"""`dualfocus submit`: predictions for a test set whose truth is hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualfocus.commands.console import progress_bar
from dualfocus.commands.options import DEFAULT_MODEL, DeviceOption, output_option, path_option


def submit(
    out: Annotated[Path, output_option(help="The .zip to write.")],
    protocol: Annotated[str, typer.Option(help="With a hidden test set: zedd/f2.8-n5, ddff12/dfv-n5 or -n10.")],
    data: Annotated[Path, path_option(help="Folder or file of the test set.")],
    model: Annotated[str, typer.Argument(help="A model, or files:FOLDER of predictions.")] = DEFAULT_MODEL,
    device: DeviceOption = "auto",
) -> None:
    """Write a model's predictions for a hidden test set as the ZIP that its server takes."""
    from dualfocus.benchmarks.evaluation.submission import write_upload

    with progress_bar("predicting") as report:
        count = write_upload(model, protocol, data, out, device, report)
    name = protocol.partition("/")[0]
    typer.echo(f"{count} maps in {out}; `dualfocus check-data {name}-upload {out}` looks at them as the server does")
