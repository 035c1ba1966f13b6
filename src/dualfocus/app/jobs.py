"""From uploaded files to a page that shows the result and a ZIP of it; knows nothing of gradio."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from dualfocus.app.words import in_fields, on_page
from dualfocus.messages import of_the_system
from dualfocus.outputs.projection import check_projection
from dualfocus.outputs.summary import summary
from dualfocus.pipeline import Settings, predict_stack
from dualfocus.readers.files import VIDEO_SUFFIXES
from dualfocus.remedies import phrased

if TYPE_CHECKING:
    from dualfocus.inference.plane_reader import Progress
    from dualfocus.inference.predictor import Predictor
    from dualfocus.stack import FocalStack

KEPT_SECONDS = 3600  # how long a ZIP can be downloaded
_MOST_PIXELS = 60_000_000  # pixels of a plane
_DOWNLOADS = "downloads"
_STACK = "stack"  # where several files are side by side


@dataclass(frozen=True)
class Limits:
    """What is taken from one visitor.

    Attributes:
        files: most files, and planes, of a stack.
        megabytes: most of one file.
    """

    files: int = 100
    megabytes: int = 200


@dataclass(frozen=True)
class Answer:
    """What is shown.

    Attributes:
        page: the report, as HTML.
        archive: a ZIP of all files of the result.
        summary: one line.
        warnings: sentences.
    """

    page: str
    archive: Path
    summary: str
    warnings: list[str]


def answer(
    files: Sequence[Path],
    settings: Settings,
    model: Predictor,
    workplace: Path,
    limits: Limits,
    progress: Progress | None = None,
) -> Answer:
    """Predict a stack from files of any folders.

    Args:
        files: photographs, with a `stack.json` if there is one; or one ZIP, video or multi-page TIFF.
        settings: what was chosen for the prediction; the outputs are chosen here.
        model: the one of the settings.
        workplace: folder for what is kept for a while; everything older is removed.
        limits: more is refused.
        progress: see `Predictor.predict`.

    Raises:
        ValueError: one sentence that says what is wrong.
    """
    remove_old(workplace)
    with tempfile.TemporaryDirectory(dir=workplace) as folder:
        folders = [Path(folder) / _STACK, *(file.parent for file in files)]
        reword = partial(on_page, folders=folders, workplace=workplace)
        try:
            with phrased(in_fields):
                stack = _load(_gather(files, Path(folder) / _STACK, limits), settings, limits)
                result, seen = predict_stack(stack, settings, model, progress)
            result.warnings = [reword(text) for text in result.warnings]  # as they are written, too
            out = Path(folder) / "result"
            result.save(out, also=_formats(result.unit, result.pixel_size_um), stack=seen)
            page = (out / "report.html").read_text(encoding="utf-8")
            return Answer(page, _pack(out, workplace), summary(result), result.warnings)
        except ValueError as error:
            raise ValueError(reword(str(error))) from error
        except OSError as error:
            raise ValueError(reword(of_the_system(error))) from error


def _load(source: Path, settings: Settings, limits: Limits) -> FocalStack:
    stack = settings.reading.load(source)
    if len(stack) > limits.files:  # planes of a ZIP or a z-stack
        raise ValueError(f"{len(stack)} planes are too many for this page: give at most {limits.files}")
    if stack.size[0] * stack.size[1] > _MOST_PIXELS:
        raise ValueError(
            f"planes of {stack.size[1]} x {stack.size[0]} pixels are too large for this page: "
            "make them smaller, or use `dualfocus predict`"
        )
    return stack


def remove_old(workplace: Path) -> None:
    """Remove the ZIPs that were made long ago."""
    for folder in (workplace / _DOWNLOADS).glob("*"):
        if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _gather(files: Sequence[Path], folder: Path, limits: Limits) -> Path:
    """One file as it is; several side by side in a folder, under their names."""
    if len(files) > limits.files:
        raise ValueError(f"{len(files)} files are too many for this page: give at most {limits.files}")
    if not files:
        raise ValueError("no photographs yet: drop at least two, each focused at another distance")
    for file in files:
        if len(files) > 1 and file.suffix.lower() in (*VIDEO_SUFFIXES, ".zip"):
            raise ValueError(f"{file.name}: a video or a ZIP is a stack of its own; give it alone")
        if file.suffix.lower() == ".json":
            _check_sidecar(file)
    if len(files) == 1:
        return files[0]
    folder.mkdir()
    for file in files:
        place = folder / file.name
        if place.exists():
            raise ValueError(f"two files are called {file.name}: give every photograph a name of its own")
        shutil.copyfile(file, place)
    return folder


def _check_sidecar(file: Path) -> None:
    """A visitor's sidecar must not reach for other files of this machine."""
    try:
        data = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return  # what is wrong with it is said when it is loaded
    named = data if isinstance(data, dict) else {}
    images = named.get("images")
    for name in [named.get("ground_truth"), *(images if isinstance(images, list) else [])]:
        if isinstance(name, str) and name != PureWindowsPath(name).name:  # which knows both kinds of slashes
            raise ValueError(f"{file.name} names {name}: it may only name files beside it")


def _formats(unit: str, pixel_size_um: float | None) -> tuple[str, ...]:
    """The report and everything else that is possible without asking more."""
    try:
        check_projection(unit, pixel_size_um)
    except ValueError:
        return ("html", "tiff")
    return ("html", "tiff", "ply", "glb")


def _pack(out: Path, workplace: Path) -> Path:
    (workplace / _DOWNLOADS).mkdir(exist_ok=True)
    archive = Path(tempfile.mkdtemp(dir=workplace / _DOWNLOADS)) / "dualfocus.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(out.iterdir()):
            file.write(path, path.name)
    return archive
