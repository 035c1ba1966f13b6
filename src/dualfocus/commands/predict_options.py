"""Options of `dualfocus predict` alone, by the headings of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualfocus.commands.options import path_argument

_INPUT, _FOCUS, _ALIGNMENT, _BATCH = "Input", "Focus distances", "Alignment", "Several stacks"

StackArgument = Annotated[
    list[Path],
    path_argument(
        help="A folder of photographs or a ZIP of one, the photographs, a multi-page TIFF, a video of a focus "
        "sweep, or a stack.json; several of these, or a folder of them, are a batch."
    ),
]

FocusOption = Annotated[
    str | None,
    typer.Option(
        help="Focus distances in file order, separated by commas.", metavar="0.3,0.5,...", rich_help_panel=_FOCUS
    ),
]
UnitOption = Annotated[
    str | None, typer.Option(help="Their unit: m, mm, um, dioptre or index.", rich_help_panel=_FOCUS)
]
ZStepOption = Annotated[
    float | None, typer.Option(help="Micrometres from plane to plane, instead.", rich_help_panel=_FOCUS)
]
OrderOption = Annotated[
    str,
    typer.Option(
        help="Of images without distances: as given, found from the images (auto), or near_to_far or far_to_near.",
        metavar="given|auto|...",
        rich_help_panel=_FOCUS,
    ),
]
CalibrateOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Pixels of known distance, two or more, which make a relative depth metric; in --unit.",
        metavar="'X,Y=DISTANCE ...'",
        rich_help_panel=_FOCUS,
    ),
]
CalibrateInOption = Annotated[
    str | None,
    typer.Option(
        help="inverse_depth (a lens moved in equal steps) or depth (a stage).",
        metavar="COORDINATE",
        rich_help_panel=_FOCUS,
    ),
]

ChannelOption = Annotated[
    int | None, typer.Option(min=0, help="Channel of a microscope's TIFF, from 0.", rich_help_panel=_INPUT)
]
TimeOption = Annotated[
    int | None, typer.Option(min=0, help="Time point of a microscope's TIFF, from 0.", rich_help_panel=_INPUT)
]
PixelSizeOption = Annotated[
    float | None, typer.Option(help="Micrometres of the scene to a pixel.", rich_help_panel=_INPUT)
]
FramesOption = Annotated[int | None, typer.Option(min=2, help="Frames of a video to use (10).", rich_help_panel=_INPUT)]

AlignOption = Annotated[
    str,
    typer.Option(
        help="Register the frames: auto, none, translation, similarity, affine or homography.",
        rich_help_panel=_ALIGNMENT,
    ),
]

ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Keep the results that are there.", rich_help_panel=_BATCH)
]
EngineOption = Annotated[
    str, typer.Option(help="local, or ray: many at once, on one or more machines.", rich_help_panel=_BATCH)
]
ClusterOption = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster; this machine without.", rich_help_panel=_BATCH)
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Most stacks at once, with Ray.", rich_help_panel=_BATCH)
]
