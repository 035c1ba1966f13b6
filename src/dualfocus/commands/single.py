"""One focal stack to an output folder, and what the options of that say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dualfocus.commands.console import progress_bar, warn

if TYPE_CHECKING:
    from dualfocus.pipeline import Settings


def parse_formats(texts: Iterable[str] | None, points: bool) -> tuple[str, ...]:
    """The formats of `--also tiff,exr --also ply`, and of `--points`, each once."""
    names = [name.strip().lower() for text in texts or () for name in text.split(",")]
    return tuple(dict.fromkeys([*filter(None, names), *(["ply"] if points else [])]))


def predict_one(source: Path | list[Path], out: Path, settings: Settings, overwrite: bool) -> None:
    """Predict one stack, write the result, and say what came out."""
    from dualfocus.outputs.summary import residuals, summary
    from dualfocus.pipeline import predict_to_folder

    with progress_bar(settings.model) as report:
        result = predict_to_folder(source, out, settings, overwrite, progress=report)
    warn(result.warnings)
    if result.calibration is not None and len(settings.points) > 2:
        typer.echo(residuals(result.calibration))
    typer.echo(f"{summary(result)}; written to {out}")


def calibration_settings(
    texts: Sequence[str] | None, unit: str | None, coordinate: str | None, given: Sequence[Any]
) -> dict[str, Any]:
    """The settings of `--calibrate`, none without it.

    Args:
        texts: points as text.
        unit: the unit of their distances; m when none is given.
        coordinate: the coordinate of the fit.
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
