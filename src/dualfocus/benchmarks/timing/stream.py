"""What streaming saves: a plane pushed into a window, against predicting that window at once, interleaved."""

from __future__ import annotations

import statistics
import time
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
    push, predict, flops = [], [], {"push_gflop": 0.0, "predict_gflop": 0.0}
    for turn in range(repeats + 1):
        part = slice(turn, turn + window)
        batch = FocalStack(images[part], distances[part], "m")
        if turn == 0:  # warms up, and counts
            with FlopCounterMode(display=False) as counter:
                stream.push(images[window - 1], distances[window - 1])
            flops["push_gflop"] = counter.get_total_flops() / 1e9
            with FlopCounterMode(display=False) as counter:
                model.predict(batch)
            flops["predict_gflop"] = counter.get_total_flops() / 1e9
            continue
        start = time.perf_counter()
        stream.push(images[part.stop - 1], distances[part.stop - 1])
        middle = time.perf_counter()
        model.predict(batch)
        push.append(middle - start)
        predict.append(time.perf_counter() - middle)
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
        **flops,
    }


def to_text(found: dict[str, Any]) -> str:
    """The figures in words."""
    return (
        f"window of {found['window']} planes of {found['height']} x {found['width']} on {found['device']}"
        f" ({found['processor']}, {found['threads']} threads): {found['push_s']:.3f} s and"
        f" {found['push_gflop']:.1f} GFLOP for each new plane, {found['predict_s']:.3f} s and"
        f" {found['predict_gflop']:.1f} GFLOP for the window at once: {found['ratio']:.2f} times cheaper"
        f" (median of {found['repeats']} ratios)"
    )
