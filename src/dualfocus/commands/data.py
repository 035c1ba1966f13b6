"""`dualfocus pack` and `check-data`: data sets on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualfocus.commands.console import fail, progress_bar
from dualfocus.commands.options import output_option, path_argument


def pack(
    folder: Annotated[Path, path_argument(help="Labelled NYU, a folder with rgb and depth, or stack.json folders.")],
    out: Annotated[Path, output_option(help="The .zip to write; `train` and `evaluate` read it.")],
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the WebP photographs.")] = 90,
    split: Annotated[str | None, typer.Option(help="Of NYU: train or test.")] = None,
) -> None:
    """Pack a data set into one small file: WebP photographs, lossless depth."""
    from dualfocus.datasets.pack import pack as write_pack

    with progress_bar("packing") as report:
        count = write_pack(folder, out, quality, split, progress=lambda done, total: report(done, total, ""))
    typer.echo(f"{count} files, {out.stat().st_size / 1e6:.1f} MB, in {out}")


def check_data(
    name: Annotated[str, typer.Argument(help="nyu, fod500, ddff12, ... or stacks; any other word lists them all.")],
    path: Annotated[Path, path_argument(help="Its file or folder.")],
) -> None:
    """Say whether a data set is complete."""
    from dualfocus.datasets.checks import check_data as check

    found, problems = check(name, path)
    for line in found:
        typer.echo(line)
    if problems:
        for problem in problems:
            fail(problem)
        raise typer.Exit(2)
    typer.echo(f"{name} is complete")
