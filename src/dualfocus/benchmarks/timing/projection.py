"""What the integrable projection costs: ours, scipy's FFT, a dense inverse and an iterative solver.

All solve the same least squares problem on the same random gradient fields, interleaved in one run.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dualfocus.benchmarks.timing.machine import processor_name
from dualfocus.benchmarks.writing import write_json, write_text
from dualfocus.markdown import markdown_table
from dualfocus.models.projection import adjoint_differences, integrable_projection
from dualfocus.outputs import check_output

SIZES = ((30, 40), (60, 80), (120, 160), (240, 320), (480, 640), (960, 1280))
MAPS = 4  # solved at once by the methods that can
TOLERANCE = 1e-5  # relative residual at which conjugate gradients stop
_DENSE_UNKNOWNS = 5000  # above, the dense matrix takes more than 200 MB
_SECONDS = 2.0  # time for repeating one method at one size

Map = NDArray[np.floating[Any]]


class Method(NamedTuple):
    """One way to solve: `prepare(height, width)` does once what does not depend on the field."""

    name: str
    maps: int
    prepare: Callable[[int, int], Callable[[torch.Tensor], Map]]
    largest: int | None = None  # unknowns, None: any


def measure(sizes: Sequence[tuple[int, int]] = SIZES, rounds: int = 5, out: str | Path | None = None) -> dict[str, Any]:
    """Time every method at every size.

    Args:
        sizes: height and width of the fields.
        rounds: interleaved; a method that is slow at a size has fewer.
        out: folder for `projection.json` and `projection.md`; None writes nothing.

    Returns:
        What `projection.json` holds: the machine, and for each size and method `ms` (median per map), `least_ms`,
        `most_ms`, `rounds` and `error`: largest difference from a float64 solve by FFT over the largest value.

    Raises:
        ValueError: no size, fewer than one round, or a folder that cannot be written.
    """
    if not sizes or rounds < 1:
        raise ValueError("the projection is timed at one size and in one round at least")
    if out is not None:
        check_output(out, overwrite=True)
    report = {
        "maps": MAPS,
        "tolerance": TOLERANCE,
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "sizes": {f"{height}x{width}": _at_size(height, width, rounds) for height, width in sizes},
    }
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "projection.json", report)
        write_text(folder / "projection.md", to_markdown(report))
    return report


def to_markdown(report: dict[str, Any]) -> str:
    """The report as a table: milliseconds per map, its ratio to ours, and the largest relative error."""
    names = [method.name for method in METHODS]
    note = (
        "Milliseconds per map (times the first method's; largest error relative to the largest value), medians of "
        f"interleaved rounds; {report['processor']}, {report['threads']} threads, torch {report['torch']}."
    )
    rows = []
    for size, found in report["sizes"].items():
        first = found[names[0]]["ms"]
        cells = [
            f"{found[name]['ms']:.3g} ({found[name]['ms'] / first:.3g}x; {found[name]['error']:.0e})"
            if name in found
            else "does not fit"
            for name in names
        ]
        rows.append([size, *cells])
    return f"{note}\n\n{markdown_table(['size', *names], rows)}\n"


def _at_size(height: int, width: int, rounds: int) -> dict[str, dict[str, float]]:
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(MAPS, 2, height, width, generator=generator)
    exact = _by_fft(height, width)(field.double())
    chosen = [method for method in METHODS if method.largest is None or height * width <= method.largest]
    solvers = {method.name: method.prepare(height, width) for method in chosen}
    times: dict[str, list[float]] = {method.name: [] for method in chosen}
    errors: dict[str, float] = {}
    for turn in range(-1, rounds):  # the first round warms up caches and threads, and measures the error
        for method in chosen:
            part, spent = field[: method.maps], times[method.name]
            if sum(spent) > _SECONDS:
                continue
            start = time.perf_counter()
            surface = solvers[method.name](part)
            seconds = time.perf_counter() - start
            if turn < 0:
                errors[method.name] = float(np.abs(surface - exact[: method.maps]).max() / np.abs(exact).max())
            if turn >= 0 or seconds > _SECONDS:
                spent.append(seconds)
    return {
        method.name: {
            "ms": 1e3 * statistics.median(times[method.name]) / method.maps,
            "least_ms": 1e3 * min(times[method.name]) / method.maps,
            "most_ms": 1e3 * max(times[method.name]) / method.maps,
            "rounds": len(times[method.name]),
            "error": errors[method.name],
        }
        for method in chosen
    }


def _ours(height: int, width: int) -> Callable[[torch.Tensor], Map]:
    def solve(field: torch.Tensor) -> Map:
        with torch.inference_mode():
            return integrable_projection(field).numpy()

    return solve


def _by_fft(height: int, width: int) -> Callable[[torch.Tensor], Map]:
    """The same diagonalisation with fast transforms, in the precision of the field."""
    from scipy.fft import dctn, idctn

    i, j = np.arange(height)[:, None], np.arange(width)[None, :]
    eigenvalues = 4 * np.sin(np.pi * i / (2 * height)) ** 2 + 4 * np.sin(np.pi * j / (2 * width)) ** 2
    eigenvalues[0, 0] = np.inf

    def solve(field: torch.Tensor) -> Map:
        right = adjoint_differences(field).numpy()
        scale = (1 / eigenvalues).astype(right.dtype)
        spectrum = dctn(right, axes=(-2, -1), norm="ortho")
        return idctn(spectrum * scale, axes=(-2, -1), norm="ortho")

    return solve


def _dense(height: int, width: int) -> Callable[[torch.Tensor], Map]:
    """VA-DepthNet's way, with the inverse made beforehand; a term on the mean fixes the gauge."""
    normal = _normal_matrix(height, width).toarray() + 1 / (height * width)
    inverse = np.linalg.inv(normal).astype(np.float32)

    def solve(field: torch.Tensor) -> Map:
        right = adjoint_differences(field).numpy().reshape(len(field), -1)
        return (right @ inverse).reshape(len(field), height, width)

    return solve


def _conjugate_gradients(height: int, width: int) -> Callable[[torch.Tensor], Map]:
    """Without preconditioner, on the sparse normal matrix."""
    from scipy.sparse.linalg import cg

    normal = _normal_matrix(height, width).astype(np.float32)

    def solve(field: torch.Tensor) -> Map:
        right = adjoint_differences(field).numpy().reshape(len(field), -1)
        rows = [cg(normal, row - row.mean(), rtol=TOLERANCE, maxiter=20 * (height + width))[0] for row in right]
        found = np.stack(rows)
        return (found - found.mean(axis=1, keepdims=True)).reshape(len(field), height, width)

    return solve


def _normal_matrix(height: int, width: int) -> Any:
    """P^T P, sparse."""
    from scipy.sparse import diags_array, eye_array, kron

    def along(length: int) -> Any:
        step = diags_array([-np.ones(length), np.ones(length - 1)], offsets=[0, 1], shape=(length, length)).tocsr()
        step = step[: length - 1]  # no row past the last pixel
        return step.T @ step

    return (kron(eye_array(height), along(width)) + kron(along(height), eye_array(width))).tocsr()


METHODS = (
    Method("ours", MAPS, _ours),
    Method("FFT of scipy", MAPS, _by_fft),
    Method("dense inverse", MAPS, _dense, _DENSE_UNKNOWNS),
    Method("conjugate gradients", 1, _conjugate_gradients),
)
