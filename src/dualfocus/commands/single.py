"""One focal stack to an output folder, for the commands and a batch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dualfocus.commands.console import progress_bar, warn

if TYPE_CHECKING:
    from dualfocus.calibration import Point
    from dualfocus.inference.prediction import Predictor, Progress
    from dualfocus.outputs import DepthResult
    from dualfocus.stack import FocalStack

Source = Path | list[Path]


@dataclass(frozen=True)
class Settings:
    """What is the same for every stack of a command; plain data, so that it can go to another process.

    Attributes:
        model: name of a model, or a .safetensors file.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16.
        load: keyword arguments of `load_stack`.
        also: further files, see `DepthResult.save`.
        fov: field of view in degrees, for them.
        align: how to register the frames, see `dualfocus.align`.
        order: see `ordering.settle_order`.
        points: for `calibration.calibrate`, with
        points_unit: the unit of their distances, and
        points_coordinate: the coordinate of the fit.
    """

    model: str
    device: str = "auto"
    precision: str = "auto"
    load: dict[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    fov: float | None = None
    align: str = "auto"
    order: str = "given"
    points: tuple[Point, ...] = ()
    points_unit: str = "m"
    points_coordinate: str | None = None


def parse_formats(texts: Iterable[str] | None, points: bool) -> tuple[str, ...]:
    """The formats of `--also tiff,exr --also ply`, and of `--points`, each once."""
    names = [name.strip().lower() for text in texts or () for name in text.split(",")]
    return tuple(dict.fromkeys([*filter(None, names), *(["ply"] if points else [])]))


def predict_one(source: Source, out: Path, settings: Settings, overwrite: bool) -> None:
    """Predict one stack, write the result, and say what came out."""
    with progress_bar(settings.model) as report:
        result = predict_stack(source, out, settings, overwrite, progress=report)
    warn(result.warnings)
    if result.calibration is not None and len(settings.points) > 2:
        typer.echo(residuals(result.calibration))
    typer.echo(f"{summary(result)}; written to {out}")


def predict_stack(
    source: Source,
    out: Path,
    settings: Settings,
    overwrite: bool = False,
    model: Predictor | None = None,
    progress: Progress | None = None,
) -> DepthResult:
    """Predict one stack and write the result; everything that can be refused is, before anything is computed.

    Args:
        source: what `load_stack` takes.
        out: the output folder.
        settings: of the command.
        overwrite: write among files that are not ours.
        model: the one of the settings where it is loaded already.
        progress: see `Predictor.predict`.

    Returns:
        The result, as it was written.

    Raises:
        ValueError: one line that names what is wrong.
    """
    from dualfocus.calibration import calibrate, metric_stack
    from dualfocus.ordering import UNKNOWN_END, settle_order
    from dualfocus.outputs import check_output
    from dualfocus.readers.load import UNKNOWN_DISTANCES

    check_settings(settings)
    check_apart(source if isinstance(source, list) else [source], out)
    stack = open_stack(source, settings)
    check_output(out, overwrite)
    stack = settle_order(stack, settings.order)
    if model is None:
        from dualfocus.inference.loading import load_model
        from dualfocus.inference.plane_reader import decode_first

        decode_first(stack)  # importing torch takes a second, and one core
        try:
            model = load_model(settings.model, device=settings.device, precision=settings.precision)
        except BaseException:
            stack.forget()
            raise
    result, aligned = align_and_predict(stack, settings.align, model, progress)
    if settings.points:
        answered = (UNKNOWN_DISTANCES, UNKNOWN_END)
        result.warnings = [text for text in result.warnings if text not in answered]
        result = calibrate(result, settings.points, settings.points_unit, settings.points_coordinate)
        aligned = metric_stack(aligned, result)
    result.save(out, overwrite=overwrite, also=settings.also, fov=settings.fov, stack=aligned)
    return result


def align_and_predict(
    stack: FocalStack, alignment: str, model: Predictor, progress: Progress | None
) -> tuple[DepthResult, FocalStack]:
    """The result with all that was warned of, and the stack as the model saw it."""
    from dualfocus.alignment import align

    aligned = align(stack, alignment)
    result = model.predict(aligned, progress=progress)
    result.warnings = list(dict.fromkeys([*stack.warnings, *result.warnings]))
    return result, aligned


def check_settings(settings: Settings) -> None:
    """Refuse what is wrong for every stack (ValueError naming it); no file is opened."""
    from dualfocus.alignment import check_choice
    from dualfocus.ordering import check_order
    from dualfocus.outputs import check_formats
    from dualfocus.readers.load import check_reading

    check_choice(settings.align)
    check_order(settings.order)
    check_formats(settings.also, "m", None, settings.fov)  # in metres every format is possible
    check_reading(**settings.load)


def open_stack(source: Source, settings: Settings) -> FocalStack:
    """A stack by the headers of its files, after what the settings want of it was found possible (else ValueError)."""
    from dualfocus.calibration import check_points
    from dualfocus.outputs import check_formats
    from dualfocus.readers import load_stack

    stack = _open_to_calibrate(source, settings) if settings.points else load_stack(source, **settings.load)
    unit = stack.result_unit
    if settings.points:
        check_points(settings.points, stack.size, settings.points_unit, settings.points_coordinate)
        unit = "m" if settings.points_unit == "dioptre" else settings.points_unit
    check_formats(settings.also, unit, stack.pixel_size_um, settings.fov)
    return stack


def _open_to_calibrate(source: Source, settings: Settings) -> FocalStack:
    """A stack without distances, whatever it states of them; a warning where it states some."""
    from dualfocus.readers import load_stack

    try:
        stack = load_stack(source, **{**settings.load, "unit": None})
    except ValueError:  # what it states may be wrong, and is of no use
        return load_stack(source, **settings.load)
    if stack.focus_distances is not None:
        stack = load_stack(source, **settings.load)
        stack.warnings.append(
            "the focus distances that the photographs state are not used: the calibration points take their place"
        )
    return stack


def check_apart(sources: Sequence[Path], out: Path) -> None:
    """Even --overwrite must not replace a photograph, or leave results where the next run takes them for planes."""
    from dualfocus.outputs.files import RESULT_NAMES

    for path in sources:
        is_folder = os.path.isdir(path)
        reads_folder = is_folder or path.name == "stack.json"
        folder = path if is_folder else path.parent
        if (reads_folder or path.name in RESULT_NAMES) and folder.resolve() == out.resolve():
            raise ValueError(f"{out} is the folder of the photographs: choose another output folder")


def summary(result: DepthResult) -> str:
    """One line for people: the range of the depth and how much of the image has one."""
    if result.depth_range is None:
        return "no pixel has a valid depth"
    low, high = result.depth_range
    from dualfocus.outputs.numbers import apart

    share = f"{100 * float(result.valid.mean()):.3g} % of the pixels valid"
    if result.unit == "index":
        return f"depth from plane {low:.2f} to {high:.2f} (fractional plane index), {share}"
    nearest, farthest = apart((low, high))
    return f"depth from {nearest} to {farthest} {result.unit}, {share}"


def residuals(calibration: dict[str, Any]) -> str:
    """One line for people: how far each calibration point is from the fit."""
    far = [
        "infinity" if point["fitted"] is None else f"{point['fitted']:.4g} for {_or_infinity(point['given']):.4g}"
        for point in calibration["points"]
    ]
    return f"calibration: the fit gives {', '.join(far)} {calibration['unit']}"


def _or_infinity(distance: float | None) -> float:
    return math.inf if distance is None else distance  # JSON has no infinity


def calibration_settings(
    texts: Sequence[str] | None, unit: str | None, coordinate: str | None, given: Sequence[Any]
) -> dict[str, Any]:
    """The settings of `--calibrate`, none without it.

    Args:
        texts: points as text.
        unit: of their distances; m when none is given.
        coordinate: of the fit.
        given: values of the options that state focus distances, which do not go with it.
    """
    from dualfocus.calibration import parse_points
    from dualfocus.readers.distances import normalise_unit

    if not texts:
        if coordinate is not None:
            raise ValueError("--calibrate-in goes with --calibrate: give points of known distance, or leave it out")
        return {}
    if any(value is not None for value in given):
        raise ValueError("focus distances and calibration points are both given: leave one out")
    points = tuple(parse_points(texts))
    if not points:
        raise ValueError("--calibrate holds no point: give two, such as 120,80=0.5 600,300=2")
    return {"points": points, "points_unit": normalise_unit(unit) or "m", "points_coordinate": coordinate}
