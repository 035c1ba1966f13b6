"""Validation on held-out stacks, with saved pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from dualfocus.stack.axis import AxisName
from dualfocus.training.batches import choose_planes, collate
from dualfocus.training.config import ValidationConfig
from dualfocus.training.objective import Batch, network_input, to_device, validation_errors
from dualfocus.training.sources import open_source
from dualfocus.training.stacks import TrainingStack, cut


class Validation:
    """The same held-out stacks each time: drawn once from the configured sources."""

    def __init__(self, config: ValidationConfig, seed: int, axis: AxisName = "focus") -> None:
        self.config, self.seed = config, seed
        self.sources = [open_source(source, axis) for source in config.sources]
        weights = np.array([source.weight for source in config.sources])
        self.shares = weights / weights.sum()
        self.batches = list(self.draw(config.stacks, 0))

    def draw(self, count: int, number: int, planes_range: tuple[int, int] | None = None) -> Iterator[Batch]:
        """`count` held-out stacks one by one, sources by weight, always the same for the same `number`.

        Args:
            count: number of stacks.
            number: number of the series, other stacks for each.
            planes_range: least and most planes, longer stacks are used in part; default: whole stacks of about the
                configured number.
        """
        rng = np.random.default_rng((self.seed, 2**31, number))
        least, most = planes_range or self.config.planes
        for _ in range(count if self.sources else 0):
            planes = int(rng.integers(least, most + 1))
            source = self.sources[int(rng.choice(len(self.sources), p=self.shares))]
            stack = source.draw(rng, planes, self.config.crop)
            if planes_range:
                stack = choose_planes(stack, rng, planes)
            yield collate([centre_crop(stack, self.config.crop)])

    def draw_for_confidence(self) -> Iterator[Batch]:
        """Other held-out stacks than those validated on, of all numbers of planes, to fit the confidence map."""
        return self.draw(self.config.calibration_stacks, 1, self.config.calibration_planes)

    @torch.no_grad()
    def __call__(self, network: nn.Module, device: torch.device, pictures: Path | None = None) -> dict[str, float]:
        """Mean over stacks of rmse and mae (in focus ranges) and mae_spacings (in plane spacings)."""
        network.eval()
        rows = []
        for index, batch in enumerate(self.batches):
            batch = to_device(batch, device)
            output = network(network_input(batch), batch["coordinates"])
            rows.append({key: float(value.mean()) for key, value in validation_errors(output, batch).items()})
            if pictures and index < self.config.pictures:
                pictures.mkdir(parents=True, exist_ok=True)
                _picture(batch, output.coordinate, output.confidence).save(pictures / f"{index:02d}.png")
        return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]} if rows else {}


def centre_crop(stack: TrainingStack, crop: int) -> TrainingStack:
    """The middle square of at most `crop` pixels."""
    height, width = stack.truth.shape
    rows, columns = min(crop, height), min(crop, width)
    top, left = (height - rows) // 2, (width - columns) // 2
    return cut(stack, (slice(top, top + rows), slice(left, left + columns)))


def _picture(batch: Batch, coordinate: torch.Tensor, confidence: torch.Tensor) -> Image.Image:
    """First and last plane, truth, prediction, error (white = one spacing) and confidence side by side."""
    images = batch["images"][0].byte().cpu().numpy()
    spacing = 1 / (images.shape[0] - 1)
    truth, prediction = batch["truth"][0], coordinate[0]
    error = (truth - prediction).abs() / spacing
    maps = [_grey(truth), _grey(prediction), _grey(error), _grey(confidence[0])]
    return Image.fromarray(np.concatenate([images[0], images[-1], *maps], axis=1))


def _grey(values: torch.Tensor) -> np.ndarray:
    scaled = (values.float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    return np.repeat(scaled[..., None], 3, axis=-1)
