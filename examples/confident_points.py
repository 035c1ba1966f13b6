"""A point cloud of what is surely right: `python examples/confident_points.py [STACK] [-o OUT] [--least 0.8]`.

Keeps the pixels whose confidence, the probability that depth is right to half a plane spacing, is at least `--least`,
and writes them as `points.ply` among the files of the result. Without STACK it is the one that comes with the
package.
"""

import argparse
from pathlib import Path

import dualfocus

PACKAGED = Path(dualfocus.__file__).parent / "samples" / "desk"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack", type=Path, nargs="?", default=PACKAGED)
    parser.add_argument("-o", "--out", type=Path, default=Path("dualfocus-points"))
    parser.add_argument("--least", type=float, default=0.8)
    options = parser.parse_args()

    stack = dualfocus.align(dualfocus.load_stack(options.stack))
    result = dualfocus.load_model("dualfocus-s").predict(stack)

    result.valid &= result.confidence >= options.least  # a point cloud holds what is valid
    result.save(options.out, also="ply")
    print(f"{result.valid.sum()} of {result.valid.size} pixels in {options.out / 'points.ply'}")
