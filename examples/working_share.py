"""At which share of the pixels a network errs least: RMSE in focus ranges of stacks with truth.

``python examples/working_share.py FOLDER [--model dualfocus-s] [--shares 1 0.7 0.5 0.35 0.25]``

FOLDER holds stacks with a `stack.json` that names their truth. The network works at each share of their pixels, however
few these are, and depth is brought back to full size as `predict` does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import dualfocus
from dualfocus.benchmarks.measure import measure
from dualfocus.datasets import StackFolders


def main(options: argparse.Namespace) -> None:
    """Predict and print."""
    model, samples = dualfocus.load_model(options.model), StackFolders(options.folder)
    print(f"{options.model}, {len(samples)} stacks\n")
    print("| share of the pixels | RMSE, focus ranges | within half a spacing |\n|---|---|---|")
    for share in options.shares:
        model.best_pixels = lambda size, share=share: round(share * size[0] * size[1])
        found = [measure(s, model.predict(s.stack))[0] for s in map(samples.__getitem__, range(len(samples)))]
        rmse, within = (np.mean([row[key] for row in found]) for key in ("range_rmse", "within_half_plane"))
        print(f"| {share:g} | {rmse:.4f} | {100 * within:.1f} % |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="dualfocus-s")
    parser.add_argument("--shares", type=float, nargs="+", default=[1, 0.7, 0.5, 0.35, 0.25])
    main(parser.parse_args())
