"""Error of models on rendered series of many planes: `python tools/long_series.py --textures FOLDER`.

Scenes with the held-out textures of the folder, 13 to 48 planes a fraction of a pixel of blur apart, up to 25 px over
the range. Prints the mean over series of RMSE and mean absolute error inside the focus range, in focus ranges, and the
calibration error of the confidence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import dualfocus
from dualfocus.benchmarks.evaluation.reliability import ConfidenceHistogram
from dualfocus.inference.predictor import Predictor
from dualfocus.rendering.capture import RenderedStack, render_stack
from dualfocus.rendering.textures import TexturePool

SEED = 6000
SIZE = (320, 416)


def main(options: argparse.Namespace) -> None:
    """Render, predict and print."""
    models = {name: dualfocus.load_model(name) for name in options.models}
    pool = TexturePool(options.textures, "held_out")
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    pixels = {name: ConfidenceHistogram() for name in models}
    planes = np.random.default_rng(0).integers(13, 49, options.count)
    for number, count in enumerate(planes):
        scene = render_stack(SEED + number, pool, size=SIZE, planes=int(count))
        for name, model in models.items():
            error, confidence = measure(model, scene)
            rows[name].append((float(np.sqrt(np.mean(error**2))), float(np.mean(error))))
            pixels[name].add(confidence, error, error < 0.5 / (count - 1))
        print(number, count, *(f"{name} {rows[name][-1][0]:.4f}" for name in models), flush=True)
    for name in models:
        rmse, mae = np.mean(rows[name], axis=0)
        gap = pixels[name].expected_calibration_error()
        print(f"{name}: RMSE {rmse:.4f}, mean {mae:.4f} focus ranges, calibration error {gap:.3f}")


def measure(model: Predictor, scene: RenderedStack) -> tuple[np.ndarray, np.ndarray]:
    """Absolute error in focus ranges and confidence, of the pixels inside the focus range."""
    result = model.predict(dualfocus.FocalStack(scene.images, scene.focus_distances, "m"))
    first, last = 1 / scene.focus_distances[[0, -1]]
    coordinate = (1 / result.depth - first) / (last - first)
    return np.abs(coordinate - scene.truth)[scene.valid], result.confidence[scene.valid]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--textures", type=Path, help="folder of images; noise textures without")
    parser.add_argument("--count", type=int, default=20, help="series")
    parser.add_argument("--models", nargs="+", default=["dualfocus-s", "classical"])
    main(parser.parse_args())
