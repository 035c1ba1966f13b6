"""The answers as pictures: error beside confidence for each experiment, reliability curves, and the constraints."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dualfocus.analysis.constraints import REFERENCE, Change
from dualfocus.analysis.runner import MIDDLE

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255")  # told apart by everyone
_GREY = "#777777"
_LEAST_SHARE = 0.005  # share of the pixels below which a bin of a reliability curve is of one stack or of chance
_RELIABILITY_NOTE = (
    f"All pixels of n stacks pooled; the area of a dot is their share, below {100 * _LEAST_SHARE:g} % left out."
)
_STYLE: Any = {
    "font.size": 9,
    "font.sans-serif": ["DejaVu Sans", "Arial"],
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "dualfocus",  # the same bytes again
}

Answer = Mapping[str, Any]


def draw(answer: Answer, note: str, path: Path) -> None:
    """Write the figure of one experiment (SVG or whatever the suffix says).

    Args:
        answer: one of those of `runner.measure`, with at least one row.
        note: on the stacks, below the figure.
        path: the picture to write.
    """
    if answer["name"] == "calibration":
        _write(_reliability, answer, _RELIABILITY_NOTE, path)
    else:
        counts = [row["n"] for row in answer["rows"]]
        n = f"{counts[0]}" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
        _write(_error_and_confidence, answer, f"Mean and standard error over n = {n} stacks a level. {note}", path)


def draw_constraints(changes: Sequence[Change], path: Path) -> None:
    """Write the figure of what the constraints change."""
    _write(_constraints, changes, "Mean over the levels of each experiment; bars: from the least to the most.", path)


def _write(paint: Any, content: Any, note: str, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(_STYLE):
        figure = pyplot.figure(figsize=(9, 4), layout="constrained")
        paint(figure, content)
        figure.supxlabel(note, fontsize=7.5, color=_GREY)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
        pyplot.close(figure)


def _error_and_confidence(figure: Any, answer: Answer) -> None:
    error, right = figure.subplots(1, 2)
    levels = list(dict.fromkeys(row["level"] for row in answer["rows"]))
    is_named = any(isinstance(level, str) and " " in level for level in levels)
    solid, dashed, dotted = ("-", "--", ":") if answer["steps"] else ("none",) * 3  # kinds have nothing between them
    place = {level: k for k, level in enumerate(levels)}
    models = _models(answer)
    for k, (model, colour) in enumerate(models.items()):
        rows = [row for row in answer["rows"] if row["model"] == model]
        at = [place[row["level"]] + 0.06 * (k - (len(models) - 1) / 2) for row in rows]
        _line(error, at, rows, "rmse", _label(model), color=colour, ls=dashed if model == MIDDLE else solid)
        if model != MIDDLE:
            _line(right, at, rows, "within", f"{model}: error < ½ plane spacing", color=colour, ls=solid)
            hollow = {"marker": "s", "mfc": "white"}
            _line(right, at, rows, "confidence", f"{model}: confidence", color=colour, ls=dotted, **hollow)
    if answer["reference"] is not None:
        known = [row["reference"] for row in answer["rows"] if row["model"] == MIDDLE]
        error.plot(range(len(levels)), known, color="black", lw=1, ls="-.", label=answer["reference"])
    error.set(title=answer["question"], ylabel=f"RMSE, {answer['error_unit']}", ylim=(0, None))
    right.set(title="How often is it right, and does the confidence know?", ylabel="share of pixels, confidence")
    right.set_ylim(0, 1.02)
    for axes in (error, right):
        axes.set_xticks(range(len(levels)), [_tick(level) for level in levels], fontsize=7.5 if is_named else 9)
        axes.set_xlim(-0.4, len(levels) - 0.6)
        axes.set_xlabel(answer["axis"])
        axes.legend(fontsize=7.5)


def _line(axes: Any, at: Any, rows: Any, column: str, label: str, **look: Any) -> None:
    """A column of the rows with its standard errors; `look` is matplotlib's, over dots of one size."""
    values, spread = ([row[k] for row in rows] for k in (column, f"{column}_error"))
    axes.errorbar(at, values, yerr=spread, label=label, **{"marker": "o", "ms": 4, "lw": 1.3, **look})


def _tick(level: float | str) -> str:
    return textwrap.fill(level, 18) if isinstance(level, str) else f"{level:g}"


def _label(model: str) -> str:
    return "always the middle of the range" if model == MIDDLE else model


def _models(answer: Answer) -> dict[str, str]:
    """Model to colour, the middle last and grey."""
    names = list(dict.fromkeys(row["model"] for row in answer["rows"] if row["model"] != MIDDLE))
    return {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(names)} | {MIDDLE: _GREY}


def _reliability(figure: Any, answer: Answer) -> None:
    names = [name for name in _models(answer) if name != MIDDLE]
    for axes, model in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names, strict=True):
        axes.plot((0, 1), (0, 1), color=_GREY, lw=1, ls="--", label="as right as said")
        for k, row in enumerate(r for r in answer["rows"] if r["model"] == model and r["reliability"]):
            bins = [part for part in row["reliability"] if part[2] >= _LEAST_SHARE]
            said, right, share = zip(*bins, strict=True)
            label = f"{row['level']}: ECE {row['calibration_error']:.3f}, n = {row['n']}"
            axes.plot(said, right, color=_COLOURS[k], lw=1.3, label=label)
            axes.scatter(said, right, s=[150 * part for part in share], color=_COLOURS[k], clip_on=False)
        axes.set(title=f"{model}: {answer['question'].lower()}", xlim=(0, 1), ylim=(0, 1))
        axes.set(xlabel="confidence said", ylabel="share with an error below half a plane spacing")
        axes.legend(fontsize=7.5, loc="upper left")


def _constraints(figure: Any, changes: Sequence[Change]) -> None:
    axes = figure.subplots()
    names = list(dict.fromkeys(change.experiment for change in changes))
    models = list(dict.fromkeys(change.model for change in changes))
    for k, model in enumerate(models):
        mine = [change for change in changes if change.model == model]
        at = [names.index(change.experiment) + 0.12 * (k - (len(models) - 1) / 2) for change in mine]
        ratio = [change.ratio for change in mine]
        spread = [[c.ratio - c.least for c in mine], [c.most - c.ratio for c in mine]]
        axes.errorbar(at, ratio, yerr=spread, fmt="o", ms=4, color=_COLOURS[k % len(_COLOURS)], label=model)
    axes.axhline(1, color=_GREY, ls="--", lw=1, label=REFERENCE)
    axes.set(title="What do the two constraints change?", ylabel="RMSE / RMSE without both constraints")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.legend(fontsize=7.5)
