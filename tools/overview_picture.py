"""Makes docs/images/overview.png: the packaged stack and what `dualfocus demo` computes from it.

Prints how much of the depth is right and how much the confidence says is.

Run from the repository's root: `python tools/overview_picture.py`.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import dualfocus
from dualfocus.outputs.colour import colour_map

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 3
GAP, LABEL = 10, 34


def panels() -> list[tuple[str, np.ndarray]]:
    """Labelled (H, W, 3) pictures: two planes of the stack, and the results beside the true depth."""
    stack = dualfocus.load_stack(ROOT / "src" / "dualfocus" / "samples" / "desk")
    result = dualfocus.load_model("dualfocus-s").predict(stack)
    true = stack.ground_truth
    assert true is not None
    shown = np.concatenate((1 / result.depth.ravel(), 1 / true[true > 0]))
    ends = float(shown.min()), float(shown.max())
    confidence = np.repeat(np.rint(255 * result.confidence).astype(np.uint8)[..., None], 3, axis=-1)
    near, far = stack.focus_distances[0], stack.focus_distances[-1]
    half = (1 / near - 1 / far) / (len(stack) - 1) / 2
    right = np.abs(1 / result.depth - 1 / true)[true > 0] < half
    print(f"within half a plane spacing {right.mean():.3f}, confidence {result.confidence[true > 0].mean():.3f}")
    return [
        (f"focused at {near:.2f} m, one of {len(stack)}", stack[0]),
        (f"focused at {far:.2f} m", stack[len(stack) - 1]),
        ("all in focus", result.all_in_focus),
        (f"depth: red {1 / ends[1]:.2f} m, blue {1 / ends[0]:.2f} m", coloured(result.depth, ends)),
        ("true depth, same colours", coloured(true, ends)),
        ("confidence: black 0, white 1", confidence),
    ]


def coloured(depth: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """(H, W) metres as colours, even in inverse depth between two ends in 1/m; unknown depth is grey."""
    known = depth > 0
    nearness = (1 / np.where(known, depth, 1) - ends[0]) / (ends[1] - ends[0])
    picture = colour_map()[np.uint8(np.rint(255 * nearness.clip(0, 1)))]
    picture[~known] = 128
    return picture


def compose(parts: list[tuple[str, np.ndarray]]) -> Image.Image:
    """Rows of labelled panels."""
    height, width = parts[0][1].shape[:2]
    rows = -(-len(parts) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + GAP) - GAP, rows * (height + LABEL)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(22)
    for index, (label, picture) in enumerate(parts):
        left, top = index % COLUMNS * (width + GAP), index // COLUMNS * (height + LABEL)
        sheet.paste(Image.fromarray(picture), (left, top + LABEL))
        draw.text((left + 2, top + 3), label, "black", font)
    return sheet


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # --help shows what it does instead of doing it
    target = ROOT / "docs" / "images" / "overview.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    compose(panels()).save(target, optimize=True)
    print(target)
