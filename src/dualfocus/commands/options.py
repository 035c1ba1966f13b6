"""Options that several commands share, and what stands for them when they are not given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_MODEL = "dualfocus-s"


def given_path(given: str | Path, what: str = "the path") -> Path:
    """A path as it was given; an empty one, as an unset variable of a script leaves it, is refused.

    To Python it is the current folder, which nobody meant. Nothing is asked of the file system: whoever reads says what
    cannot be read, and of several stacks one may fail by itself.

    Args:
        given: what the command line holds.
        what: what the path is, for the message.
    """
    if not str(given):
        raise typer.BadParameter(f"{what} is empty: give one, or . for the current folder")
    return Path(given)


def output_path(given: str | Path) -> Path:
    """Where something is to be written; a folder that is not there is left out together with the `..` behind it.

    Whoever made the folders of `new/../out` one by one would leave an empty `new`.
    """
    found = Path()
    for part in given_path(given).parts:
        found = found.parent if part == ".." and found.name not in ("", "..") and not found.exists() else found / part
    return found


def path_argument(help: str) -> Any:
    """A `typer.Argument` that takes a path, or with a list several."""
    return typer.Argument(help=help, parser=given_path)


def path_option(*names: str, help: str) -> Any:
    """A `typer.Option` that takes a path."""
    return typer.Option(*names, help=help, parser=given_path)


def output_option(help: str) -> Any:
    """`--out` or `-o`, which takes an `output_path`."""
    return typer.Option("--out", "-o", help=help, parser=output_path)


ModelOption = Annotated[str, typer.Option("--model", "-m", help="Name of a model, or a .safetensors or .onnx file.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
PrecisionOption = Annotated[
    str, typer.Option(help="fp32; bf16, faster where the processor has it; auto: bf16 only there.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Write among files that are not ours.", rich_help_panel="Output")
]
PointsOption = Annotated[
    bool,
    typer.Option("--points", help="Also write a point cloud, points.ply: --also ply.", rich_help_panel="Output"),
]
AlsoOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Also write, separated by commas: tiff, exr (float depth), ply (point cloud), glb (mesh), html (report).",
        metavar="FORMATS",
        rich_help_panel="Output",
    ),
]
FovOption = Annotated[
    float | None,
    typer.Option(
        help="Field of view over the longer side, for what is in 3-D; else the lens's, else 60 degrees.",
        metavar="DEGREES",
        rich_help_panel="Output",
    ),
]
