"""Makes surfaces.png: what the spatial constraint sees in each plane of the packaged stack.

Columns are planes, near to far. Rows: the photograph; the surface whose gradient theta_grad decodes from z*_n; the
sharpness weight q_n of the true depth. Also prints how wrong the decoded gradient is where a plane is in focus and
where it is not: the paper's idea is that the first is much smaller.

Run from the repository's root: ``python examples/surfaces_picture.py``.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import dualfocus
from dualfocus.axis import FocusAxis
from dualfocus.inference import to_tensor
from dualfocus.losses import sharpness_weights
from dualfocus.models.projection import forward_differences, integrable_projection

ROOT = Path(__file__).resolve().parent.parent
IN_FOCUS, OUT_OF_FOCUS = 0.4, 0.05  # sharpness weights


def decoded() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (N, 3, H, W), theta_grad(z*_n) (N, 2, h, w), true depth (h, w) and q (N, h, w), in plane spacings."""
    stack = dualfocus.load_stack(ROOT / "src" / "dualfocus" / "samples" / "desk")
    model, axis = dualfocus.load_model("dualfocus-s", device="cpu"), FocusAxis(stack)
    images = torch.stack([to_tensor(stack[int(n)]) for n in stack.near_to_far])
    height, width = stack.size
    with torch.inference_mode():
        quarter = model.network.encoder(images)[0]
        _, gradient = model.network.surfaces(quarter, len(stack), (height // 4, width // 4))
    spacings = len(stack) - 1
    truth = torch.from_numpy(axis.normalise(stack.ground_truth)[2::4, 2::4]).float() * spacings
    weights = sharpness_weights(truth[None], torch.from_numpy(axis.planes).float()[None] * spacings)[0]
    return images, gradient, truth, weights


def report(gradient: Tensor, truth: Tensor, weights: Tensor) -> None:
    """Mean absolute error of the decoded gradient, where planes are in focus and where they are not."""
    error = (forward_differences(truth[None])[0] - gradient).abs().sum(dim=1)[:, :-1, :-1]
    q = weights[:, :-1, :-1]
    size = forward_differences(truth[None])[0].abs().sum(dim=0)[:-1, :-1]
    for name, chosen in (("in focus", q > IN_FOCUS), ("out of focus", q < OUT_OF_FOCUS)):
        flat = size.expand_as(q)[chosen].mean()
        print(f"{name}: error {error[chosen].mean():.4f} spacings a cell; a flat surface would have {flat:.4f}")


def grey(values: Tensor, low: float, high: float) -> np.ndarray:
    """A map (h, w) as an (4 h, 4 w, 3) picture."""
    level = ((values - low) / (high - low)).clamp(0, 1).mul(255).round().byte().numpy()
    return np.repeat(np.kron(level, np.ones((4, 4), np.uint8))[..., None], 3, axis=-1)


def picture(images: Tensor, gradient: Tensor, truth: Tensor, weights: Tensor) -> Image.Image:
    """The sheet: photographs, surfaces, sharpness weights."""
    surfaces = integrable_projection(gradient)
    centred = truth - truth.mean()
    low, high = float(centred.min()), float(centred.max())
    rows = [
        [image.permute(1, 2, 0).mul(255).round().byte().numpy() for image in images],
        [grey(surface, low, high) for surface in surfaces],
        [grey(q, 0, 0.5) for q in weights],
    ]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    return Image.fromarray(sheet).reduce(2)


if __name__ == "__main__":
    images, gradient, truth, weights = decoded()
    report(gradient, truth, weights)
    target = Path("surfaces.png")
    picture(images, gradient, truth, weights).save(target, optimize=True)
    print(target)
