"""Makes docs/images/overview.png: the packaged stack and what ``dualfocus demo`` computes from it.

Run from the repository's root: ``python tools/overview_picture.py``.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import dualfocus
from dualfocus.outputs.colour import colour_map

ROOT = Path(__file__).resolve().parent.parent
GAP, LABEL = 8, 30


def panels() -> list[tuple[str, np.ndarray]]:
    """Labelled (H, W, 3) pictures: two planes of the stack and the results."""
    stack = dualfocus.load_stack(ROOT / "src" / "dualfocus" / "samples" / "desk")
    result = dualfocus.load_model("dualfocus-s").predict(stack)
    inverse = 1 / result.depth
    nearness = (inverse - inverse.min()) / (inverse.max() - inverse.min())
    confidence = np.repeat(np.rint(255 * result.confidence).astype(np.uint8)[..., None], 3, axis=-1)
    near, far = stack.focus_distances[0], stack.focus_distances[-1]
    return [
        (f"focused at {near:.2f} m", stack[0]),
        (f"focused at {far:.2f} m ({len(stack)} planes)", stack[len(stack) - 1]),
        ("all in focus", result.all_in_focus),
        (f"depth, {result.depth.min():.2f} to {result.depth.max():.2f} m", colour_map()[np.uint8(255 * nearness)]),
        ("confidence", confidence),
    ]


def compose(parts: list[tuple[str, np.ndarray]]) -> Image.Image:
    """One row of labelled panels."""
    height, width = parts[0][1].shape[:2]
    sheet = Image.new("RGB", (len(parts) * (width + GAP) - GAP, height + LABEL), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    for index, (label, picture) in enumerate(parts):
        left = index * (width + GAP)
        sheet.paste(Image.fromarray(picture), (left, LABEL))
        draw.text((left + 2, 2), label, "black", font)
    return sheet


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # --help shows what it does instead of doing it
    target = ROOT / "docs" / "images" / "overview.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    compose(panels()).save(target, optimize=True)
    print(target)
