"""From files to a result as `dualfocus predict` makes it: load, order, align, predict, calibrate and save.

>>> from dualfocus.pipeline import Settings, predict  # doctest: +SKIP
>>> from dualfocus.readers import Reading  # doctest: +SKIP
>>> result = predict("desk/", Settings(reading=Reading(focus=[0.3, 0.5, 1.0])))  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dualfocus.alignment import align, check_choice
from dualfocus.calibration import Point, calibrate, check_points, metric_stack
from dualfocus.inference.plane_reader import Progress, decode_first
from dualfocus.loading import load_model
from dualfocus.ordering import check_order, settle_order
from dualfocus.outputs import DepthResult, check_formats, check_output
from dualfocus.outputs.files import RESULT_NAMES
from dualfocus.readers import Reading
from dualfocus.readers.sidecar import SIDECAR
from dualfocus.readers.source import Source, paths_of
from dualfocus.remedies import Answerable

if TYPE_CHECKING:
    from dualfocus.inference.predictor import Predictor
    from dualfocus.stack import FocalStack


@dataclass(frozen=True)
class Settings:
    """What is the same for every stack that is predicted; plain data, so that it can go to another process.

    Attributes:
        model: name of a model, or a .safetensors or .onnx file.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16, see `load_model`; auto is what `dualfocus predict` uses.
        reading: what `load_stack` is told.
        also: further files, see `DepthResult.save`.
        fov: field of view in degrees, for them.
        align: how to register the frames, see `dualfocus.align`.
        order: see `ordering.settle_order`.
        points: for `calibration.calibrate`, in place of any distances that the photographs state and of the reading's
            unit, with
        points_unit: the unit of their distances, and
        points_coordinate: the coordinate of the fit.
    """

    model: str = "dualfocus-s"
    device: str = "auto"
    precision: str = "auto"
    reading: Reading = Reading()
    also: tuple[str, ...] = ()
    fov: float | None = None
    align: str = "auto"
    order: str = "given"
    points: tuple[Point, ...] = ()
    points_unit: str = "m"
    points_coordinate: str | None = None


def predict(
    source: Source | Sequence[Source],
    settings: Settings | None = None,
    model: Predictor | None = None,
    progress: Progress | None = None,
) -> DepthResult:
    """Load, order, align and predict a focal stack in one go: what `dualfocus predict` writes, as a result.

    Args:
        source: a folder of photographs, a list of them, or anything else that `load_stack` takes.
        settings: how; the defaults are those of the command.
        model: the one of the settings, where it is loaded already.
        progress: called after each plane read, see `Predictor.predict`.

    Returns:
        Maps of the size of the photographs (H, W), depth in `result.unit`: m for distances in m or dioptres, mm and um
        as they are, "index" without distances, the unit of the calibration with `settings.points`. `result.warnings`
        holds what is to be said of the stack, its order, its alignment and its depth.

    Raises:
        ValueError: one line that names the file, value or setting that is wrong; everything that can be refused is,
            before anything is computed.
        OSError: a file that cannot be read.
    """
    settings = settings or Settings()
    check_settings(settings)
    result, _ = predict_stack(open_stack(source, settings), settings, model, progress)
    return result


def predict_to_folder(
    source: Source | Sequence[Source],
    out: str | Path,
    settings: Settings | None = None,
    overwrite: bool = False,
    model: Predictor | None = None,
    progress: Progress | None = None,
) -> DepthResult:
    """Predict as `predict` does and write the result, with the further files that the settings ask for.

    Args:
        source: see `predict`.
        out: the output folder; an earlier result there is replaced as a whole.
        settings: see `predict`.
        overwrite: write among files that are not ours.
        model: see `predict`.
        progress: see `predict`.

    Returns:
        The result, as it was written.

    Raises:
        ValueError: as `predict` does, and for an output folder that cannot be written, holds files that are not ours,
            or is the folder of the photographs.
    """
    settings, out = settings or Settings(), Path(out)
    check_settings(settings)
    check_apart(paths_of(source), out)
    stack = open_stack(source, settings)
    check_kept(stack.files, out)
    check_output(out, overwrite)
    result, seen = predict_stack(stack, settings, model, progress)
    result.save(out, overwrite=overwrite, also=settings.also, fov=settings.fov, stack=seen)
    return result


def predict_stack(
    stack: FocalStack, settings: Settings, model: Predictor | None = None, progress: Progress | None = None
) -> tuple[DepthResult, FocalStack]:
    """Order, align, predict and calibrate a stack that is open.

    Args:
        stack: N planes of H x W; stays as it is.
        settings: what is asked for; `reading`, `also` and `fov` are not looked at.
        model: see `predict`.
        progress: see `predict`.

    Returns:
        The result with all that was warned of, and the stack as the model saw it, with the distances of a calibration:
        `DepthResult.save` shows its planes.

    Raises:
        ValueError: see `settle_order`, `load_model`, `align`, `Predictor.predict` and `calibrate`.
    """
    stack = settle_order(stack, settings.order)
    if model is None:
        model = _load_beside(stack, settings)
    aligned = align(stack, settings.align)
    result = model.predict(aligned, progress=progress)
    result.warnings = list(dict.fromkeys([*stack.warnings, *result.warnings]))
    if not settings.points:
        return result, aligned
    result.warnings = [text for text in result.warnings if not isinstance(text, Answerable)]
    result = calibrate(result, settings.points, settings.points_unit, settings.points_coordinate)
    return result, metric_stack(aligned, result)


def _load_beside(stack: FocalStack, settings: Settings) -> Predictor:
    """The model of the settings; planes are decoded meanwhile: importing torch takes a second, and one core."""
    decode_first(stack)
    try:
        return load_model(settings.model, device=settings.device, precision=settings.precision)
    except BaseException:
        stack.forget()
        raise


def check_settings(settings: Settings) -> None:
    """Refuse what is wrong for every stack (ValueError naming it); no file is opened."""
    check_choice(settings.align)
    check_order(settings.order)
    check_formats(settings.also, "m", None, settings.fov)  # in metres every format is possible
    settings.reading.check()


def open_stack(source: Source | Sequence[Source], settings: Settings) -> FocalStack:
    """A stack by the headers of its files, after what the settings want of it was found possible (else ValueError)."""
    stack = _open_to_calibrate(source, settings) if settings.points else settings.reading.load(source)
    unit = stack.result_unit
    if settings.points:
        check_points(settings.points, stack.size, settings.points_unit, settings.points_coordinate)
        unit = "m" if settings.points_unit == "dioptre" else settings.points_unit
    check_formats(settings.also, unit, stack.pixel_size_um, settings.fov)
    return stack


def _open_to_calibrate(source: Source | Sequence[Source], settings: Settings) -> FocalStack:
    """A stack without distances, whatever it states of them; a warning where it states some."""
    relative = replace(settings.reading, unit="index")
    try:
        stack = replace(relative, unit=None).load(source)
    except ValueError:  # what it states may be wrong, and is of no use
        return relative.load(source)
    if stack.focus_distances is not None:
        stack = relative.load(source)
        stack.warnings.append(
            "the focus distances that the photographs state are not used: the calibration points take their place"
        )
    return stack


def check_apart(sources: Sequence[Path], out: Path) -> None:
    """Never leave results where the next run takes them for planes; see `check_kept` for what a sidecar may name.

    Raises:
        ValueError: the output folder is that of the photographs.
    """
    for path in sources:
        is_folder = os.path.isdir(path)
        reads_folder = is_folder or path.name == SIDECAR
        folder = path if is_folder else path.parent
        if (reads_folder or path.name in RESULT_NAMES) and folder.resolve() == out.resolve():
            raise ValueError(f"{out} is the folder of the photographs: choose another output folder")


def check_kept(files: Sequence[Path], out: Path) -> None:
    """Even to overwrite must not replace what a stack is made of, wherever a sidecar or a link leads to.

    Args:
        files: those of the stack, see `FocalStack.files`.
        out: the output folder.

    Raises:
        ValueError: one of the files, or a link to it, would be replaced.
    """
    folder = os.path.realpath(out)
    for file in files:
        as_named = os.path.join(os.path.realpath(file.parent), file.name)  # a link that is replaced is lost, too
        for place in {as_named, os.path.realpath(file)}:
            parent, name = os.path.split(place)
            if parent == folder and name in RESULT_NAMES:
                raise ValueError(f"{out} holds {name}, of which the stack is made: choose another output folder")
