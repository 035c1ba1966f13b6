"""`dualfocus plan`: where to focus, before the photographs are taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from dualfocus.planning import Plan

_FAINT_PX, _WIDE_PX = 1.0, 8.0  # neighbours nearer or farther apart than the network is at home with


def plan(
    focal_length: Annotated[float | None, typer.Option(help="Of the lens, in mm.", rich_help_panel="Camera")] = None,
    f_number: Annotated[float | None, typer.Option(help="Of the aperture.", rich_help_panel="Camera")] = None,
    sensor_width: Annotated[float | None, typer.Option(help="In mm.", rich_help_panel="Camera")] = None,
    pixels: Annotated[int | None, typer.Option(help="Of a picture's width.", rich_help_panel="Camera")] = None,
    near: Annotated[float | None, typer.Option(help="Nearest distance in metres.", rich_help_panel="Camera")] = None,
    far: Annotated[float | None, typer.Option(help="Farthest, in metres or inf.", rich_help_panel="Camera")] = None,
    na: Annotated[float | None, typer.Option(help="Numerical aperture.", rich_help_panel="Microscope")] = None,
    pixel_um: Annotated[
        float | None, typer.Option(help="Pixel size in the object, in um.", rich_help_panel="Microscope")
    ] = None,
    depth_um: Annotated[
        float | None, typer.Option(help="Height of the object, in um.", rich_help_panel="Microscope")
    ] = None,
    planes: Annotated[int | None, typer.Option(min=2, help="How many, in place of --spacing.")] = None,
    spacing: Annotated[float, typer.Option(help="Largest blur, in pixels, between neighbouring planes.")] = 3.0,
    error: Annotated[float, typer.Option(help="Expected error in plane spacings.")] = 0.25,
) -> None:
    """Where to focus, how many planes it takes, and the depth accuracy to expect."""
    made = make_plan(
        {
            "--focal-length": focal_length,
            "--f-number": f_number,
            "--sensor-width": sensor_width,
            "--pixels": pixels,
            "--near": near,
            "--far": far,
        },
        {"--na": na, "--pixel-um": pixel_um, "--depth-um": depth_um},
        planes,
        spacing,
        error,
    )
    Console().print(to_table(made))
    for line in advice(made):
        typer.echo(line)


def make_plan(
    camera: Mapping[str, float | None],
    microscope: Mapping[str, float | None],
    planes: int | None,
    spacing_px: float,
    error: float,
) -> Plan:
    """The plan for the camera or the microscope, whichever was described by its options, in the command's order.

    Raises:
        ValueError: both, neither or half of one described, or values out of range.
    """
    from dualfocus.planning import plan_camera, plan_microscope

    given = [any(value is not None for value in options.values()) for options in (camera, microscope)]
    if given[0] == given[1]:
        raise ValueError(f"describe either a camera ({' '.join(camera)}) or a microscope ({' '.join(microscope)})")
    options = camera if given[0] else microscope
    missing = [name for name, value in options.items() if value is None]
    if missing:
        raise ValueError(f"{missing[0]} is missing; needed are {' '.join(options)}")
    values = [float(value) for value in options.values() if value is not None]
    if not 0 < error < float("inf"):
        raise ValueError(f"--error must be above 0 plane spacings, not {error:g}")
    if given[1]:
        return plan_microscope(*values, planes=planes, spacing_px=spacing_px, error=error)
    focal, f_number, width, columns, near, far = values
    return plan_camera(
        focal, f_number, width, int(columns), near, far, planes=planes, spacing_px=spacing_px, error=error
    )


def to_table(plan: Plan) -> Table:
    """One row for every plane."""
    from dualfocus.outputs.numbers import apart

    camera = plan.unit == "m"
    table = Table(caption=f"error: {plan.error:g} plane spacings; it takes texture")
    for heading in ("plane", f"focus ({plan.unit})", *(["dioptres"] if camera else []), f"depth error ({plan.unit})"):
        table.add_column(heading, justify="right")
    columns = [apart(plan.focus), *([apart([1 / focus for focus in plan.focus])] if camera else [])]
    errors = [f"{error:.2g}" if math.isfinite(error) else "no limit" for error in plan.depth_error]
    for number, row in enumerate(zip(*columns, errors, strict=True), start=1):
        table.add_row(str(number), *row)
    return table


def advice(plan: Plan) -> list[str]:
    """Sentences that say how far apart the planes are, and what to change."""
    from dualfocus.outputs.numbers import apart

    lines = [
        f"{len(plan.focus)} planes; a point sharp in one is blurred over {plan.spacing_px:.2g} px in the next, and over"
        f" {plan.total_px:.3g} px from the first to the last."
    ]
    if plan.total_px < 2 * _FAINT_PX:
        remedy = "open the aperture, go nearer or use a longer lens" if plan.unit == "m" else "use a higher aperture"
        lines.append(f"The blur hardly changes over the stack: {remedy}.")
    elif plan.spacing_px < _FAINT_PX:
        lines.append("Neighbouring planes hardly differ: fewer planes would do.")
    elif plan.spacing_px > _WIDE_PX:
        lines.append("A point can be blurred in every plane: take more planes.")
    values = ",".join(apart(plan.focus))
    if all(map(math.isfinite, plan.focus)):
        lines.append(f"For predict: --focus {values} --unit {plan.unit}")
    else:
        dioptres = ",".join(apart([1 / value for value in plan.focus]))
        lines.append(f"For predict: --focus {dioptres} --unit dioptre")
    return lines
