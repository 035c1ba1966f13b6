"""`dualfocus predict` and `demo`: one focal stack to an output folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dualfocus.commands.console import status, warn

if TYPE_CHECKING:
    from dualfocus.inference import DepthModel
    from dualfocus.outputs import DepthResult

Source = Path | list[Path]


@dataclass(frozen=True)
class Settings:
    """What is the same for every stack of a command; plain data, so that it can go to another process.

    Attributes:
        model: name of a model, or a .safetensors file.
        device: auto, cpu, cuda or mps.
        load: keyword arguments of `load_stack`.
        also: further files, see `DepthResult.save`.
        fov: field of view in degrees, for them.
        align: how to register the frames, see `dualfocus.align`.
    """

    model: str
    device: str = "auto"
    load: dict[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    fov: float | None = None
    align: str = "auto"


def parse_formats(texts: Iterable[str] | None, points: bool) -> tuple[str, ...]:
    """The formats of `--also tiff,exr --also ply`, and of `--points`, each once."""
    names = [name.strip().lower() for text in texts or () for name in text.split(",")]
    return tuple(dict.fromkeys([*filter(None, names), *(["ply"] if points else [])]))


def predict_one(source: Source, out: Path, settings: Settings, overwrite: bool) -> None:
    """Predict one stack, write the result, and say what came out."""
    with status(f"predicting with {settings.model}"):
        result = predict_stack(source, out, settings, overwrite)
    warn(result.warnings)
    typer.echo(f"{summary(result)}; written to {out}")


def predict_stack(
    source: Source, out: Path, settings: Settings, overwrite: bool = False, model: DepthModel | None = None
) -> DepthResult:
    """Predict one stack and write the result; everything that can be refused is, before anything is computed.

    Args:
        source: what `load_stack` takes.
        out: the output folder.
        settings: of the command.
        overwrite: write among files that are not ours.
        model: the one of the settings where it is loaded already.

    Returns:
        The result, as it was written.

    Raises:
        ValueError: one line that names what is wrong.
    """
    from dualfocus.alignment import align, check_choice
    from dualfocus.outputs import check_formats, check_output
    from dualfocus.readers import load_stack

    check_choice(settings.align)
    check_apart(source if isinstance(source, list) else [source], out)
    stack = load_stack(source, **settings.load)
    check_formats(settings.also, stack.result_unit, stack.pixel_size_um, settings.fov)
    check_output(out, overwrite)
    if model is None:
        from dualfocus.inference import load_model

        model = load_model(settings.model, device=settings.device)
    result = model.predict(align(stack, settings.align))
    result.warnings = list(dict.fromkeys([*stack.warnings, *result.warnings]))
    result.save(out, overwrite=overwrite, also=settings.also, fov=settings.fov, stack=stack)
    return result


def check_apart(sources: Sequence[Path], out: Path) -> None:
    """Even --overwrite must not replace a photograph, or leave results where the next run takes them for planes."""
    from dualfocus.outputs.files import RESULT_FILES

    for path in sources:
        is_folder = os.path.isdir(path)
        reads_folder = is_folder or path.name == "stack.json"
        folder = path if is_folder else path.parent
        if (reads_folder or path.name in RESULT_FILES) and folder.resolve() == out.resolve():
            raise ValueError(f"{out} is the folder of the photographs: choose another output folder")


def summary(result: DepthResult) -> str:
    """One line for people: the range of the depth and how much of the image has one."""
    if result.depth_range is None:
        return "no pixel has a valid depth"
    low, high = result.depth_range
    share = f"{100 * float(result.valid.mean()):.3g} % of the pixels valid"
    if result.unit == "index":
        return f"depth from plane {low:.2f} to {high:.2f} (fractional plane index), {share}"
    return f"depth from {low:.4g} to {high:.4g} {result.unit}, {share}"
