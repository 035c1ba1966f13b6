"""Measures how flat the flat faces of a real scene come out: 1/z = a x + b y + c is fitted in hand-marked polygons.

`python tools/flat_faces.py FOLDER_OF_STACKS [--faces tests/data/samsung_faces.json] [--align auto] [--every 1]`

Prints, for each face, the root mean square residual over the median of 1/z, of all valid pixels; then which share of
them lies within half a plane spacing of the plane, and which the confidence promises.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

import dualfocus

FACES = Path(__file__).resolve().parents[1] / "tests" / "data" / "samsung_faces.json"


def residual(inverse: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Distance (M,) of the M pixels of `inverse` (H, W) in `where` from the least-squares plane through them."""
    y, x = np.nonzero(where)
    values = inverse[where].astype(np.float64)
    design = np.stack([x, y, np.ones(len(x))], axis=1)
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def polygon(points: list, image: str, stack: dualfocus.FocalStack) -> np.ndarray:
    """(H, W) mask of a polygon marked in one photograph, in the frame of the result."""
    corners = np.array([points], np.float64)
    plane = next((p for p in (stack.alignment or {}).get("planes", ()) if p["name"] == image), {})
    if "transform" in plane:
        corners = cv2.perspectiveTransform(corners, np.linalg.inv(plane["transform"]))
    mask = np.zeros(stack.size, np.uint8)
    cv2.fillPoly(mask, [np.round(corners[0]).astype(np.int32)], 1)
    return mask > 0


def main(options: argparse.Namespace) -> None:
    """Predict and print."""
    marked = json.loads(options.faces.read_text(encoding="utf-8"))
    folder = options.stacks / marked["stack"]
    stack = dualfocus.load_stack(folder)
    if options.every > 1:
        kept = range(0, len(stack), options.every)
        files = [folder / stack.names[n] for n in kept]
        stack = dualfocus.load_stack(files, focus=stack.focus_distances[:: options.every], unit=stack.unit)
    stack = dualfocus.align(stack, options.align)
    result = dualfocus.load_model(options.model).predict(stack)
    spacing = np.ptp(1 / np.asarray(stack.focus_distances)) / (len(stack) - 1)
    for name, points in marked["faces"].items():
        inside = polygon(points, marked["image"], stack)
        where = inside & result.valid
        rest = residual(1 / result.depth, where)
        print(
            f"{name:26} RMS / median of 1/z {100 * rest.std() * np.median(result.depth[where]):5.2f} %,"
            f" {100 * where.sum() / inside.sum():5.1f} % valid, median {np.median(result.depth[where]):.3f} m,"
            f" {100 * np.mean(np.abs(rest) < spacing / 2):.0f} % within half a spacing,"
            f" confidence {100 * result.confidence[where].mean():.0f} %",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", type=Path, help="folder that holds the stack named in the file of faces")
    parser.add_argument("--faces", type=Path, default=FACES)
    parser.add_argument("--align", default="auto", choices=("auto", "none", "similarity", "affine", "homography"))
    parser.add_argument(
        "--every", type=int, default=1, help="use every n-th plane only (1, 2, 4, 8 or 16 keep the one that is marked)"
    )
    parser.add_argument("--model", default="dualfocus-s")
    main(parser.parse_args())
