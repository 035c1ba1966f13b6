"""How far other precisions are from the network in float32, on any focal stacks: bf16 of torch, the others exported.

python tools/precision_parity.py data/stacks/*/* --precision bf16 --precision int8
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import dualfocus
from dualfocus.inference import export
from dualfocus.inference.prediction import FocusModel
from dualfocus.inference.resizing import shrink, working_size
from dualfocus.stack.axis import FocusAxis

PRECISIONS = ("bf16", *export.PRECISIONS)
PIXELS = 480 * 640
PLANES = (2, 5, 9)  # taken in turn, so that few and many planes are compared


def coordinate(model: FocusModel, stack: dualfocus.FocalStack) -> np.ndarray:
    """Normalised focus coordinate, (h, w): errors in it are shares of the focus range."""
    order = stack.near_to_far
    maps = model.estimate(
        lambda n, size: shrink(stack[int(order[n])], size), FocusAxis(stack).planes, working_size(stack.size, PIXELS)
    )
    return maps.coordinate


def load(precision: str, folder: Path) -> FocusModel:
    """`dualfocus-s` in a precision; an exported one is written into `folder`."""
    if precision == "bf16":
        return dualfocus.load_model("dualfocus-s", device="cpu", precision="bf16")
    return dualfocus.load_model(export.export_onnx("dualfocus-s", folder / f"{precision}.onnx", precision))


def main() -> None:
    """Print a row for every stack and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", nargs="+")
    parser.add_argument("--precision", choices=PRECISIONS, action="append")
    options = parser.parse_args()
    network = dualfocus.load_model("dualfocus-s", device="cpu")
    print("| stack | planes | precision | mean | 99 % below | 99.9 % below |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        names = options.precision or PRECISIONS
        others = {name: load(name, Path(folder)) for name in names}
        for number, source in enumerate(options.stacks):
            whole = dualfocus.load_stack(source)
            count = min(len(whole), PLANES[number % len(PLANES)])
            distances = None if whole.focus_distances is None else whole.focus_distances[:count]
            stack = dualfocus.FocalStack([whole[n] for n in range(count)], distances, whole.unit)
            expected = coordinate(network, stack)
            for precision, model in others.items():
                error = np.abs(coordinate(model, stack) - expected)
                shares = " | ".join(f"{value:.1e}" for value in (error.mean(), *np.percentile(error, [99, 99.9])))
                print(f"| {Path(source).name} | {count} | {precision} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
