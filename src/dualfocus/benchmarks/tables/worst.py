"""Pictures of the worst answers: what went in, what is true, what was predicted, and how sure the model was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dualfocus.atomic import replacing
from dualfocus.benchmarks.evaluation.measure import Yardstick, fill
from dualfocus.benchmarks.evaluation.names import own_name
from dualfocus.benchmarks.evaluation.systems import System, answer
from dualfocus.benchmarks.protocols import BenchmarkProtocol
from dualfocus.benchmarks.tables.error_table import HIGHER_IS_BETTER, number
from dualfocus.datasets import Dataset
from dualfocus.outputs import DepthResult
from dualfocus.outputs.colour import colour_map, paint
from dualfocus.pixels import to_uint8
from dualfocus.stack import FocalStack

PANEL_WIDTH = 320
_FONT, _MARGIN = 12, 6
_HEAT_AT = (0.0, 0.35, 0.65, 0.9, 1.0)
_HEAT = np.array([(0, 0, 0), (110, 20, 110), (230, 80, 50), (255, 200, 60), (255, 255, 255)])


def worst_images(rows: Mapping[str, Mapping[str, float]], names: Sequence[str], column: str, count: int) -> list[str]:
    """Names of the images with the worst figures in a column, worst first; those without one are left out."""
    known = [name for name in names if np.isfinite(rows[name][column])]
    return sorted(known, key=lambda name: rows[name][column], reverse=column not in HIGHER_IS_BETTER)[:count]


def draw_worst(
    label: str,
    system: System,
    dataset: Dataset,
    protocol: BenchmarkProtocol,
    folder: Path,
    worst: Mapping[str, float],
    column: str,
) -> list[dict[str, Any]]:
    """Predict the worst images again and draw them, unless their pictures are there.

    Args:
        label: name of the system.
        system: what is measured.
        dataset: where the images come from.
        protocol: the rules by which the figures were measured.
        folder: the system's folder; pictures go to `worst/` in it, which is made to hold these alone.
        worst: image to its figure, worst first.
        column: what the figure is.

    Returns:
        `name`, `value` and `file`, relative to the folder, of each.
    """
    pictures = folder / "worst"
    found = []
    for place, (name, value) in enumerate(worst.items(), start=1):
        caption = f"{label}, {name}: {column} {number(value)}"
        file = f"{place}_{column}_{number(value)}_{own_name(name)}.png"
        if not (pictures / file).exists():
            sample = dataset[dataset.names.index(name)]
            picture = draw(Yardstick(sample, protocol), answer(system, sample, protocol), caption)
            with replacing(pictures / file) as temporary:
                picture.save(temporary, "PNG")
        found.append({"name": name, "value": value, "file": f"worst/{file}"})
    for path in pictures.glob("*.png"):
        if f"worst/{path.name}" not in {row["file"] for row in found}:
            path.unlink()
    return found


def draw(yardstick: Yardstick, result: DepthResult, caption: str) -> Image.Image:
    """One prediction as five panels with legends: input plane, truth, prediction, error, confidence.

    Truth and prediction share their colours, even in inverse depth for a camera. The error is in mean plane spacings of
    the focus coordinate, white from one spacing on.
    """
    sample, stack = yardstick.sample, yardstick.sample.stack
    rows, columns = stack.size
    inside, depth = yardstick.inside, np.asarray(result.depth, np.float64)[:rows, :columns]
    shown, _ = fill(stack, depth)
    nearness = [-stack.normalised_coordinate(values) for values in (sample.truth, shown)]
    low, high = _limits(nearness[0][sample.mask])
    truth, prediction = ((values - low) / (high - low) for values in nearness)
    depths = [stack.depth_from_coordinate(_coordinate(stack, -place)) for place in (high, low)]
    ends = [_with_unit(float(d), stack.result_unit) for d in depths]
    error = yardstick.coordinate_error(depth) * (len(stack) - 1)
    confidence = np.asarray(result.confidence, np.float64)[:rows, :columns]
    plane = _sharpest_plane(yardstick)
    panels = [
        _panel(to_uint8(stack[plane]), f"input, plane {plane + 1} of {len(stack)}"),
        _panel(paint(truth, sample.mask, colour_map()), "truth", colour_map()[::-1], ends),
        _panel(paint(prediction, np.isfinite(depth), colour_map()), "prediction", colour_map()[::-1], ends),
        _panel(paint(error, inside, _heat()), "error in plane spacings", _heat(), ["0", "1 and more"]),
        _panel(paint(confidence, np.isfinite(confidence), _grey()), "confidence", _grey(), ["0", "1"]),
    ]
    return _sheet(panels, caption)


def _with_unit(depth: float, unit: str) -> str:
    return f"plane {depth:.3g}" if unit == "index" else f"{depth:.3g} {unit}"


def _coordinate(stack: FocalStack, place: float) -> float:
    """The focus coordinate at a normalised place, the inverse of `FocalStack.normalised_coordinate`."""
    planes = stack.coordinates[stack.near_to_far]
    return float(planes[0] + place * (planes[-1] - planes[0]))


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (-1.0, 0.0)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _sharpest_plane(yardstick: Yardstick) -> int:
    """The plane nearest to the median of the truth."""
    stack = yardstick.sample.stack
    planes = stack.normalised_coordinate(stack.depth_from_coordinate(stack.coordinates))
    truth = yardstick.true_coordinate[yardstick.sample.mask]
    return int(np.argmin(np.abs(planes - (np.median(truth) if truth.size else 0))))


def _heat() -> NDArray[np.uint8]:
    """(256, 3) from black over violet and orange to white."""
    position = np.linspace(0, 1, 256)
    return np.stack([np.interp(position, _HEAT_AT, channel) for channel in _HEAT.T], axis=1).astype(np.uint8)


def _grey() -> NDArray[np.uint8]:
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def _panel(
    picture: NDArray[np.uint8], title: str, colours: NDArray[np.uint8] | None = None, ends: Sequence[str] = ()
) -> Image.Image:
    """A picture with its title above, and its colours with what their ends mean below."""
    height = max(1, round(PANEL_WIDTH * picture.shape[0] / picture.shape[1]))
    line = _FONT + _MARGIN
    canvas = Image.new("RGB", (PANEL_WIDTH, height + 2 * line + _MARGIN), "white")
    canvas.paste(Image.fromarray(picture).resize((PANEL_WIDTH, height)), (0, line))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=_FONT)
    pen.text((0, 2), title, fill="black", font=font)
    if colours is not None:
        below = height + line + _MARGIN
        widths = [round(font.getlength(end)) + _MARGIN for end in ends]
        bar = PANEL_WIDTH - sum(widths)
        strip = np.broadcast_to(colours[np.linspace(0, 255, bar).astype(int)][None], (_FONT, bar, 3))
        canvas.paste(Image.fromarray(np.ascontiguousarray(strip)), (widths[0], below))
        pen.text((0, below - 2), ends[0], fill="black", font=font)
        pen.text((widths[0] + bar + _MARGIN, below - 2), ends[1], fill="black", font=font)
    return canvas


def _sheet(panels: Sequence[Image.Image], caption: str) -> Image.Image:
    top = _FONT + 2 * _MARGIN
    width = sum(panel.width + _MARGIN for panel in panels) + _MARGIN
    sheet = Image.new("RGB", (width, top + panels[0].height + _MARGIN), "white")
    ImageDraw.Draw(sheet).text((_MARGIN, _MARGIN), caption, fill="black", font=ImageFont.load_default(size=_FONT))
    for place, panel in enumerate(panels):
        sheet.paste(panel, (_MARGIN + place * (PANEL_WIDTH + _MARGIN), top))
    return sheet
