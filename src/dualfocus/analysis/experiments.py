"""The questions, as data: what is changed, in which steps, and how the picture is labelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

from dualfocus.analysis import inputs as sources
from dualfocus.analysis.blurs import gathered_blur, traced_blur
from dualfocus.analysis.inputs import Inputs, MissingError, photographs
from dualfocus.analysis.setup import Setup, hard_edged
from dualfocus.analysis.walls import bare_card, patched_wall
from dualfocus.datasets import Dataset
from dualfocus.extras import install

Level = float | str
USUAL = Setup()


@dataclass(frozen=True)
class Experiment:
    """One question, answered by changing one thing.

    Attributes:
        name: the stem of its files.
        title: what is changed, in a few words, for a list of experiments.
        question: what it answers.
        axis: what is changed, with its unit.
        levels: what it is set to, in the order shown, to the source of the stacks.
        reference: a line to compare with: its name, and the error at a level.
        error_unit: what an error of 1 is.
        per_unit: level to focus ranges in one such unit.
        steps: whether the levels are steps of one thing, which a line may join; else they are kinds.
    """

    name: str
    title: str
    question: str
    axis: str
    levels: Mapping[Level, Callable[[Inputs], Dataset]]
    reference: tuple[str, Callable[[Any], float]] | None = None
    error_unit: str = "focus ranges"
    per_unit: Callable[[Level], float] = lambda level: 1.0
    steps: bool = True


def _vary(name: str, title: str, question: str, axis: str, **change: tuple[float, ...]) -> Experiment:
    """Change one attribute of the usual setup to each of these values."""
    ((attribute, values),) = change.items()
    return Experiment(name, title, question, axis, {value: _usual(**{attribute: value}) for value in values})


def _usual(**changes: Any) -> Callable[[Inputs], Dataset]:
    return photographs(replace(USUAL, **changes))


def _patch(diameter: float = 64, contrast: float = 0.0) -> Callable[[Inputs], Dataset]:
    return _usual(place=(0, 1), subject=partial(patched_wall, diameter=diameter, contrast=contrast))


def _traced(inputs: Inputs) -> Dataset:
    if find_spec("mitsuba") is None:
        raise MissingError(f"needs mitsuba: {install('render')}")
    return _usual(subject=hard_edged, blur=traced_blur)(inputs)


_OUTSIDE = ((0, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 0.3))  # focus ranges beyond the first or the last plane

# A range around the scene that it does not tell: twice as wide, the lens the same.
_LEAKING = Setup(place=(0, 1), blur_px=10)
_FIXED = Setup(place=(0.25, 0.75), blur_px=20)
_FOCUS_RANGE_OF = {
    "each image's own range, 5 planes": _LEAKING,
    "fixed, equally dense: 9 planes": replace(_FIXED, planes=9),
    "fixed, 5 planes": _FIXED,
}


def _beyond(near: float, far: float) -> Callable[[Inputs], Dataset]:
    """A scene that reaches out of the focus range on both sides, measured between two distances to it, in ranges."""
    sides = ((-far, -near), (1 + near, 1 + far)) if near or far else ((0.0, 1.0),)
    return _usual(place=(-0.3, 1.3), counted=sides)


EXPERIMENTS = (
    _vary(
        "planes",
        "number of planes",
        "How many planes?",
        "planes N over the same focus range",
        planes=(2, 3, 4, 5, 6, 7, 8, 9, 10),
    ),
    Experiment(
        "spacing",
        "plane spacing",
        "How far apart?",
        "plane spacing: CoC between neighbouring planes, px",
        {px: _usual(blur_px=px * (USUAL.planes - 1)) for px in (0.25, 0.5, 1, 2, 3, 4, 5, 6)},
    ),
    _vary(
        "noise",
        "noise",
        "What does sensor noise cost?",
        "shot noise at white, % of white",
        noise=(0, 0.5, 1, 2, 4, 8, 16),
    ),
    Experiment(
        "jpeg",
        "JPEG",
        "What does JPEG cost?",
        "JPEG quality",
        {quality or "none": _usual(jpeg=quality) for quality in (0, 95, 90, 75, 50, 30, 10)},
    ),
    _vary(
        "drift",
        "drifting exposure",
        "What does drifting exposure cost?",
        "deviation of the planes' exposure, %",
        drift=(0, 1, 2, 5, 10, 20, 40),
    ),
    _vary(
        "motion",
        "motion",
        "What does residual misalignment cost?",
        "deviation of the planes' motion on each axis, px",
        motion_px=(0, 0.125, 0.25, 0.5, 1, 2),
    ),
    _vary(
        "distances",
        "wrong distances",
        "What do wrong focus distances cost?",
        "deviation of true from stated focus, plane spacings",
        misplaced=(0, 0.05, 0.1, 0.2, 0.3, 0.5),
    ),
    Experiment(
        "contrast",
        "texture of a wall",
        "A wall with how much texture?",
        "contrast of a patch of 64 px, % of the wall's",
        {percent: _patch(contrast=percent / 100) for percent in (100, 30, 10, 3, 1, 0)},
    ),
    Experiment(
        "patch",
        "bare patch on a wall",
        "How large a bare patch is filled?",
        "diameter of a bare patch on a textured wall, px",
        {px: _patch(diameter=px) for px in (8, 16, 32, 64, 96, 128)},
    ),
    Experiment(
        "card",
        "bare card before a wall",
        "A bare card before a wall: whose depth does it get?",
        "gap between card and wall, focus ranges",
        {gap: _usual(place=(0, 1), subject=partial(bare_card, gap=gap)) for gap in (0, 0.1, 0.2, 0.3, 0.45, 0.6)},
        reference=("the wall's depth", lambda gap: gap),
    ),
    Experiment(
        "leak",
        "leaking depth range",
        "What is the leak of the depth range worth?",
        "where the focus distances come from",
        {level: photographs(setup) for level, setup in _FOCUS_RANGE_OF.items()},
        error_unit="depth ranges of the scene",
        per_unit=lambda level: _FOCUS_RANGE_OF[str(level)].place[1] - _FOCUS_RANGE_OF[str(level)].place[0],
        steps=False,
    ),
    Experiment(
        "outside",
        "outside the focus range",
        "Outside the focus range: is the nearest plane given?",
        "distance beyond the first or last plane, focus ranges",
        {
            "inside": _beyond(0, 0),
            **{f"{near:g} to {far:g}": _beyond(near, far) for near, far in _OUTSIDE},
        },
    ),
    Experiment(
        "blur",
        "kind of blur",
        "Does the renderer of the training data stand for a real lens?",
        "blur of the same scenes",
        {
            "path-traced": _traced,
            "layered": _usual(subject=hard_edged),
            "gathered": _usual(subject=hard_edged, blur=gathered_blur),
        },
        steps=False,
    ),
    Experiment(
        "calibration",
        "kind of pictures",
        "Does the confidence hold on other kinds of pictures?",
        "domain",
        {
            "noise textures": sources.noise_textures,
            "photographs as textures": sources.photo_textures,
            "path-traced": sources.path_traced,
            "NYU Depth v2": sources.nyu,
        },
        steps=False,
    ),
)


def find_experiments(names: Sequence[str] | None) -> tuple[Experiment, ...]:
    """Experiments by name, all for None; ValueError listing the known ones for another name."""
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ValueError(f"unknown experiment {unknown[0]!r}: use one of {', '.join(known)}")
    return tuple(known[name] for name in names or known)
