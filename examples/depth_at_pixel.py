"""Depth at one pixel: `python examples/depth_at_pixel.py [STACK] [--row 144 --column 192]`.

STACK is a folder of photographs, a multi-page TIFF or a `stack.json`; without it, the stack that comes with the
package. Without a pixel, the middle one.
"""

import argparse
from pathlib import Path

import dualfocus

PACKAGED = Path(dualfocus.__file__).parent / "samples" / "desk"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack", type=Path, nargs="?", default=PACKAGED)
    parser.add_argument("--row", type=int)
    parser.add_argument("--column", type=int)
    options = parser.parse_args()

    stack = dualfocus.align(dualfocus.load_stack(options.stack))
    result = dualfocus.load_model("dualfocus-s").predict(stack)

    height, width = result.depth.shape
    row = height // 2 if options.row is None else options.row
    column = width // 2 if options.column is None else options.column
    depth, std = result.depth[row, column], result.std[row, column]
    print(f"row {row}, column {column}: {depth:.3f} +- {std:.3f} {result.unit}")
    print(f"confidence {result.confidence[row, column]:.2f}, {'valid' if result.valid[row, column] else 'not valid'}")
