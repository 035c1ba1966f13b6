"""Compares the depth of one scene from two stacks, such as hand-held frames and the same frames registered by others.

`python tools/same_depth.py balls_raw balls_aligned` (folders of `suwajanakorn_mobile`)

Both are predicted as `dualfocus predict` does. The all-in-focus images are registered, and the second depth is carried
to the first. Prints how far apart the images are then and, over the pixels valid in both, the rank correlation of depth
and the median and mean difference, in planes for stacks without distances.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import spearmanr

import dualfocus


def main(options: argparse.Namespace) -> None:
    """Predict, register and print."""
    model = dualfocus.load_model(options.model)
    first, second = (model.predict(dualfocus.align(dualfocus.load_stack(path))) for path in options.stacks)
    pair = dualfocus.align(dualfocus.FocalStack([first.all_in_focus, second.all_in_focus]), "homography")
    there = pair.transforms[1] @ np.linalg.inv(pair.transforms[0])
    size = first.depth.shape[::-1]
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    depth = cv2.warpPerspective(second.depth, there, size, flags=flags)
    valid = cv2.warpPerspective(second.valid.astype(np.uint8), there, size, flags=flags) > 0
    both = valid & first.valid
    difference = np.abs(first.depth - depth)[both]
    print(
        f"all-in-focus images {pair.alignment['planes'][1]['residual_px']:.2f} px apart after registration;"
        f" {100 * both.mean():.1f} % of the pixels valid in both: rank correlation"
        f" {spearmanr(first.depth[both], depth[both]).statistic:.4f},"
        f" difference median {np.median(difference):.3f}, mean {difference.mean():.3f} {first.unit}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", type=Path, nargs=2)
    parser.add_argument("--model", default="dualfocus-s")
    main(parser.parse_args())
