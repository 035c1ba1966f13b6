"""Makes surfaces.png: what the spatial constraint sees in each plane of a stack, and prints whether it is alive.

Columns are planes, near to far. Rows: the photograph; the surface whose gradient theta_grad decodes from z*_n at 1/16
of the image; the sharpness weight q_n of the true depth. The paper's idea is that the surface is clean where its plane
is in focus. The table says how wrong the decoded gradients are, in and out of focus, beside a decoder that always says
"flat", at every level of the network and over several baselines.

Run from the repository's root: `python tools/surfaces_picture.py [weights.safetensors] [--stacks config.yaml]`.
Without a training configuration, whose validation stacks are measured, it is the packaged stack.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from surface_errors import surface_errors
from torch import Tensor

import dualfocus
from dualfocus.datasets import StackFolders
from dualfocus.losses import sharpness_weights
from dualfocus.models.projection import integrable_projection
from dualfocus.training.batches import collate
from dualfocus.training.config import read_config
from dualfocus.training.objective import Batch, network_input, sample_cells
from dualfocus.training.stacks import from_sample
from dualfocus.training.validate import Validation

LEVEL = 16  # pixels a cell: the finest surfaces of dualfocus-s, and the finest of the others that are alive
SAMPLES = Path(dualfocus.__file__).parent / "samples"


def stacks(config: Path | None) -> list[Batch]:
    """The validation stacks of a training configuration, or the packaged stack."""
    if config is None:
        return [collate([from_sample(StackFolders(SAMPLES)[0])])]
    settings = read_config(config)
    return Validation(settings.validation, settings.seed, settings.data.coordinate).batches


def grey(values: Tensor, low: float, high: float) -> np.ndarray:
    """A map (h, w) at 1 / `LEVEL` as a picture of full size, (H, W, 3)."""
    level = ((values - low) / (high - low)).clamp(0, 1).mul(255).round().byte().numpy()
    return np.repeat(np.kron(level, np.ones((LEVEL, LEVEL), np.uint8))[..., None], 3, axis=-1)


def picture(gradient: Tensor, batch: Batch) -> Image.Image:
    """The sheet: photographs, surfaces, sharpness weights; `gradient` is theta_grad's at 1 / `LEVEL`."""
    spacings = batch["coordinates"].shape[1] - 1
    truth = sample_cells(batch["truth"], LEVEL) * spacings
    weights = sharpness_weights(truth, batch["coordinates"].float() * spacings)[0]
    centred = truth[0] - truth[0].mean()
    low, high = float(centred.min()), float(centred.max())
    rows = [
        list(batch["images"][0].numpy()),
        [grey(surface, low, high) for surface in integrable_projection(gradient)],
        [grey(q, 0, 0.5) for q in weights],
    ]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    return Image.fromarray(sheet).reduce(2)


def main() -> None:
    """Print the table and write the sheet of the first stack."""
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", nargs="?", default="dualfocus-s")
    parser.add_argument("--stacks", type=Path)
    arguments = parser.parse_args()
    network = dualfocus.load_model(arguments.weights, device="cpu").network
    batches = stacks(arguments.stacks)
    print("errors of theta_grad(z*_n) in plane spacings a cell, and of a decoder that always says flat")
    print("level baseline | in focus   flat ratio | out of focus   flat ratio")
    for row in surface_errors(network, batches):
        inside, outside = row.in_focus / row.in_focus_flat, row.out_of_focus / row.out_of_focus_flat
        print(
            f" 1/{row.stride:<3} {row.baseline:7} | {row.in_focus:8.4f} {row.in_focus_flat:6.4f} {inside:5.2f} |"
            f" {row.out_of_focus:12.4f} {row.out_of_focus_flat:6.4f} {outside:5.2f}"
        )
    with torch.inference_mode():
        gradient = network.surface_gradients(network_input(batches[0]))[LEVEL][0]
    picture(gradient, batches[0]).save("surfaces.png", optimize=True)


if __name__ == "__main__":
    main()
