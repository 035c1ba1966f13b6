"""What streaming saves: a plane pushed into a window, against predicting that window at once, interleaved."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from dualfocus.benchmarks.timing.machine import describe_machine
from dualfocus.benchmarks.timing.speed import make_stack
from dualfocus.inference.torch_model import load_torch_model
from dualfocus.stack import FocalStack


def measure(
    window: int = 5, height: int = 480, width: int = 640, repeats: int = 7, device: str = "auto"
) -> dict[str, Any]:
    """Push a sweep from near to far and predict every full window beside it.

    Args:
        window: planes.
        height: rows.
        width: columns.
        repeats: windows that are timed, after one that is not.
        device: auto, cpu, cuda or mps.

    Returns:
        the setting and the machine; `push_s` and `predict_s`, medians; `ratio`, median of predict over push in the same
        window; `push_gflop` and `predict_gflop` (2 per multiply-add).

    Raises:
        ValueError: fewer than one repeat, or another window than a stream takes.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, not {repeats}")
    model = load_torch_model("dualfocus-s", device=device)
    stream = model.stream(window=window, unit="m")
    sweep = make_stack(window + repeats, height, width)
    assert sweep.focus_distances is not None
    images, distances = list(sweep), sweep.focus_distances.tolist()
    for image, distance in zip(images[: window - 1], distances, strict=False):
        stream.push(image, distance)

    def both(turn: int, measured: Callable[[Callable[[], object]], float]) -> tuple[float, float]:
        """What the last plane of a window takes, pushed, and what the whole window takes at once."""
        part = slice(turn, turn + window)
        batch = FocalStack(images[part], distances[part], "m")
        pushed = measured(lambda: stream.push(images[part.stop - 1], distances[part.stop - 1]))
        return pushed, measured(lambda: model.predict(batch))

    push_gflop, predict_gflop = both(0, _gflop)  # warms up, too
    push, predict = zip(*(both(turn, _seconds) for turn in range(1, repeats + 1)), strict=True)
    ratios = [whole / one for whole, one in zip(predict, push, strict=True)]
    return {
        "window": window,
        "height": height,
        "width": width,
        "repeats": repeats,
        **describe_machine(device),
        "push_s": statistics.median(push),
        "predict_s": statistics.median(predict),
        "ratio": statistics.median(ratios),
        "push_gflop": push_gflop,
        "predict_gflop": predict_gflop,
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _gflop(work: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


def to_text(found: dict[str, Any]) -> str:
    """The figures in words."""
    return (
        f"window of {found['window']} planes of {found['height']} x {found['width']} on {found['device']}"
        f" ({found['processor']}, {found['threads']} threads): {found['push_s']:.3f} s and"
        f" {found['push_gflop']:.1f} GFLOP for each new plane, {found['predict_s']:.3f} s and"
        f" {found['predict_gflop']:.1f} GFLOP for the window at once: {found['ratio']:.2f} times cheaper"
        f" (median of {found['repeats']} ratios)"
    )
