"""How well the order of focus is found: every stack below a folder is shuffled, and the order found is compared.

    python examples/found_order.py data/stacks

Prints a Markdown table: planes; the rank correlation (Kendall) of the order found with the true one, worst of five
shuffles; whether the true order is accepted without a warning.
"""

import sys
from pathlib import Path

import numpy as np

from dualfocus import load_stack
from dualfocus.ordering import order_of, sharpness_pattern


def rank_correlation(order: np.ndarray) -> float:
    """Kendall's tau of a permutation with the identity, without its sign: the near end cannot be known."""
    first, second = np.triu_indices(len(order), 1)
    return float(abs(np.sign(order[second] - order[first]).mean()))


def main() -> None:
    """Print the table for the folder that is given."""
    rng = np.random.default_rng(0)
    print("| stack | planes | rank correlation | accepted as it is |\n|---|---|---|---|")
    for sidecar in sorted(Path(sys.argv[1]).glob("**/stack.json")):
        stack = load_stack(sidecar.parent)
        patterns = np.stack([sharpness_pattern(plane) for plane in stack])[stack.near_to_far]
        found = []
        for _ in range(5):
            shuffled = rng.permutation(len(patterns))
            found.append(rank_correlation(shuffled[order_of(patterns[shuffled]).planes]))
        accepted = "yes" if order_of(patterns).is_as_given else "no"
        name = sidecar.parent.relative_to(sys.argv[1])
        print(f"| `{name}` | {len(stack)} | {min(found):.3f} | {accepted} |")


if __name__ == "__main__":
    main()
