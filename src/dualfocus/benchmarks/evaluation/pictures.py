"""All-in-focus images against known sharp pictures, beside what Debian's `enfuse` makes of the same planes.

`python -m dualfocus.benchmarks.evaluation.pictures FOLDER [NAME ...]` measures stacks of FOLDER that have an
`all_in_focus` image, all or those named; with `procedural [TEXTURES]` instead, scenes of held-out seeds.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dualfocus.markdown import markdown_table
from dualfocus.messages import ending_in_one_line
from dualfocus.metrics import psnr, ssim
from dualfocus.stack import FocalStack

if TYPE_CHECKING:
    from dualfocus.datasets import Dataset
    from dualfocus.inference.predictor import Predictor

_PROCEDURAL = 40  # scenes
_ENFUSE = ("--exposure-weight=0", "--saturation-weight=0", "--contrast-weight=1")


def enfuse(stack: FocalStack, mask: str) -> NDArray[np.uint8]:
    """What enfuse composes of 8-bit planes with the weights usual for focus stacking, (H, W, 3).

    Args:
        stack: the planes.
        mask: "hard" or "soft".

    Raises:
        ValueError: enfuse is not installed.
    """
    if shutil.which("enfuse") is None:
        raise ValueError("enfuse is not installed: apt-get install enfuse")
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{folder}/{n:04d}.png" for n in range(len(stack))]
        for name, plane in zip(names, stack, strict=True):
            cv2.imwrite(name, plane[..., ::-1])
        out = f"{folder}/fused.png"
        subprocess.run(["enfuse", *_ENFUSE, f"--{mask}-mask", "-o", out, *names], check=True, capture_output=True)
        return np.asarray(cv2.imread(out, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def _composed(model: Predictor, stack: FocalStack) -> NDArray[Any]:
    return model.predict(stack).all_in_focus


def compare(samples: Dataset, names: Sequence[str] = ()) -> Iterator[tuple[str, str, float, float, float]]:
    """Stack, method, PSNR, SSIM and seconds, for every sample with a sharp picture, or those of `names`.

    Raises:
        ValueError: a name that no sample has.
    """
    from dualfocus.inference.torch_model import load_torch_model

    models = [load_torch_model(name, device="cpu") for name in ("dualfocus-s", "classical")]
    if missing := sorted(set(names) - set(samples.names)):
        raise ValueError(f"no stack with truth is called {missing[0]!r}")
    for number, name in enumerate(samples.names):
        if names and name not in names:
            continue
        sample = samples[number]
        if sample.all_in_focus is None:
            continue
        methods: dict[str, Callable[[], NDArray[Any]]] = {
            model.name: partial(_composed, model, sample.stack) for model in models
        }
        methods["enfuse, hard mask"] = partial(enfuse, sample.stack, "hard")
        methods["enfuse, soft mask"] = partial(enfuse, sample.stack, "soft")
        for label, method in methods.items():
            started = time.perf_counter()
            image = method()
            seconds = time.perf_counter() - started
            yield name, label, psnr(image, sample.all_in_focus), ssim(image, sample.all_in_focus), seconds


def main(source: str, *names: str) -> None:
    """Print the means over all stacks of a folder, or of the procedural scenes with textures of a folder."""
    from dualfocus.datasets import ProceduralScenes, StackFolders

    samples: Dataset
    if source == "procedural":
        samples, names = ProceduralScenes(_PROCEDURAL, textures=names[0] if names else None), ()
    else:
        samples = StackFolders(source)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for _, method, *figures in compare(samples, names):
        rows.setdefault(method, []).append((figures[0], figures[1], figures[2]))
    if not rows:
        raise ValueError(f"{source}: no stack with an all-in-focus image in its stack.json")
    count = len(next(iter(rows.values())))
    means = ((method, *np.mean(values, axis=0).tolist()) for method, values in rows.items())
    cells = ([method, f"{db:.2f}", f"{alike:.4f}", f"{seconds:.2f}"] for method, db, alike, seconds in means)
    print(f"{count} stacks\n\n{markdown_table(['method', 'PSNR dB', 'SSIM', 'seconds'], cells)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder of stacks, or `procedural`")
    parser.add_argument("names", nargs="*", help="stacks of the folder; of `procedural` a folder of textures")
    options = parser.parse_args()
    with ending_in_one_line():
        main(options.source, *options.names)
