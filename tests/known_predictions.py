"""Predictions whose error is known, and the truths of the tiny data sets, read apart from the package."""

import json

import h5py
import numpy as np
import OpenEXR
from PIL import Image
from scipy import ndimage

from dualfocus import cli

BF = 0.1412375658


def nyu_truths(root, names):
    folder = root / "official_splits" / "test"
    for name in names:
        stem = name.replace("rgb_", "sync_depth_")
        yield np.array(Image.open(folder / f"{stem}.png"))[48:432, 64:576] / 1000


def fod_truths(root, names):
    for name in names:
        with OpenEXR.File(str(root / "fs_6" / f"{name}Dpt.exr"), separate_channels=True) as file:
            yield file.channels()["R"].pixels.astype(np.float64)


def mat_truths(root, names):
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as file:
        for name in names:
            yield file["rawDepths"][int(name)].T[48:432, 64:576].astype(np.float64)


def ddff_truths(root, names):
    (path,) = root.glob("*.h5")
    with h5py.File(path) as file:
        for name in names:
            yield file["disp_val"][int(name.removeprefix("val-"))].astype(np.float64)


def npy_truths(root, names):
    for name in names:
        (path,) = root.rglob(f"{name}.npy")
        yield np.load(path, allow_pickle=True).item()["gt"].astype(np.float64)


def hammer_truths(root, names):
    for name in names:
        with Image.open(root / "HAMMER" / name / "depth.png") as image:
            near, far, level = float(image.info["near"]), float(image.info["far"]), np.array(image).astype(float)
        depth = np.exp(np.log(near) + (level - 1) / 65533 * np.log(far / near))
        yield np.where((level > 0) & (level < 65535), depth, 0)


def stereo_truths(root, names):
    for name in names:
        (folder,) = root.rglob(name)
        with OpenEXR.File(str(folder / "disp.exr"), separate_channels=True) as file:
            yield file.channels()["Y"].pixels.astype(np.float64)


def zedd_truths(root, names):
    rows, columns = (np.floor((np.arange(n) + 0.5) * m / n).astype(int) for n, m in ((480, 1216), (720, 1824)))
    for name in names:
        depth = np.load(root / "val" / name / "gt" / "depth.npy")[rows][:, columns[40:680]]
        yield np.nan_to_num(depth.astype(np.float64))


def infinigen_truths(root, names):
    for name in names:
        depth = np.load(root / name / "depth.npy").astype(np.float64)
        yield np.where(depth < np.inf, depth, 0)


def predictions(folder, names, truths, change):
    for name, truth in zip(names, truths, strict=True):
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, change(truth))


def evaluate(protocol, data, out, *systems):
    code = cli.main(["evaluate", *systems, "--protocol", protocol, "--data", str(data), "-o", str(out)])
    assert code == 0
    summary = json.loads((out / "summary.json").read_text())
    return {name: found["mean"] for name, found in summary["models"].items()}


def bump(error, mask):
    """By scipy's filters: two Scharr derivatives each way, not halved, clipped at 0.05, percent."""
    smooth, slope = np.array([3, 10, 3]) / 16, np.array([1, 0, -1])

    def derivative(image, axis):
        along = ndimage.correlate1d(image, slope, axis=axis, mode="reflect")
        return ndimage.correlate1d(along, smooth, axis=1 - axis, mode="reflect")

    first = [derivative(error, axis) for axis in (0, 1)]
    second = sum(derivative(d, axis) ** 2 for d in first for axis in (0, 1))
    return 100 * np.minimum(np.sqrt(second), 0.05)[mask].mean()
