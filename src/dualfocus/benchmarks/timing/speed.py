"""Time and memory of `predict`: models, backends and precisions interleaved, so that a busy moment hits all alike."""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualfocus.benchmarks.timing.machine import describe_machine, device_peak_mib, peak_memory_mib
from dualfocus.benchmarks.timing.speed_report import published_to_markdown, to_markdown
from dualfocus.benchmarks.timing.stages import stage_seconds
from dualfocus.benchmarks.timing.variants import Timed, Variant, variants
from dualfocus.benchmarks.writing import write_json, write_text
from dualfocus.child_process import run_python, why_it_failed
from dualfocus.outputs import check_output
from dualfocus.stack import FocalStack

Size = tuple[int, int]


@dataclass(frozen=True)
class SpeedOptions:
    """What is timed: every model on every backend in every precision, at every number of planes and size.

    Attributes:
        models: names that `load_model` knows; ratios are to the first variant.
        planes: numbers of planes.
        sizes: heights and widths.
        backends: some of `variants.BACKENDS`.
        precisions: some of `variants.PRECISIONS`.
        repeats: timed rounds; in each every variant runs once, after one untimed round.
        device: auto, cpu, cuda or mps.
        stages: also measure how the time of each variant divides, from files to files.

    Raises:
        ValueError: no number of planes, no size, or fewer than one repeat.
    """

    models: Sequence[str]
    planes: Sequence[int] = (5,)
    sizes: Sequence[Size] = ((480, 640),)
    backends: Sequence[str] = ("eager",)
    precisions: Sequence[str] = ("fp32",)
    repeats: int = 7
    device: str = "auto"
    stages: bool = False

    def __post_init__(self) -> None:
        """Check that there is something to time."""
        if not self.planes or not self.sizes or self.repeats < 1:
            raise ValueError("bench needs at least one number of planes, one size and one repeat")


def bench(options: SpeedOptions, out: str | Path | None = None) -> dict[str, Any]:
    """Time `predict` of each variant at each number of planes and size, and its peak memory in a process of its own.

    Models without weights are built untrained: their speed is the same.

    Args:
        options: what is timed.
        out: folder for `speed.json` and `speed.md`; None writes nothing.

    Returns:
        What `speed.json` holds: the machine, with the `device` that was used and the name of the `gpu` (CUDA, else
        None); and in `settings`, for each number of planes and size, the `variants` by label: `median_s`, `min_s`,
        `max_s`, `times_s`, `ratio` (median of the ratios within a round), `peak_mib` (resident), `loaded_mib` (resident
        before predicting), `device_peak_mib` (CUDA, else None), `parameters`, `gflop` and `stages` (seconds, or None).

    Raises:
        ValueError: no model, something unknown, or a folder that cannot be written.
    """
    chosen = variants(options.models, options.backends, options.precisions)
    if out is not None:
        check_output(out, overwrite=True)
    with tempfile.TemporaryDirectory() as name:
        loaded = {variant: Timed(variant, options.device, Path(name)) for variant in chosen}
        settings = [
            {
                "planes": count,
                "height": size[0],
                "width": size[1],
                "variants": _measure(loaded, count, size, options, Path(name)),
            }
            for count, size in itertools.product(options.planes, options.sizes)
        ]
    report: dict[str, Any] = {"repeats": options.repeats, **describe_machine(options.device), "settings": settings}
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "speed.json", report)
        write_text(folder / "speed.md", to_markdown(report) + "\n" + published_to_markdown())
    return report


def make_stack(planes: int, height: int, width: int) -> FocalStack:
    """A textured slanted surface in front of a lens, blurred by a box that grows with defocus; always the same.

    Networks take equally long on any picture; this one keeps a classical method from a trivial one.
    """
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.float32)
    coordinate = np.linspace(2.0, 0.5, planes)  # dioptres, near to far
    surface = np.linspace(2.0, 0.5, width)
    sums = np.pad(image.cumsum(axis=1), ((0, 0), (1, 0), (0, 0)))
    columns = np.arange(width)
    frames = []
    for u in coordinate:
        radius = np.rint(4 * np.abs(surface - u)).astype(int)
        low, high = np.maximum(columns - radius, 0), np.minimum(columns + radius + 1, width)
        frame = (sums[:, high] - sums[:, low]) / (high - low)[None, :, None]
        frames.append(np.clip(frame, 0, 255).astype(np.uint8, order="C"))  # in memory as decoders give a photograph
    return FocalStack(frames, 1 / coordinate, "m")


def _measure(
    loaded: dict[Variant, Timed], planes: int, size: Size, options: SpeedOptions, folder: Path
) -> dict[str, dict[str, Any]]:
    """Every figure of every variant in one setting."""
    stack = make_stack(planes, *size)
    times = _interleaved_times(loaded, stack, options.repeats)
    first = times[next(iter(loaded))]
    return {
        variant.label: {
            "median_s": statistics.median(seconds),
            "min_s": min(seconds),
            "max_s": max(seconds),
            "ratio": statistics.median(own / other for own, other in zip(seconds, first, strict=True)),
            "times_s": seconds,
            **_memory_of(variant, planes, size, options.device, folder),
            **_cost(variant.model, planes, size),
            "stages": stage_seconds(loaded[variant], stack) if options.stages else None,
        }
        for variant, seconds in times.items()
    }


def _interleaved_times(loaded: dict[Variant, Timed], stack: FocalStack, repeats: int) -> dict[Variant, list[float]]:
    """Seconds of each timed run; the variant that begins a round changes from round to round."""
    order = list(loaded)
    times: dict[Variant, list[float]] = {variant: [] for variant in order}
    for turn in range(-1, repeats):
        shift = turn % len(order)
        for variant in [*order[shift:], *order[:shift]]:
            start = time.perf_counter()
            loaded[variant].run(stack)
            if turn >= 0:
                times[variant].append(time.perf_counter() - start)
    return times


def _cost(model: str, planes: int, size: Size) -> dict[str, float | None]:
    """Parameters and GFLOP (2 per multiply-add) of a network of this package."""
    from dualfocus.inference.torch_model import describe_model
    from dualfocus.models import NETWORKS

    return describe_model(model, planes, size) if model in NETWORKS else {"parameters": None, "gflop": None}


def _memory_of(variant: Variant, planes: int, size: Size, device: str, folder: Path) -> dict[str, float | None]:
    """Peak memory of one predict, measured in a new process."""
    what = [variant.model, variant.backend, variant.precision, str(planes), *map(str, size), device, str(folder)]
    done = run_python(["-m", "dualfocus.benchmarks.timing.speed", *what])
    if done.returncode:
        raise ValueError(f"{variant.label}: its memory could not be measured: {why_it_failed(done)}")
    return json.loads(done.stdout.splitlines()[-1])


def _report_memory(variant: Variant, planes: int, size: Size, device: str, folder: Path) -> dict[str, float | None]:
    """What the child process measures: once loaded, and at the peak of one predict."""
    stack = make_stack(planes, *size)
    timed = Timed(variant, device, folder)
    loaded = peak_memory_mib()
    timed.run(stack)
    return {"peak_mib": peak_memory_mib(), "loaded_mib": loaded, "device_peak_mib": device_peak_mib()}


if __name__ == "__main__":
    _model, _backend, _precision, _planes, _height, _width, _device, _folder = sys.argv[1:]
    _size = (int(_height), int(_width))
    _found = _report_memory(Variant(_model, _backend, _precision), int(_planes), _size, _device, Path(_folder))
    print(json.dumps(_found))
