"""`dualfocus predict` and `demo`: one focal stack or several, to an output folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualfocus.commands.console import warn
from dualfocus.commands.memory import keep_freed_memory
from dualfocus.commands.options import (
    DEFAULT_MODEL,
    AlsoOption,
    DeviceOption,
    FovOption,
    ModelOption,
    OverwriteOption,
    PointsOption,
    PrecisionOption,
    path_option,
)
from dualfocus.commands.predict_options import (
    AlignOption,
    CalibrateInOption,
    CalibrateOption,
    ChannelOption,
    ClusterOption,
    EngineOption,
    FocusOption,
    FramesOption,
    OrderOption,
    PixelSizeOption,
    ResumeOption,
    StackArgument,
    TimeOption,
    UnitOption,
    WorkersOption,
    ZStepOption,
)
from dualfocus.commands.single import calibration_settings, parse_formats, predict_one
from dualfocus.inference.shipped import DEMO_STACK


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
    stack: StackArgument,
    out: Annotated[Path, path_option("--out", "-o", help="Output folder.")],
    focus: FocusOption = None,
    unit: UnitOption = None,
    z_step: ZStepOption = None,
    order: OrderOption = "given",
    calibrate: CalibrateOption = None,
    calibrate_in: CalibrateInOption = None,
    channel: ChannelOption = None,
    time: TimeOption = None,
    pixel_size: PixelSizeOption = None,
    frames: FramesOption = None,
    align: AlignOption = "auto",
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    overwrite: OverwriteOption = False,
    points: PointsOption = False,
    also: AlsoOption = None,
    fov: FovOption = None,
    resume: ResumeOption = False,
    engine: EngineOption = "local",
    cluster: ClusterOption = None,
    workers: WorkersOption = None,
) -> None:
    """Depth, confidence and an all-in-focus image of a focal stack, or of several."""
    keep_freed_memory()
    from dualfocus.batch.stacks import find_batch
    from dualfocus.commands.batch import Engine, predict_batch
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
    if predict_batch(batch, out, settings, Engine(engine, cluster, workers), overwrite, resume):
        raise typer.Exit(1)
