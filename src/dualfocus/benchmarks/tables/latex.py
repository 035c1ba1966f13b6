"""The error tables of an evaluation as LaTeX, for papers: ours, then published rows of the same protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dualfocus.benchmarks.protocols import BenchmarkProtocol
from dualfocus.benchmarks.tables.error_table import HIGHER_IS_BETTER, error_table, is_percent, number

_NAMES = {
    "mse": "MSE",
    "rmse": "RMSE",
    "mae": "MAE",
    "log_rms": "logRMS",
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "bump": "Bump",
    "badpix": "badpix",
    "delta1": r"$\delta_1$",
    "delta2": r"$\delta_2$",
    "delta3": r"$\delta_3$",
    "d1_05": "$D_{1.05}$",
    "d1_15": "$D_{1.15}$",
}
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}


def to_latex(protocol: BenchmarkProtocol, summary: Mapping[str, Any]) -> str:
    """One `table` with booktabs rules; published rows are marked with a dagger, their sources are in the caption.

    Args:
        protocol: what was measured.
        summary: what `evaluate` writes to `summary.json`.
    """
    table = error_table(protocol, summary)
    published = [[f"{_escaped(row.method)}$^\\dagger$", *map(number, figures)] for row, figures in table.published]
    data = summary["data"]
    caption = (
        f"{protocol.name}, {data['images']} of {data['available']} samples; {protocol.space}; mask: {protocol.mask}"
    )
    if published:
        sources = dict.fromkeys(f"{row.source} ({row.protocol})" for row, _ in table.published)
        caption += f". $^\\dagger$ Published, not measured here: {'; '.join(sources)}"
    lines = [
        f"% {summary['command']}",
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        f"  \\caption{{{_escaped(caption)}.}}",
        f"  \\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"    \toprule",
        _line(["model", *(_heading(protocol, column) for column in table.columns)]),
        r"    \midrule",
        *(_line([_escaped(name), *map(number, figures)]) for name, figures in table.ours.items()),
        *([r"    \midrule", *map(_line, published)] if published else []),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _heading(protocol: BenchmarkProtocol, column: str) -> str:
    arrow = r"$\uparrow$" if column in HIGHER_IS_BETTER else r"$\downarrow$"
    percent = r" \%" if is_percent(protocol, column) else ""
    return f"{_NAMES.get(column, _escaped(column))}{percent} {arrow}"


def _line(cells: Sequence[str]) -> str:
    return "    " + " & ".join(cell or "--" for cell in cells) + r" \\"


def _escaped(text: str) -> str:
    """Text with what LaTeX would take for a command or formula escaped; our dagger is left as it is."""
    parts = text.split(r"$^\dagger$")
    return r"$^\dagger$".join(
        re.sub(r"[\\~^&%$#_{}<>]", lambda m: _SPECIAL.get(m.group(), f"\\{m.group()}"), part) for part in parts
    )
