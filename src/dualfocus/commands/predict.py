"""`dualfocus predict` and `demo`: one focal stack or several, to an output folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualfocus.commands.console import warn
from dualfocus.commands.memory import keep_freed_memory
from dualfocus.commands.options import (
    DEFAULT_MODEL,
    DEMO_STACK,
    AlsoOption,
    DeviceOption,
    FovOption,
    ModelOption,
    OverwriteOption,
    PointsOption,
    PrecisionOption,
    path_argument,
    path_option,
)
from dualfocus.commands.single import calibration_settings, parse_formats, predict_one

_INPUT, _FOCUS, _BATCH = "Input", "Focus distances", "Several stacks"  # headings in the help


def demo(
    out: Annotated[Path, path_option("--out", "-o", help="Output folder.")] = Path("dualfocus-demo"),
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    overwrite: OverwriteOption = False,
    points: PointsOption = False,
    also: AlsoOption = None,
    fov: FovOption = None,
) -> None:
    """Depth of the focal stack that comes with the program."""
    keep_freed_memory()
    from dualfocus.pipeline import Settings

    settings = Settings(model, device, precision, also=parse_formats(also, points), fov=fov)
    predict_one(DEMO_STACK, out, settings, overwrite)


def predict(
    stack: Annotated[
        list[Path],
        path_argument(
            help="A folder of photographs or a ZIP of one, the photographs, a multi-page TIFF, a video of a focus "
            "sweep, or a stack.json; several of these, or a folder of them, are a batch."
        ),
    ],
    out: Annotated[Path, path_option("--out", "-o", help="Output folder.")],
    focus: Annotated[
        str | None,
        typer.Option(
            help="Focus distances in file order, separated by commas.", metavar="0.3,0.5,...", rich_help_panel=_FOCUS
        ),
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Their unit: m, mm, um, dioptre or index.", rich_help_panel=_FOCUS)
    ] = None,
    z_step: Annotated[
        float | None, typer.Option(help="Micrometres from plane to plane, instead.", rich_help_panel=_FOCUS)
    ] = None,
    order: Annotated[
        str,
        typer.Option(
            help="Of images without distances: as given, found from the images (auto), or near_to_far or far_to_near.",
            metavar="given|auto|...",
            rich_help_panel=_FOCUS,
        ),
    ] = "given",
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            help="Pixels of known distance, two or more, which make a relative depth metric; in --unit.",
            metavar="'X,Y=DISTANCE ...'",
            rich_help_panel=_FOCUS,
        ),
    ] = None,
    calibrate_in: Annotated[
        str | None,
        typer.Option(
            help="inverse_depth (a lens moved in equal steps) or depth (a stage).",
            metavar="COORDINATE",
            rich_help_panel=_FOCUS,
        ),
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=0, help="Channel of a microscope's TIFF, from 0.", rich_help_panel=_INPUT)
    ] = None,
    time: Annotated[
        int | None, typer.Option(min=0, help="Time point of a microscope's TIFF, from 0.", rich_help_panel=_INPUT)
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(help="Micrometres of the scene to a pixel.", rich_help_panel=_INPUT)
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=2, help="Frames of a video to use (10).", rich_help_panel=_INPUT)
    ] = None,
    align: Annotated[
        str,
        typer.Option(
            help="Register the frames: auto, none, translation, similarity, affine or homography.",
            rich_help_panel="Alignment",
        ),
    ] = "auto",
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    overwrite: OverwriteOption = False,
    points: PointsOption = False,
    also: AlsoOption = None,
    fov: FovOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the results that are there.", rich_help_panel=_BATCH)
    ] = False,
    engine: Annotated[
        str, typer.Option(help="local, or ray: many at once, on one or more machines.", rich_help_panel=_BATCH)
    ] = "local",
    cluster: Annotated[
        str | None,
        typer.Option(help="Address of a Ray cluster; this machine without.", rich_help_panel=_BATCH),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Most stacks at once, with Ray.", rich_help_panel=_BATCH)
    ] = None,
) -> None:
    """Depth, confidence and an all-in-focus image of a focal stack, or of several."""
    keep_freed_memory()
    from dualfocus.batch.stacks import find_batch
    from dualfocus.commands.batch import predict_batch
    from dualfocus.pipeline import Settings
    from dualfocus.readers import Reading

    calibration = calibration_settings(calibrate, unit, calibrate_in, (focus, z_step))
    reading = Reading(focus, unit, channel, time, z_step, pixel_size, frames)
    settings = Settings(
        model, device, precision, reading, parse_formats(also, points), fov, align, order, **calibration
    )
    left_out: list[str] = []
    batch = find_batch(stack, left_out)
    if batch is None:
        given = {"--resume": resume, "--engine": engine != "local", "--cluster": cluster, "--workers": workers}
        if any(given.values()):
            option = next(name for name, value in given.items() if value)
            raise ValueError(f"{option} is for several stacks, and this is one")
        predict_one(stack[0] if len(stack) == 1 else stack, out, settings, overwrite)
        return
    warn(left_out)
    if predict_batch(batch, out, settings, overwrite, resume, engine, cluster, workers):
        raise typer.Exit(1)
