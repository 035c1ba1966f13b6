"""Folders of small photographs for the tests of readers."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

H, W = 12, 16


def picture(seed=0, dtype=np.uint8):
    top = 255 if dtype == np.uint8 else 65535
    return np.random.default_rng(seed).integers(0, top, (H, W, 3)).astype(dtype)


def write_folder(folder: Path, names, size=(W, H), **save):
    folder.mkdir(exist_ok=True)
    for n, name in enumerate(names):
        Image.fromarray(picture(n)).resize(size).save(folder / name, **save)
    return folder


def write_sidecar(folder: Path, **keys):
    (folder / "stack.json").write_text(json.dumps(keys), encoding="utf-8")
    return folder / "stack.json"
