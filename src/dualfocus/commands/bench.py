"""`dualfocus bench`: time and memory of models, a training, the projection, or streaming."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualfocus.commands.console import status
from dualfocus.commands.kinds import refuse_unused
from dualfocus.commands.options import DEFAULT_MODEL, DeviceOption, output_option, path_option

if TYPE_CHECKING:
    from dualfocus.benchmarks.timing.speed import SpeedOptions

# The parameters that each kind of timing reads: of models without one of the options that name another.
_KINDS = {
    "bench": ("models", "planes", "size", "backend", "precision", "repeats", "device", "out", "stages"),
    "bench --training": ("training",),
    "bench --projection": ("projection", "out"),
    "bench --stream": ("stream", "planes", "size", "repeats", "device"),
}


def bench(
    context: typer.Context,
    models: Annotated[list[str] | None, typer.Argument(help="Models (dualfocus-s and dfv when none is named).")] = None,
    planes: Annotated[str, typer.Option(help="Numbers of planes.", metavar="5,10,...")] = "5",
    size: Annotated[str, typer.Option(help="Heights and widths.", metavar="480x640,...")] = "480x640",
    backend: Annotated[str, typer.Option(help="Of eager, compile and onnx.", metavar="eager,...")] = "eager",
    precision: Annotated[str, typer.Option(help="Of fp32, bf16, fp16 and int8.", metavar="fp32,...")] = "fp32",
    repeats: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 7,
    device: DeviceOption = "auto",
    out: Annotated[Path | None, output_option(help="Folder for the figures, JSON and Markdown.")] = None,
    stages: Annotated[bool, typer.Option("--stages", help="Also how the time divides, from files to files.")] = False,
    training: Annotated[Path | None, path_option(help="Time this training configuration instead.")] = None,
    projection: Annotated[bool, typer.Option("--projection", help="Time solvers of the projection instead.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Time streaming instead.")] = False,
) -> None:
    """Time and peak memory of models, interleaved (needs no weights), or the pace of a training."""
    chosen = [name for name, given in (("training", training), ("projection", projection), ("stream", stream)) if given]
    kind = f"bench --{chosen[0]}" if chosen else "bench"
    refuse_unused(context, kind, _KINDS[kind])
    with status("timing"):
        if training is not None:
            text = training_pace(training)
        elif projection:
            text = projection_cost(out)
        elif stream:
            text = streaming_gain(planes, size, repeats, device)
        else:
            from dualfocus.benchmarks.timing.speed import SpeedOptions

            named = models or [DEFAULT_MODEL, "dfv"]
            lists = _numbers(planes), _sizes(size), _words(backend), _words(precision)
            text = model_speed(SpeedOptions(named, *lists, repeats, device, stages), out)
    typer.echo(text)


def model_speed(options: SpeedOptions, out: Path | None) -> str:
    """Time and memory of models, as a table."""
    from dualfocus.benchmarks.timing import speed, speed_report

    return speed_report.to_markdown(speed.bench(options, out))


def training_pace(config: Path) -> str:
    """Stacks a second of a training configuration."""
    from dualfocus.benchmarks.timing import throughput

    return throughput.to_text(throughput.measure(config))


def projection_cost(out: Path | None) -> str:
    """Four ways to solve the integrable projection, as a table."""
    from dualfocus.benchmarks.timing import projection

    return projection.to_markdown(projection.measure(out=out))


def streaming_gain(window: str, size: str, repeats: int, device: str) -> str:
    """A plane of a stream against its window at once; one window and one size."""
    from dualfocus.benchmarks.timing import stream

    counts, sizes = _numbers(window), _sizes(size)
    if len(counts) != 1 or len(sizes) != 1:
        raise ValueError("--stream takes one number of planes and one size")
    return stream.to_text(stream.measure(counts[0], *sizes[0], repeats, device))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    words = _words(text)
    if not words or not all(word.isdecimal() and int(word) >= 2 for word in words):
        raise ValueError(f"--planes {text}: give whole numbers of at least 2, separated by commas")
    return [int(word) for word in words]


def _sizes(text: str) -> list[tuple[int, int]]:
    pairs = [word.lower().split("x") for word in _words(text)]
    if not pairs or not all(len(pair) == 2 and all(p.isdecimal() and int(p) >= 16 for p in pair) for pair in pairs):
        raise ValueError(f"--size {text}: give height x width of at least 16, such as 480x640, separated by commas")
    return [(int(height), int(width)) for height, width in pairs]
