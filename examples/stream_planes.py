"""Depth while the lens still sweeps: `python examples/stream_planes.py [STACK]`.

Pushes the planes of a stack one by one, as a camera would give them, and prints the depth in the middle of the picture
after each. Without STACK it is the one that comes with the package.
"""

import argparse
from pathlib import Path

import dualfocus

PACKAGED = Path(dualfocus.__file__).parent / "samples" / "desk"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack", type=Path, nargs="?", default=PACKAGED)
    stack = dualfocus.load_stack(parser.parse_args().stack)

    stream = dualfocus.load_model("dualfocus-s").stream(window=3, unit=stack.unit, camera=stack.camera)
    middle = tuple(side // 2 for side in stack.size)
    for count, n in enumerate(stack.near_to_far, 1):
        distance = None if stack.focus_distances is None else stack.focus_distances[n]
        result = stream.push(stack[n], distance)  # None for the first plane: one alone has no depth
        seen = "nothing yet" if result is None else f"{result.depth[middle]:.3f} {result.unit}"
        print(f"plane {count}: {seen}")
