"""Batches as a function of seed and step alone, so that a resumed run sees what an uninterrupted one would."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from dualfocus.training.augment import jitter, registered
from dualfocus.training.config import DataConfig
from dualfocus.training.objective import Batch
from dualfocus.training.sources import open_source
from dualfocus.training.stacks import Source, TrainingStack, cut, draw_square, require_size, take_planes
from dualfocus.training.unblurred import SharpBatch, SharpStack, collate_sharp, mirrored


class BatchDataset(Dataset):
    """Item `step` is the whole batch of that step: B stacks of N planes, N drawn for each batch."""

    def __init__(self, config: DataConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self.sources: list[Source] | None = None
        weights = np.array([source.weight for source in config.sources])
        self.shares = weights / weights.sum()

    def __getitem__(self, step: int) -> Batch | SharpBatch:
        """Build the batch of one step, sharp where the device is to blur it."""
        if self.sources is None:  # opened in the worker: maps and caches are not shared
            self.sources = [open_source(source, self.config.coordinate) for source in self.config.sources]
        rng = np.random.default_rng((self.seed, step))
        planes = int(rng.integers(self.config.planes[0], self.config.planes[1] + 1))
        count = self.config.stacks(planes)
        if self.config.blur == "device":
            return collate_sharp([self._sharp(rng, planes) for _ in range(count)])
        stacks = [self._augmented(self._source(rng), rng, planes) for _ in range(count)]
        planes = min(len(stack.images) for stack in stacks)  # a source may have had shorter stacks only
        return collate([take_planes(stack, np.arange(planes)) for stack in stacks])

    def _source(self, rng: np.random.Generator) -> Any:
        assert self.sources is not None
        return self.sources[int(rng.choice(len(self.sources), p=self.shares))]

    def _sharp(self, rng: np.random.Generator, planes: int) -> SharpStack:
        """The stack that `_augmented` gives for the same random numbers, before its blur."""
        stack = self._source(rng).draw_sharp(rng, planes, self.config.crop)
        return mirrored(stack) if rng.random() < 0.5 else stack

    def _augmented(self, source: Source, rng: np.random.Generator, planes: int) -> TrainingStack:
        stack = source.draw(rng, planes, self.config.crop)
        stack = choose_planes(stack, rng, planes)
        if self.config.augmentation != "full":
            stack = random_crop(stack, rng, self.config.crop, turn=False)
            return upside_down(stack) if self.config.augmentation == "flips" and rng.random() < 0.5 else stack
        if self.config.registered and rng.random() < self.config.registered:
            stack = registered(stack, rng)
        return jitter(random_crop(stack, rng, self.config.crop), rng)


def choose_planes(stack: TrainingStack, rng: np.random.Generator, planes: int) -> TrainingStack:
    """Part of a longer stack: neighbouring planes (a window of the scene) or planes spread over it."""
    have = len(stack.images)
    if have <= planes:
        return stack
    if rng.random() < 0.5:
        first = int(rng.integers(have - planes + 1))
        return take_planes(stack, np.arange(first, first + planes))
    return take_planes(stack, np.sort(rng.choice(have, planes, replace=False)))


def random_crop(stack: TrainingStack, rng: np.random.Generator, crop: int, turn: bool = True) -> TrainingStack:
    """A random square, mirrored at random and, if wanted, turned.

    Raises:
        ValueError: the stack is smaller than the crop.
    """
    require_size(stack, crop)
    square = cut(stack, draw_square(rng, stack.truth.shape, crop))
    turns = int(rng.integers(4)) if turn else 0
    images = np.rot90(square.images, turns, (1, 2))
    truth, known = np.rot90(square.truth, turns), np.rot90(square.known, turns)
    if rng.random() < 0.5:
        images, truth, known = images[:, :, ::-1], truth[:, ::-1], known[:, ::-1]
    return square._replace(images=images, truth=truth, known=known)


def upside_down(stack: TrainingStack) -> TrainingStack:
    """Top and bottom exchanged."""
    return stack._replace(images=stack.images[:, ::-1], truth=stack.truth[::-1], known=stack.known[::-1])


def collate(stacks: list[TrainingStack]) -> Batch:
    """Stack equal-sized training stacks into one batch."""
    return Batch(
        images=torch.from_numpy(np.stack([stack.images for stack in stacks])),
        coordinates=torch.from_numpy(np.stack([stack.coordinates for stack in stacks]).astype(np.float32)),
        truth=torch.from_numpy(np.stack([stack.truth for stack in stacks]).astype(np.float32)),
        known=torch.from_numpy(np.stack([stack.known for stack in stacks])),
        ratio=torch.tensor([stack.ratio for stack in stacks]),
    )


def batch_loader(config: DataConfig, seed: int, first: int, last: int) -> Iterator[Batch | SharpBatch]:
    """Batches of the steps `first` to `last` - 1 in order.

    Raises:
        ValueError: data that cannot be used, in the words of its source, whoever loads it.
    """
    options: dict[str, Any] = {"prefetch_factor": 4, "worker_init_fn": _quiet_worker} if config.workers else {}
    dataset = _Outcomes(BatchDataset(config, seed))
    options |= {"sampler": range(first, last), "num_workers": config.workers}
    with _without_opencv_threads():
        outcomes = iter(DataLoader(dataset, batch_size=None, **options))  # begins the workers
    for outcome in outcomes:
        if isinstance(outcome, ValueError):
            raise outcome
        yield outcome


class _Outcomes(Dataset):
    """Batches, or the errors in place of them: a loader would bury what one says in the traceback of its worker."""

    def __init__(self, batches: BatchDataset) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> Batch | SharpBatch | ValueError:
        try:
            return self.batches[step]
        except (ValueError, OSError) as error:
            return ValueError(str(error))  # others may not survive the way from the worker


@contextlib.contextmanager
def _without_opencv_threads() -> Iterator[None]:
    """End OpenCV's threads for a while: a process that is forked beside them waits for ever where it would end them."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)  # two crowds of threads on few cores run far slower than one
    cv2.setNumThreads(1)
