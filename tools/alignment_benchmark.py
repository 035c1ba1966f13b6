"""Measures alignment on rendered stacks with known motion: where frames are put, and what that does to depth.

`python tools/alignment_benchmark.py [--pathtraced FOLDER] [--textures FOLDER] [--scenes 8] [--model dualfocus-s]`

Prints one line a kind of motion. `residual` is the distance in pixels between estimated and true place over the
common region, every plane to the reference plane, pooled over all planes and scenes; `worst` the largest 95th
percentile of one scene. Depth errors are means of |error| in plane spacings over the true focus range inside the common
region: of the frames as they are, aligned by `auto`, aligned by the true motion, and of frames that never moved, that
no interpolation has touched.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from moving_stacks import KINDS, MovingStack, move_pathtraced, render_moving, residuals

import dualfocus
from dualfocus.alignment import AlignedStack
from dualfocus.alignment.estimate import QUARTER_PIXEL_SHIFT, Estimate, FramePlacement
from dualfocus.alignment.motion import compose, in_pixels, inverse
from dualfocus.rendering.textures import TexturePool


def pathtraced_stacks(folder: Path, most: int) -> list[tuple[Path, int]]:
    """The first path-traced stacks anywhere below a folder, with seeds for their motion: their numbers, if named so."""
    found = sorted(path.parent for path in folder.rglob("stack.json"))[:most]
    if not found:
        raise SystemExit(f"error: {folder}: no stack.json below; make stacks with `dualfocus render pathtraced`")
    return [(path, int(path.name) if path.name.isdecimal() else index) for index, path in enumerate(found)]


def scenes(kind: str, options: argparse.Namespace) -> Iterator[tuple[str, MovingStack]]:
    """The stacks of one kind of motion, with the name of their source."""
    for folder, seed in pathtraced_stacks(options.pathtraced, options.scenes) if options.pathtraced else ():
        yield "path-traced", move_pathtraced(folder, seed, kind)
    pool = TexturePool(options.textures, split="all") if options.textures else None
    for seed in range(options.scenes // 2):
        yield "layered", render_moving(seed, kind, (480, 640), options.planes, pool)


def by_true_motion(moving: MovingStack, reference: int) -> AlignedStack:
    """The stack warped by the motions it was made with."""
    back = inverse(moving.motions[reference])
    placed = {
        n: FramePlacement(
            in_pixels(compose(motion, back), moving.stack.size) @ QUARTER_PIXEL_SHIFT, np.ones(3), 0.0, None
        )
        for n, motion in enumerate(moving.motions)
    }
    return AlignedStack(moving.stack, "true", Estimate("true", reference, placed, {}, 1.0))


def carry(values: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """A map (H, W) seen from a frame whose pixels `motion` carries to those of the map."""
    size, kind = values.shape, values.dtype
    values = values.astype(np.float32)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(values, in_pixels(motion, size), size[::-1], flags=flags).astype(kind)


def depth_error(result, moving: MovingStack, truth: np.ndarray, where: np.ndarray) -> float:
    """Mean |error| in plane spacings inside `where`."""
    mask = where & np.isfinite(result.depth)
    ours, theirs = (moving.stack.normalised_coordinate(d[mask]) for d in (result.depth, truth))
    return float(np.abs(ours - theirs).mean() * (len(moving.stack) - 1))


def measure(kind: str, options: argparse.Namespace, model) -> None:
    """Print the line of one kind of motion."""
    pooled: dict[str, list] = {}
    for source, moving in scenes(kind, options):
        row = pooled.setdefault(source, [])
        aligned = dualfocus.align(moving.stack)
        record = aligned.alignment
        reference, whole = record["reference"], np.ones(moving.stack.size, bool)
        kept = aligned.kept if aligned is not moving.stack else range(len(moving.stack))
        transforms = aligned.transforms if aligned is not moving.stack else [np.eye(3)] * len(moving.stack)
        region = whole if aligned.common_region is None else aligned.common_region
        found = residuals(transforms, [moving.motions[n] for n in kept], list(kept).index(reference), region)
        distances = np.concatenate([r for n, r in zip(kept, found, strict=True) if n != reference])
        errors = []
        if model is not None:
            true = by_true_motion(moving, reference)
            motion = moving.motions[reference]
            truth, where = (carry(values, inverse(motion)) for values in (moving.truth, moving.valid))
            where &= region & true.common_region
            stacks = (moving.stack, aligned, true if kind != "none" else moving.stack)
            errors = [depth_error(model.predict(stack), moving, truth, where) for stack in stacks]
            unmoved = moving.valid & carry(region & true.common_region, motion)
            errors.append(depth_error(model.predict(moving.still), moving, moving.truth, unmoved))
        row.append((record["motion"], len(moving.stack) - len(kept), distances, errors))
    for source, row in pooled.items():
        distances = np.concatenate([r[2] for r in row])
        worst = max(np.percentile(r[2], 95) for r in row)
        chosen = ", ".join(f"{m} {sum(r[0] == m for r in row)}" for m in sorted({r[0] for r in row}))
        line = (
            f"{kind:9} {source:11} {len(row):2} stacks ({chosen}; {sum(r[1] for r in row)} frames left out): residual"
            f" median {np.median(distances):.2f}, 95 % {np.percentile(distances, 95):.2f}, worst {worst:.2f} px"
        )
        if model is not None:
            none, auto, true, still = np.mean([r[3] for r in row], axis=0)
            line += (
                f"; depth error none {none:.3f}, auto {auto:.3f}, true motion {true:.3f}, still {still:.3f} spacings"
            )
        print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pathtraced", type=Path, help="folder of `dualfocus render pathtraced`")
    parser.add_argument("--textures", type=Path, help="folder of images for the layered scenes")
    parser.add_argument("--scenes", type=int, default=8, help="path-traced stacks, and twice the layered ones")
    parser.add_argument("--planes", type=int, default=10, help="of a layered stack")
    parser.add_argument("--model", default="dualfocus-s", help="'no' leaves depth out")
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    options = parser.parse_args()
    network = None if options.model == "no" else dualfocus.load_model(options.model)
    for kind in options.kinds:
        measure(kind, options, network)
