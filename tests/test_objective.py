"""The objective: what unknown pixels, temperatures and baselines do to its value and gradients."""

import pytest
import torch
from training_runs import SMALL, settings, write

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from dualfocus.models import build_network
from dualfocus.models.output import FocusOutput, TrainingOutput
from dualfocus.rendering.capture import render_stack
from dualfocus.training import loop
from dualfocus.training.batches import collate
from dualfocus.training.config import LossConfig, SourceConfig, read_config
from dualfocus.training.loop import Trainer, train
from dualfocus.training.objective import network_input, objective, validation_errors
from dualfocus.training.sources import open_source
from dualfocus.training.stacks import from_rendered


class TestObjective:
    @staticmethod
    def batch():
        stack = from_rendered(render_stack(3, size=32, planes=3))
        return collate([stack, stack])

    def test_unknown_pixels_change_nothing_in_value_and_gradient(self):
        results = []
        for spoil in (0.5, float("nan"), float("inf")):
            torch.manual_seed(0)
            model, batch = build_network("dualfocus-s", SMALL).train(), self.batch()
            batch["known"][:, :10] = False
            batch["truth"][:, :10] = spoil
            losses = objective(model(network_input(batch), batch["coordinates"]), batch, LossConfig())
            losses.total.backward()
            results.append([*losses, *(p.grad for p in model.parameters())])
        assert all(torch.isfinite(value).all() for value in results[0])
        for other in results[1:]:
            for one, two in zip(results[0], other, strict=True):
                torch.testing.assert_close(one, two, rtol=0, atol=0)

    def test_the_confidence_counts_with_its_weight(self):
        batch = self.batch()
        torch.manual_seed(0)
        output = build_network("dualfocus-s", SMALL).train()(network_input(batch), batch["coordinates"])
        plain, twice, none = (objective(output, batch, LossConfig(confidence=w)) for w in (0.1, 0.2, 0))
        assert plain.confidence > 0 and torch.equal(plain.total, objective(output, batch, LossConfig()).total)
        assert torch.equal(twice.confidence, plain.confidence) and none.confidence == 0
        for losses, weight in ((plain, 0.1), (twice, 0.2)):
            torch.testing.assert_close(losses.total - none.total, weight * plain.confidence)

    def test_a_perfect_answer_costs_nothing(self):
        batch = self.batch()
        p = torch.tensor([0.2, 0.5, 0.3])[None, :, None, None].expand(2, 3, 8, 8)
        truth = batch["truth"]
        training = TrainingOutput({}, truth[:, None].expand(-1, 2, -1, -1))
        output = FocusOutput(p, truth, torch.zeros_like(truth), torch.ones_like(truth), training)
        losses = objective(output, batch, LossConfig())
        assert losses.total == losses.depth == losses.focal == losses.spatial == 0

    @pytest.mark.parametrize("planes", [2, 5])
    def test_errors_are_measured_in_plane_spacings(self, planes):
        truth = torch.linspace(-0.2, 1.2, 64).view(1, 8, 8)
        batch = {
            "images": torch.zeros(1, planes, 8, 8, 3, dtype=torch.uint8),
            "coordinates": torch.linspace(0, 1, planes)[None],
            "truth": truth,
            "known": torch.ones(1, 8, 8, dtype=torch.bool),
            "ratio": torch.ones(1),
        }
        off = truth + 3 / (planes - 1)  # three planes too far
        inside = (truth >= 0) & (truth <= 1)
        off = torch.where(inside, off, torch.full_like(off, 99.0))  # outside the focus range nothing counts
        p = torch.full((1, planes, 8, 8), 1 / planes)
        output = FocusOutput(p, off, torch.zeros_like(off), p[:, 0], TrainingOutput({}, off[:, None]))
        losses = objective(output, batch, LossConfig(side=(0.5,)))
        assert float(losses.depth) == pytest.approx(1.5 * (3 - 0.5), rel=1e-5)  # smooth-L1 of 3 with beta 1
        errors = validation_errors(output, batch)
        assert float(errors["mae_spacings"]) == pytest.approx(3, rel=1e-5)
        assert float(errors["mae"]) == float(errors["rmse"]) == pytest.approx(3 / (planes - 1), rel=1e-5)

    def test_the_gradient_of_a_ramp_is_a_slope_per_cell(self):
        truth = torch.linspace(0, 1, 32).expand(1, 32, 32)
        batch = {
            "images": torch.zeros(1, 5, 32, 32, 3, dtype=torch.uint8),
            "coordinates": torch.linspace(0, 1, 5)[None],
            "truth": truth,
            "known": torch.ones(1, 32, 32, dtype=torch.bool),
            "ratio": torch.ones(1),
        }
        gradient = torch.zeros(1, 5, 2, 8, 8)
        gradient[:, :, 0] = 4 * 4 / 31  # four planes over 31 pixels, four pixels a cell
        p = torch.full((1, 5, 8, 8), 0.2)
        expected = 4 * 4 / 31 * 7 / 8  # the last column has no neighbour
        for factor, loss in ((1, pytest.approx(0, abs=1e-5)), (0, pytest.approx(expected, rel=1e-4))):
            training = TrainingOutput({4: factor * gradient}, truth[:, None])
            output = FocusOutput(p, truth, truth, truth, training)
            assert float(objective(output, batch, LossConfig(side=(0.5,))).spatial) == loss

    @pytest.mark.parametrize(("name", "sides"), [("dualfocus-s", 4), ("dualfocus-paper", 3)])
    def test_as_many_side_weights_as_side_outputs_at_most(self, name, sides):
        batch = self.batch()
        network = build_network(name, SMALL if name == "dualfocus-s" else {"width": 0.125}).train()
        output = network(network_input(batch), batch["coordinates"])
        # what has no weight is not supervised
        fewer, zero = (objective(output, batch, LossConfig(side=w)) for w in ((0.5,), (0.5, *[0.0] * (sides - 1))))
        torch.testing.assert_close(fewer.depth, zero.depth, rtol=0, atol=0)
        with pytest.raises(ValueError, match=rf"loss\.side has {sides + 1} weights.* has {sides} side outputs"):
            objective(output, batch, LossConfig(side=(0.5,) * (sides + 1)))

    def test_the_output_of_a_network_in_evaluation_is_refused(self):
        batch = self.batch()
        output = build_network("dualfocus-s", SMALL).eval()(network_input(batch), batch["coordinates"])
        with pytest.raises(ValueError, match="training mode"):
            objective(output, batch, LossConfig())

    def test_a_source_without_path_is_refused(self):
        with pytest.raises(ValueError, match="stacks.*path"):
            open_source(SourceConfig(kind="stacks"))

    def test_a_bad_source_is_refused_before_anything_is_written(self, tmp_path):
        (tmp_path / "nothing").mkdir()
        source = {"kind": "rendered", "path": str(tmp_path / "nothing")}
        with pytest.raises(ValueError, match="nothing.*dualfocus render"):
            train(write(tmp_path / "c.yaml", settings(tmp_path / "run", source)))
        assert not (tmp_path / "run").exists()

    def test_a_loss_that_is_not_finite_stops_the_run(self, tmp_path, rendered):
        options = settings(tmp_path / "run", {"kind": "rendered", "path": str(rendered)})
        trainer = Trainer(read_config(write(tmp_path / "c.yaml", options)))
        with torch.no_grad():
            next(trainer.network.parameters()).fill_(float("nan"))
        with pytest.raises(ValueError, match="not finite"):
            trainer.run()

    def test_a_gradient_that_is_not_finite_stops_the_run_before_its_step(self, tmp_path, rendered, monkeypatch):
        options = settings(tmp_path / "run", {"kind": "rendered", "path": str(rendered)})
        trainer = Trainer(read_config(write(tmp_path / "c.yaml", options)))

        def steep(output, batch, config):
            losses = objective(output, batch, config)
            return losses._replace(total=losses.total + (output.coordinate.mean() * 0).sqrt())  # 0, of infinite slope

        monkeypatch.setattr(loop, "objective", steep)
        with pytest.raises(ValueError, match="step 0: the gradient is not finite"):
            trainer.run()
        assert all(parameter.isfinite().all() for parameter in trainer.average.module.parameters())
        assert not (tmp_path / "run" / "checkpoint.pt").exists()
