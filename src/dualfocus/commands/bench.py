"""What `dualfocus bench` times: models, a training, the projection, or streaming."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def speed(
    models: Sequence[str],
    planes: str,
    size: str,
    backend: str,
    precision: str,
    repeats: int,
    device: str,
    out: Path | None,
    stages: bool,
) -> str:
    """Time and memory of models, as a table; lists are separated by commas."""
    from dualfocus.benchmarks import speed as benchmark

    report = benchmark.bench(
        models, _numbers(planes), _sizes(size), _words(backend), _words(precision), repeats, device, out, stages
    )
    return benchmark.to_markdown(report)


def training_pace(config: Path) -> str:
    """Stacks a second of a training configuration."""
    from dualfocus.benchmarks import throughput

    return throughput.to_text(throughput.measure(config))


def projection_cost(out: Path | None) -> str:
    """Four ways to solve the integrable projection, as a table."""
    from dualfocus.benchmarks import projection

    return projection.to_markdown(projection.measure(out=out))


def streaming_gain(window: str, size: str, repeats: int, device: str) -> str:
    """A plane of a stream against its window at once; one window and one size."""
    from dualfocus.benchmarks import stream

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
