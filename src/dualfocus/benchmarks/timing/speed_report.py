"""What `dualfocus bench` measured, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dualfocus.benchmarks.protocols.published import PUBLISHED
from dualfocus.benchmarks.timing.stages import STAGES
from dualfocus.markdown import markdown_table

_SMALL = 0.3  # megapixels of a plane: below, a fixed cost counts


def to_markdown(report: Mapping[str, Any]) -> str:
    """Tables of what `speed.bench` returned: for each setting, then the pace of all of them."""
    where = report["device"] if report["gpu"] is None else f"{report['device']} ({report['gpu']})"
    parts = [
        f"`predict` on {where}, {report['repeats']} interleaved rounds; {report['processor']}, {report['threads']}"
        f" threads, torch {report['torch']}, Python {report['python']}.",
    ]
    for setting in report["settings"]:
        variants = setting["variants"]
        parts.append(f"{setting['planes']} planes of {setting['height']} x {setting['width']}:")
        parts.append(_variants_to_markdown(variants))
        if all(row["stages"] for row in variants.values()):
            parts.append(_stages_to_markdown(variants))
    return "\n\n".join([*parts, *pace_to_markdown(report["settings"])]) + "\n"


def _variants_to_markdown(variants: Mapping[str, Any]) -> str:
    """Time, memory and size of every variant in one setting."""
    header = ["model", "median s", "min s", "max s", f"times {next(iter(variants))}", "peak memory MiB"]
    header += ["after loading MiB", "on the GPU MiB", "parameters (M)", "GFLOP"]
    rows = []
    for label, row in variants.items():
        seconds = [f"{row[key]:.3f}" for key in ("median_s", "min_s", "max_s", "ratio")]
        memory = [_cell(row[key], 0) for key in ("peak_mib", "loaded_mib", "device_peak_mib")]
        rows.append([label, *seconds, *memory, _millions(row["parameters"]), _cell(row["gflop"], 1)])
    return markdown_table(header, rows)


def _stages_to_markdown(variants: Mapping[str, Any]) -> str:
    """How the time of every variant divides."""
    rows = []
    for label, row in variants.items():
        total = sum(row["stages"].values())
        rows.append([f"{label} ({total:.2f} s)", *(f"{100 * row['stages'][stage] / total:.0f} %" for stage in STAGES)])
    return markdown_table(["from JPEG files to files", *STAGES], rows)


def pace_to_markdown(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Time per megapixel-plane beside that of the first setting, and the whole time of images below 0.3 megapixels.

    Returns:
        a sentence and a table; nothing of one setting alone.
    """
    if len(settings) == 1:
        return []
    first: dict[str, float] = {}
    rows = []
    for setting in settings:
        megapixels, cells = setting["height"] * setting["width"] / 1e6, []
        for label, row in setting["variants"].items():
            whole = 1e3 * row["median_s"]
            pace = whole / (setting["planes"] * megapixels)
            small = f"; {whole:.0f} ms" if megapixels < _SMALL else ""
            cells.append(f"{pace:.0f} ({pace / first.setdefault(label, pace):.2f}{small})")
        rows.append([str(setting["planes"]), f"{setting['height']} x {setting['width']}", *cells])
    return [
        "Milliseconds per megapixel-plane (times the first row's); below 0.3 megapixels also the time of the stack:",
        markdown_table(["planes", "size", *settings[0]["variants"]], rows),
    ]


def published_to_markdown() -> str:
    """What others state of their size and speed."""
    header = ["method", "input", "parameters (M)", "GFLOP", "s", "as stated", "source"]
    rows = (
        [row.method, row.kind, _millions(row.parameters), _cell(row.gflop, 0), _cell(row.seconds, 3)]
        + [row.protocol, row.source]
        for row in PUBLISHED["size-and-speed"]
    )
    note = "Published by others, on other inputs and machines: **not comparable with the figures above**."
    return f"{note}\n\n{markdown_table(header, rows)}\n"


def _millions(count: float | None) -> str:
    return _cell(None if count is None else count / 1e6, 2)


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
