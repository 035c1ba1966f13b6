"""`clip_truth`: every pixel with truth is trained on, whatever part of a stack is used and whoever blurs it."""

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from test_datasets import make_nyu
from training_runs import write_stack

from dualfocus.training.batches import BatchDataset
from dualfocus.training.config import DataConfig, SourceConfig, ValidationConfig
from dualfocus.training.unblurred import on_device
from dualfocus.training.validate import Validation


def beyond(truth: np.ndarray, known: np.ndarray) -> int:
    """Pixels with truth that no loss counts."""
    return int((((truth < 0) | (truth > 1)) & known).sum())


@pytest.mark.parametrize("augmentation", ["full", "mirror"])
def test_stacks_used_in_part(tmp_path, augmentation):
    for seed in range(4):
        write_stack(tmp_path / f"scene{seed}", seed, "m")
    counts = []
    for clip in (False, True):
        source = SourceConfig(kind="stacks", path=tmp_path, clip_truth=clip)
        config = DataConfig(sources=[source], crop=32, planes=(2, 2), augmentation=augmentation)
        batches = [BatchDataset(config, 0)[step] for step in range(3)]
        held_out = Validation(ValidationConfig(sources=[source], stacks=1, crop=32), 0).draw(6, 1, (2, 2))
        counts.append(
            [sum(beyond(b["truth"].numpy(), b["known"].numpy()) for b in some) for some in (batches, held_out)]
        )
    assert min(counts[0]) > 0, "else this tests nothing"
    assert counts[1] == [0, 0]


def test_stacks_that_the_device_blurs(tmp_path):
    source = SourceConfig(kind="nyu", path=make_nyu(tmp_path), focus_distances=(1, 2), clip_truth=True)
    options = {"sources": [source], "crop": 64, "planes": (2, 2), "augmentation": "mirror", "planes_per_batch": 4}
    expected = BatchDataset(DataConfig(**options), 0)[0]
    found = on_device(BatchDataset(DataConfig(**options, blur="device"), 0)[0], torch.device("cpu"))
    torch.testing.assert_close(found["truth"], expected["truth"])
    assert beyond(found["truth"].numpy(), found["known"].numpy()) == 0
    unclipped = source.model_copy(update={"clip_truth": False})
    plain = BatchDataset(DataConfig(**options | {"sources": [unclipped]}), 0)[0]
    assert beyond(plain["truth"].numpy(), plain["known"].numpy()) > 0, "else this tests nothing"
