"""Distillation: its loss's maths, who learns from it, and a run with a teacher."""

import pytest
import torch
from training_runs import SMALL, settings, write

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from dualfocus.losses import distillation_loss
from dualfocus.models import build_network
from dualfocus.models.output import FocusOutput
from dualfocus.models.weights import load_weights, save_weights
from dualfocus.training.loop import train


def output(probability, coordinate):
    return FocusOutput(probability, coordinate, torch.zeros_like(coordinate), torch.zeros_like(coordinate))


def random_output(seed, planes=4, cells=6):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, planes, cells, cells, generator=generator, dtype=torch.float64)
    return output(scores.softmax(dim=1), torch.rand(2, 4 * cells, 4 * cells, generator=generator, dtype=torch.float64))


def test_the_loss_is_smooth_l1_in_spacings_plus_the_divergence():
    student, teacher = random_output(0), random_output(1)
    p = torch.distributions.Categorical(probs=teacher.probability.movedim(1, -1))
    q = torch.distributions.Categorical(probs=student.probability.movedim(1, -1))
    divergence = torch.distributions.kl_divergence(p, q).mean()
    error = 3 * (student.coordinate - teacher.coordinate).abs()
    distance = torch.where(error < 0.9, error**2 / 1.8, error - 0.45).mean()
    # the probability is compared in single precision
    torch.testing.assert_close(distillation_loss(student, teacher, 0.9), distance + divergence, rtol=1e-5, atol=1e-6)
    assert float(distillation_loss(teacher, teacher, 0.9)) == pytest.approx(0, abs=1e-6)


def test_the_student_alone_learns_and_scales_may_differ():
    student, teacher = random_output(2), random_output(3, cells=3)
    teacher = teacher._replace(coordinate=random_output(3).coordinate)
    leaves = [t.requires_grad_() for t in (student.probability, student.coordinate)]
    distillation_loss(student, teacher, 1.0).backward()
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 for leaf in leaves)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A network with random weights, but not those that the student starts from."""
    torch.manual_seed(99)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_weights(path, "dualfocus-s", build_network("dualfocus-s", SMALL), {"steps": 7, "coordinate": "focus"})
    return path


def test_a_run_with_a_teacher_ends_nearer_to_it(tmp_path, teacher):
    source = {"kind": "procedural"}
    distances = {}
    for name, weight in (("alone", None), ("taught", 30.0)):
        changes = {"teacher": {"weights": str(teacher), "weight": weight}} if weight else {}
        content = settings(tmp_path / name, source, budget={"steps": 60}, **changes)
        content["optimiser"] = {"warmup_steps": 2, "learning_rate": 3e-3, "ema": 0.8}
        content["validation"] = {"sources": [source], "stacks": 1, "calibration_stacks": 2, "crop": 32}
        path = train(write(tmp_path / f"{name}.yaml", content))
        torch.manual_seed(0)
        images, u = torch.rand(1, 3, 3, 32, 32), torch.linspace(0, 1, 3)[None]
        student, record = load_weights(path)
        master, _ = load_weights(teacher)
        with torch.no_grad():
            distances[name] = float(distillation_loss(student.eval()(images, u), master.eval()(images, u), 1.0))
        assert (record["teacher"] or {}).get("steps") == (7 if weight else None)
    assert distances["taught"] < 0.7 * distances["alone"], distances


def test_a_teacher_of_another_coordinate_is_refused(tmp_path, teacher):
    source = {"kind": "procedural"}
    path = tmp_path / "depth.safetensors"
    save_weights(path, "dualfocus-s", build_network("dualfocus-s", SMALL), {"coordinate": "depth"})
    content = settings(tmp_path, source, teacher={"weights": str(path)})
    with pytest.raises(ValueError, match="depth.safetensors: a teacher in depth cannot teach in focus"):
        train(write(tmp_path / "config.yaml", content))
    content = settings(tmp_path, source, teacher={"weights": str(tmp_path / "none.safetensors")})
    with pytest.raises(ValueError, match="none.safetensors"):
        train(write(tmp_path / "config.yaml", content))
    assert not (tmp_path / "run").exists()
