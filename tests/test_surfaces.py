"""The measurement of the surfaces, on a stand-in whose gradients are known."""

import numpy as np
import pytest
import torch
from surface_errors import surface_errors

from dualfocus.models import build_network
from dualfocus.models.projection import forward_differences
from dualfocus.training.batches import collate
from dualfocus.training.objective import network_input, sample_cells
from dualfocus.training.stacks import TrainingStack


def slope(planes: int = 5, size: int = 64):
    """A plane that rises by 1 from the left to the right, in a stack of noise."""
    truth = np.broadcast_to(np.linspace(0.01, 0.99, size, dtype=np.float32), (size, size))
    images = np.random.default_rng(0).integers(0, 255, (planes, size, size, 3), dtype=np.uint8)
    return collate([TrainingStack(images, np.linspace(0, 1, planes), truth, np.ones(truth.shape, bool))])


class Known:
    """Says the true gradient where `wrong` is 0."""

    def __init__(self, batch, wrong: float) -> None:
        self.batch, self.wrong = batch, wrong

    def surface_gradients(self, images):
        truth = sample_cells(self.batch["truth"], 4) * (images.shape[1] - 1)
        gradient = forward_differences(truth)[:, None].expand(-1, images.shape[1], -1, -1, -1)
        return {4: gradient + self.wrong}


def test_truth_has_no_error_and_flat_has_the_slope():
    batch = slope()
    rows = surface_errors(Known(batch, 0.0), [batch])
    assert [(row.stride, row.baseline) for row in rows] == [(4, 1), (4, 2), (4, 4), (4, 8)]
    step = 0.98 / 63 * 4 * 4  # of the coordinate a pixel, in spacings a cell
    for row in rows:
        assert row.in_focus == pytest.approx(0, abs=1e-6) and row.out_of_focus == pytest.approx(0, abs=1e-6)
        assert row.in_focus_flat == pytest.approx(step, rel=0.05)  # whatever the baseline
    for row in surface_errors(Known(batch, 1.0), [batch]):
        assert row.in_focus == pytest.approx(2, abs=1e-4)  # in both components


@pytest.mark.parametrize("name", ["dualfocus-s", "dualfocus-paper"])
def test_a_network_gives_the_gradients_it_is_trained_on(name):
    options = {} if name == "dualfocus-s" else {"width": 0.125}
    torch.manual_seed(0)
    network, batch = build_network(name, options), slope()
    images = network_input(batch)
    trained = network.train()(images, batch["coordinates"]).training.gradients
    found = network.surface_gradients(images)
    assert found and set(found) == set(trained)
    for stride, gradient in found.items():
        torch.testing.assert_close(gradient, trained[stride], rtol=1e-3, atol=1e-4)
