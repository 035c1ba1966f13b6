"""`dualfocus export`: a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualfocus.commands.console import status
from dualfocus.commands.options import DEFAULT_MODEL, output_option


def export(
    out: Annotated[Path, output_option(help="The .onnx file to write.")],
    model: Annotated[str, typer.Argument(help="Name of a model, or a .safetensors file.")] = DEFAULT_MODEL,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
) -> None:
    """Write a model as an ONNX file for any number of planes and image size."""
    from dualfocus.inference.export import export_onnx

    with status(f"exporting {model}"):
        path = export_onnx(model, out, precision)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
