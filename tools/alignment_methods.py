"""Compares ways to register two neighbouring planes of a focal stack, on path-traced stacks with known motion.

`python tools/alignment_methods.py FOLDER_OF_PATHTRACED_STACKS [--scenes 10]`

Prints for OpenCV's SIFT with RANSAC, OpenCV's ECC (affine, started at the best shift, coarse to fine) and the
registration of this package the distance in pixels between estimated and true place over the picture: the median of all
pairs, the 95th percentile, and the share of pairs that are off by more than 1.5 px in the median.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from alignment_benchmark import pathtraced_stacks
from moving_stacks import move_pathtraced

from dualfocus.alignment.motion import Matrix, apply, compose, grid, half_diagonal, in_pixels, inverse, normaliser
from dualfocus.alignment.pairs import best_shift, pyramid, register


def by_features(one: np.ndarray, other: np.ndarray) -> Matrix:
    """Pixel motion from SIFT matches that pass the ratio test; the identity when there are too few."""
    sift, matcher = cv2.SIFT_create(contrastThreshold=0.01), cv2.BFMatcher()
    (points, first), (targets, second) = (sift.detectAndCompute(image, None) for image in (one, other))
    if first is None or second is None or min(len(first), len(second)) < 2:
        return np.eye(3)
    good = [a for a, b in matcher.knnMatch(first, second, k=2) if a.distance < 0.8 * b.distance]
    if len(good) < 3:
        return np.eye(3)
    source = np.array([points[m.queryIdx].pt for m in good])
    target = np.array([targets[m.trainIdx].pt for m in good])
    found, _ = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=2.0)
    return np.eye(3) if found is None else np.vstack([found, [0, 0, 1]])


def by_ecc(one: np.ndarray, other: np.ndarray, start: Matrix) -> Matrix:
    """Pixel motion by ECC, from a quarter of the size to the whole; the start when it does not converge."""
    matrix = start
    for factor in (4, 2, 1):
        size = (one.shape[1] // factor, one.shape[0] // factor)
        a, b = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (one, other))
        scale = normaliser(size[::-1], one.shape)
        whole = normaliser(one.shape, one.shape)
        to_small = np.linalg.inv(scale) @ whole
        small = compose(to_small, matrix, np.linalg.inv(to_small))[:2].astype(np.float32)
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-6)
        try:
            _, small = cv2.findTransformECC(a, b, small, cv2.MOTION_AFFINE, criteria, None, 5)
        except cv2.error:
            continue
        matrix = compose(np.linalg.inv(to_small), np.vstack([small, [0, 0, 1]]), to_small)
    return matrix


def main(options: argparse.Namespace) -> None:
    """Print a line a method."""
    errors: dict[str, list[np.ndarray]] = {"SIFT + RANSAC": [], "ECC": [], "this package": []}
    for folder, seed in pathtraced_stacks(options.pathtraced, options.scenes):
        moving = move_pathtraced(folder, seed, "both")
        size, points = moving.stack.size, grid(moving.stack.size)
        greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in moving.stack]
        levels = [pyramid(grey.astype(np.float32) / 255, size) for grey in greys]
        scale = normaliser(size, size)
        for n in range(len(greys) - 1):
            true = compose(moving.motions[n + 1], inverse(moving.motions[n]))
            shift = best_shift(levels[n], levels[n + 1])
            found = {
                "SIFT + RANSAC": compose(scale, by_features(greys[n], greys[n + 1]), np.linalg.inv(scale)),
                "ECC": compose(scale, by_ecc(greys[n], greys[n + 1], in_pixels(shift, size)), np.linalg.inv(scale)),
                "this package": register(levels[n], levels[n + 1], "similarity", shift).matrix,
            }
            for name, matrix in found.items():
                distance = np.linalg.norm(apply(matrix, points) - apply(true, points), axis=1)
                errors[name].append(distance * half_diagonal(size))
    for name, values in errors.items():
        wrong = np.mean([np.median(v) > 1.5 for v in values])
        print(
            f"{name:14} {len(values)} pairs: median {np.median(np.concatenate(values)):.2f},"
            f" 95 % {np.percentile(np.concatenate(values), 95):.2f} px; {100 * wrong:.0f} % of the pairs off"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pathtraced", type=Path)
    parser.add_argument("--scenes", type=int, default=10)
    main(parser.parse_args())
