"""Which mean of two weights to keep: `python -m dualfocus.training.shares BEFORE AFTER CONFIG ...`.

Measures means of two weights of one network on held-out stacks, each validation source of each configuration by
itself: what a stage of training won on one kind of scene and lost on another. The kept mean is written by
`dualfocus.training.average`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from dualfocus.markdown import markdown_table
from dualfocus.messages import ending_in_one_line
from dualfocus.models.record import axis_of
from dualfocus.models.weights import load_weights
from dualfocus.stack.axis import AxisName
from dualfocus.training.average import mean_network
from dualfocus.training.config import SourceConfig, read_config
from dualfocus.training.validate import Validation

SHARES = (0.0, 0.2, 0.35, 0.5, 1.0)


def measure_shares(
    before: Path, after: Path, configs: Sequence[Path], shares: Sequence[float] = SHARES
) -> dict[str, list[float]]:
    """RMSE in focus ranges of means of two weights, on each validation source by itself.

    Args:
        before: weights before a stage of training.
        after: weights after it.
        configs: training configurations; `validation.stacks` are drawn of each of their validation sources.
        shares: shares of `after` in the means.

    Returns:
        for each source the mean over its stacks, one for each share.

    Raises:
        ValueError: bad weights or configuration, weights of different networks, or no validation sources.
    """
    loaded = [load_weights(path) for path in (before, after)]
    sets = _held_out(configs, axis_of(loaded[-1][1]))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    measured: dict[str, list[float]] = {name: [] for name in sets}
    for share in shares:
        network = mean_network((before, after), loaded, (1 - share, share)).to(device)
        for name, held_out in sets.items():
            measured[name].append(held_out(network, device)["rmse"])
    return measured


def _held_out(configs: Sequence[Path], axis: AxisName) -> dict[str, Validation]:
    """The validation stacks of configurations, source by source, under names that tell them apart."""
    found: dict[str, Validation] = {}
    for path in configs:
        config = read_config(path)
        if not config.validation.sources:
            raise ValueError(f"{path}: validation.sources is empty; name the held-out stacks to measure on")
        for source in config.validation.sources:
            name = f"{path.stem}: {_name(source)}"
            if name in found:
                raise ValueError(f"{path}: a second source would be called {name!r}; name files or folders otherwise")
            alone = config.validation.model_copy(update={"sources": [source]})
            found[name] = Validation(alone, config.seed, axis)
    return found


def _name(source: SourceConfig) -> str:
    folder = source.path.name if source.path else source.kind
    return folder if list(source.include) == ["*"] else f"{folder} {', '.join(source.include)}"


def table(measured: dict[str, list[float]], shares: Sequence[float]) -> str:
    """A Markdown table: a row for each share, a column for each source."""
    rows = ([f"{share:g}", *(f"{values[n]:.4f}" for values in measured.values())] for n, share in enumerate(shares))
    return markdown_table(["share of AFTER", *measured], rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dualfocus.training.shares", description=__doc__)
    parser.add_argument("before", type=Path, help="weights before a stage of training")
    parser.add_argument("after", type=Path, help="weights after it")
    parser.add_argument("configs", type=Path, nargs="+", help="training configurations with validation sources")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="shares of AFTER, each 0 to 1")
    arguments = parser.parse_args()
    with ending_in_one_line():
        measured = measure_shares(arguments.before, arguments.after, arguments.configs, arguments.shares)
    print(table(measured, arguments.shares))


if __name__ == "__main__":
    main()
