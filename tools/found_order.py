"""How well the order of focus is found: every stack below a folder is shuffled, and the order found is compared.

    python tools/found_order.py data/stacks

Prints a Markdown table: planes; the rank correlation (Kendall) of the order found with the true one, worst of five
shuffles; whether the true order is accepted without a warning.
"""

import argparse
from pathlib import Path

import numpy as np

from dualfocus import load_stack
from dualfocus.ordering import order_of, sharpness_pattern


def rank_correlation(order: np.ndarray) -> float:
    """Kendall's tau of a permutation with the identity, without its sign: the near end cannot be known."""
    first, second = np.triu_indices(len(order), 1)
    return float(abs(np.sign(order[second] - order[first]).mean()))


def main(folder: Path) -> None:
    """Print the table for a folder."""
    rng = np.random.default_rng(0)
    sidecars = sorted(folder.glob("**/stack.json"))
    if not sidecars:
        raise SystemExit(f"error: {folder}: no stack.json below it")
    print("| stack | planes | rank correlation | accepted as it is |\n|---|---|---|---|")
    for sidecar in sidecars:
        stack = load_stack(sidecar.parent)
        patterns = np.stack([sharpness_pattern(plane) for plane in stack])[stack.near_to_far]
        found = []
        for _ in range(5):
            shuffled = rng.permutation(len(patterns))
            found.append(rank_correlation(shuffled[order_of(patterns[shuffled]).planes]))
        accepted = "yes" if order_of(patterns).is_as_given else "no"
        name = sidecar.parent.relative_to(folder)
        print(f"| `{name}` | {len(stack)} | {min(found):.3f} | {accepted} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", type=Path, help="folder of stacks with a stack.json each")
    main(parser.parse_args().stacks)
