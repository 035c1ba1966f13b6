"""Fits the confidence of `classical`; prints its calibration on scenes the fit has not seen and the depth's accuracy.

Run from the repository: `python tools/fit_classical_confidence.py`. Needs the data folder that `DUALFOCUS_DATA`
names. Two thirds of the path-traced scenes and one relief fit; the others check. Every stack is used whole and thinned
to fewer planes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dualfocus.models.classical import Classical
from dualfocus.models.classical.confidence import CONFIDENCE, ConfidenceCoefficients


def read_stack(folder: Path) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Images (N, 3, H, W), normalised coordinates (N,) and true normalised coordinate (H, W), NaN where unknown."""
    record = json.loads((folder / "stack.json").read_text())
    frames = [np.asarray(Image.open(folder / name).convert("RGB"), np.float32) / 255 for name in record["images"]]
    images = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    if record["focus_distances"] is None:
        u = np.arange(len(frames), dtype=np.float64)
        truth = np.load(folder / record["ground_truth"]).astype(np.float64)
    else:
        u = 1 / np.array(record["focus_distances"])
        z = np.asarray(Image.open(folder / record["depth_png"])) * record["depth_png_scale_m"]
        with np.errstate(divide="ignore"):
            truth = np.where(z > 0, 1 / z, np.nan)
    coordinates = (u - u[0]) / (u[-1] - u[0])
    return images, torch.from_numpy(coordinates).float(), (truth - u[0]) / (u[-1] - u[0])


def thinned(count: int) -> Iterator[list[int]]:
    """Index lists of the whole stack and of versions with fewer planes, first and last kept."""
    seen = set()
    for target in (count, (count + 1) // 2, (count + 3) // 4, (count + 7) // 8, 3, 2):
        target = max(2, target)
        if target not in seen:
            seen.add(target)
            yield [round(float(i)) for i in np.linspace(0, count - 1, target)]


def collect(folders: list[Path], pixels: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evidence (M, 7), whether the error is below half a plane spacing (M,), and number of planes (M,)."""
    rng, model = np.random.default_rng(0), Classical()
    rows, good, counts = [], [], []
    for folder in folders:
        images, coordinates, truth = read_stack(folder)
        for chosen in thinned(len(images)):
            peak, evidence = model.analyse(images[chosen].__getitem__, coordinates[chosen])
            error = np.abs(peak.coordinate.numpy() - truth) * (len(chosen) - 1)
            pick = rng.choice(np.flatnonzero(np.isfinite(truth.ravel())), pixels)
            rows.append(evidence.flatten(1).numpy()[:, pick].T)
            good.append(error.ravel()[pick] < 0.5)
            counts.append(np.full(pixels, len(chosen)))
    return np.concatenate(rows).astype(np.float64), np.concatenate(good), np.concatenate(counts)


def logistic(x: np.ndarray, y: np.ndarray, ridge: float = 1.0) -> np.ndarray:
    """Logistic regression by Newton's method; the first coefficient is the bias."""
    x = np.column_stack([np.ones(len(x)), x])
    w = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(w))
        w += np.linalg.solve(hessian, x.T @ (y - p) - ridge * w)
    return w


def report(name: str, w: np.ndarray, x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> None:
    """Reliability in ten bins, expected calibration error, area under the ROC curve, and bias by number of planes."""
    p = 1 / (1 + np.exp(-(w[0] + x @ w[1:])))
    bins = np.minimum((p * 10).astype(int), 9)
    share = np.bincount(bins, minlength=10) / len(p)
    said, true = (np.bincount(bins, v, minlength=10) / np.maximum(share * len(p), 1) for v in (p, y.astype(float)))
    ranks = np.empty(len(p))
    ranks[np.argsort(p)] = np.arange(1, len(p) + 1)
    auc = (ranks[y].mean() - (y.sum() + 1) / 2) / (~y).sum()
    print(
        f"{name}: right {y.mean():.3f}, said {p.mean():.3f}, ECE {np.sum(share * abs(said - true)):.3f}, AUC {auc:.3f}"
    )
    print("  said " + " ".join(f"{v:.2f}" for v in said) + "\n  true " + " ".join(f"{v:.2f}" for v in true))
    for n in np.unique(counts):
        print(f"  N={n}: right {y[counts == n].mean():.3f}, said {p[counts == n].mean():.3f}")


def data_folder() -> Path:
    """The folder of test data that is not in this repository."""
    if "DUALFOCUS_DATA" not in os.environ:
        raise SystemExit("set DUALFOCUS_DATA to the folder that holds pathtraced/ and stacks/")
    return Path(os.environ["DUALFOCUS_DATA"])


def depth_figures(scenes: list[Path], reliefs: list[Path]) -> None:
    """Prints the accuracy of the depth: path-traced (mean over scenes of AbsRel, δ1, error in planes) and reliefs."""
    model, rows = Classical(), []
    for folder in scenes:
        images, coordinates, truth = read_stack(folder)
        ends = 1 / np.array(json.loads((folder / "stack.json").read_text())["focus_distances"])[[0, -1]]
        found = model.estimate(images.__getitem__, coordinates)[0].numpy().astype(np.float64)
        valid = np.isfinite(truth)
        ratio = (ends[0] + truth * (ends[1] - ends[0])) / (ends[0] + found * (ends[1] - ends[0]))
        planes = np.abs(found - np.clip(truth, 0, 1))[valid] * (len(images) - 1)
        wrong = np.maximum(ratio, 1 / ratio)[valid]
        rows.append([np.abs(ratio - 1)[valid].mean(), (wrong < 1.25).mean(), planes.mean(), (planes < 0.5).mean()])
    print(
        "path-traced: AbsRel {:.4f}, δ1 {:.4f}, mean error {:.3f} planes, below half {:.3f}".format(*np.mean(rows, 0))
    )
    for folder in reliefs:
        images, coordinates, truth = read_stack(folder)
        found, valid = model.estimate(images.__getitem__, coordinates)[0].numpy(), np.isfinite(truth)
        error = np.abs(found - truth)[valid].mean() * (len(images) - 1)
        print(
            f"{folder.name}: correlation {np.corrcoef(found[valid], truth[valid])[0, 1]:.5f}, error {error:.3f} planes"
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    data = data_folder()
    scenes = sorted((data / "pathtraced").iterdir())
    reliefs = data / "stacks" / "generated_relief"
    fit = collect([s for i, s in enumerate(scenes) if i % 3] + [reliefs / "relief1"])
    check = collect([s for i, s in enumerate(scenes) if i % 3 == 0] + [reliefs / "relief2"])
    coefficients = logistic(fit[0], fit[1])
    print(ConfidenceCoefficients(*(round(float(v), 3) for v in coefficients)))
    report("fit", coefficients, *fit)
    report("check", coefficients, *check)
    report("in the code, check", np.array(CONFIDENCE), *check)
    depth_figures(scenes, [reliefs / "relief1", reliefs / "relief2"])
