"""Time and memory of `predict`, models interleaved so that a busy moment of the machine hits all of them alike."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dualfocus.benchmarks.records import write_json, write_text
from dualfocus.outputs import check_output
from dualfocus.stack import FocalStack

_MIB = 2**20


def bench(
    models: Sequence[str],
    planes: int = 5,
    height: int = 480,
    width: int = 640,
    repeats: int = 7,
    device: str = "auto",
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Time `predict` of each model on one stack, and its peak memory in a process of its own.

    Models without weights are built untrained: their speed is the same.

    Args:
        models: names that `load_model` knows; ratios are to the first.
        planes: number of planes.
        height: rows.
        width: columns.
        repeats: timed rounds; in each every model runs once, after one untimed round.
        device: auto, cpu, cuda or mps.
        out: folder for `speed.json` and `speed.md`; None writes nothing.

    Returns:
        What `speed.json` holds: the setting; the machine, with the `device` that was used and the name of the `gpu`
        (CUDA, else None); and for each model `median_s`, `min_s`, `max_s`, `times_s`, `ratio`, `peak_mib` (resident),
        `loaded_mib` (resident before predicting) and `device_peak_mib` (CUDA, else None).

    Raises:
        ValueError: an unknown model, or no model, fewer than one repeat, or a folder that cannot be written.
    """
    if not models or repeats < 1:
        raise ValueError("bench needs at least one model and one repeat")
    if len(set(models)) != len(models):
        raise ValueError(f"a model is named twice: {', '.join(models)}")
    if out is not None:
        check_output(out, overwrite=True)
    times = _interleaved_times(models, make_stack(planes, height, width), repeats, device)
    memory = {name: _measure_memory(name, planes, height, width, device) for name in models}
    first = statistics.median(times[models[0]])
    report: dict[str, Any] = {
        "planes": planes,
        "height": height,
        "width": width,
        "repeats": repeats,
        **_machine(device),
        "models": {
            name: {
                "median_s": statistics.median(seconds),
                "min_s": min(seconds),
                "max_s": max(seconds),
                "ratio": statistics.median(seconds) / first,
                "times_s": seconds,
                **memory[name],
            }
            for name, seconds in times.items()
        },
    }
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "speed.json", report)
        write_text(folder / "speed.md", to_markdown(report))
    return report


def make_stack(planes: int, height: int, width: int) -> FocalStack:
    """A textured slanted surface in front of a lens, blurred by a box that grows with defocus; always the same.

    Networks take equally long on any picture; this one keeps a classical method from a trivial one.
    """
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.float32)
    coordinate = np.linspace(2.0, 0.5, planes)  # dioptres, near to far
    surface = np.linspace(2.0, 0.5, width)
    frames = []
    for u in coordinate:
        radius = np.rint(4 * np.abs(surface - u)).astype(int)
        sums = np.pad(image.cumsum(axis=1), ((0, 0), (1, 0), (0, 0)))
        columns = np.arange(width)
        low, high = np.maximum(columns - radius, 0), np.minimum(columns + radius + 1, width)
        frames.append((sums[:, high] - sums[:, low]) / (high - low)[None, :, None])
    return FocalStack(np.clip(frames, 0, 255).astype(np.uint8), 1 / coordinate, "m")


def to_markdown(report: dict[str, Any]) -> str:
    """The report as a table."""
    names = list(report["models"])
    where = report["device"] if report["gpu"] is None else f"{report['device']} ({report['gpu']})"
    lines = [
        f"`predict` of {report['planes']} planes of {report['height']} x {report['width']} on {where}, "
        f"{report['repeats']} interleaved rounds; {report['processor']}, {report['threads']} threads, "
        f"torch {report['torch']}, Python {report['python']}.",
        "",
        f"| model | median s | min s | max s | times {names[0]} | peak memory MiB | after loading MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in report["models"].items():
        seconds = " | ".join(f"{row[key]:.3f}" for key in ("median_s", "min_s", "max_s", "ratio"))
        memory = " | ".join("" if row[key] is None else f"{row[key]:.0f}" for key in ("peak_mib", "loaded_mib"))
        lines.append(f"| {name} | {seconds} | {memory} |")
    return "\n".join(lines) + "\n"


def _interleaved_times(models: Sequence[str], stack: FocalStack, repeats: int, device: str) -> dict[str, list[float]]:
    """Seconds of each timed run; the model that begins a round changes from round to round."""
    loaded = {name: _load(name, device) for name in models}
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(-1, repeats):
        shift = turn % len(models)
        for name in [*models[shift:], *models[:shift]]:
            seconds = _timed_predict(loaded[name], stack)
            if turn >= 0:
                times[name].append(seconds)
    return times


def _timed_predict(model: Any, stack: FocalStack) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # untrained weights are meant here
        start = time.perf_counter()
        model.predict(stack)
        return time.perf_counter() - start


def _load(name: str, device: str) -> Any:
    """A model with its weights, or untrained where none come with it."""
    from dualfocus.loading import load_model

    try:
        return load_model(name, device=device)
    except ValueError:
        return load_model(name, device=device, weights=None)


def _measure_memory(name: str, planes: int, height: int, width: int, device: str) -> dict[str, float | None]:
    """Peak resident memory of one predict, measured in a new process."""
    arguments = [name, str(planes), str(height), str(width), device]
    command = [sys.executable, "-m", "dualfocus.benchmarks.speed", *arguments]
    search = os.pathsep.join(path for path in sys.path if path)  # finds the package where this process found it
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": search})
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
        raise ValueError(f"{name}: its memory could not be measured: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def _report_memory(name: str, planes: int, height: int, width: int, device: str) -> dict[str, float | None]:
    """What the child process measures: once loaded, and at the peak of one predict."""
    stack = make_stack(planes, height, width)
    model = _load(name, device)
    loaded = peak_memory_mib()
    _timed_predict(model, stack)
    torch = sys.modules.get("torch")
    on_gpu = torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0
    return {
        "peak_mib": peak_memory_mib(),
        "loaded_mib": loaded,
        "device_peak_mib": torch.cuda.max_memory_allocated() / _MIB if torch is not None and on_gpu else None,
    }


def peak_memory_mib() -> float | None:
    """Largest resident size of this process so far; None where the system does not tell (Windows).

    Linux: VmHWM, because `ru_maxrss` of a child starts at the size of the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024


def _machine(device: str) -> dict[str, Any]:
    """What ran: the device that "auto" stands for too, because figures of different devices must not be mixed up."""
    import torch

    from dualfocus.inference import choose_device

    chosen = choose_device(device)
    return {
        "device": chosen.type,
        "gpu": torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else None,
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def processor_name() -> str:
    """Name of the CPU, as far as the system gives one."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    _name, _planes, _height, _width, _device = sys.argv[1:]
    print(json.dumps(_report_memory(_name, int(_planes), int(_height), int(_width), _device)))
