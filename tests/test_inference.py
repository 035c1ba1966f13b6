"""Prediction: the contract of DepthResult, the confidence map, the shipped weights on rendered and real stacks."""

import numpy as np
import pytest
import torch

import dualfocus
from dualfocus.inference.confidence_map import measured_confidence, shifted
from dualfocus.inference.torch_model import DepthModel, load_torch_model
from dualfocus.models.output import FocusOutput
from dualfocus.rendering.capture import render_stack
from dualfocus.rendering.textures import TexturePool
from dualfocus.stack import FocalStack
from dualfocus.training.fit_confidence import fit_shifts, smooth_map, with_range

MODELS = ("dualfocus-s", "dualfocus-xs", "classical")


@pytest.mark.parametrize("name", MODELS)
def test_result_keeps_the_contract(name, models, stack, scene):
    before = scene.images.copy()
    result = models[name].predict(stack)
    assert np.array_equal(before, scene.images)
    for values in (result.depth, result.confidence, result.std):
        assert values.shape == stack.size and values.dtype == np.float32
    assert result.valid.dtype == bool and np.isfinite(result.depth[result.valid]).all()
    assert result.confidence.min() >= 0 and result.confidence.max() <= 1 and (result.std >= 0).all()
    near, far = scene.focus_distances.min(), scene.focus_distances.max()
    assert result.depth.min() >= near * 0.999 and result.depth.max() <= far * 1.001
    assert result.all_in_focus.dtype == np.uint8 and result.unit == "m" and result.model == name
    again = models[name].predict(stack)
    assert np.array_equal(result.depth, again.depth) and np.array_equal(result.all_in_focus, again.all_in_focus)


@pytest.mark.parametrize("name", MODELS)
def test_planes_in_any_order_and_unit_give_the_same_depth(name, models, stack, scene):
    expected = models[name].predict(stack).depth
    order = np.array([3, 0, 4, 1, 2])
    shuffled = FocalStack(scene.images[order], scene.focus_distances[order], "m")
    np.testing.assert_allclose(models[name].predict(shuffled).depth, expected, rtol=1e-5)
    dioptres = FocalStack(scene.images, 1 / scene.focus_distances, "dioptre")
    result = models[name].predict(dioptres)
    assert result.unit == "m"
    np.testing.assert_allclose(result.depth, expected, rtol=1e-4)


def test_infinity_in_dioptres(models, scene):
    result = models["classical"].predict(FocalStack(scene.images, [4.0, 3.0, 2.0, 1.0, 0.0], "dioptre"))
    assert result.unit == "m" and result.depth.min() >= 0.249 and result.depth.max() > 1
    for values in (result.depth, result.std):
        assert not np.isnan(values).any()
    at_infinity = np.isinf(result.depth)
    assert at_infinity.any() and not result.valid[at_infinity].any()


def test_sixteen_bit_input_keeps_its_depth(models, scene):
    wide = scene.images.astype(np.uint16) * 257
    result = models["classical"].predict(FocalStack(wide, scene.focus_distances, "m"))
    assert result.all_in_focus.dtype == np.uint16 and result.all_in_focus.max() > 255
    reference = models["classical"].predict(FocalStack(scene.images, scene.focus_distances, "m"))
    assert np.abs(result.all_in_focus / 257 - reference.all_in_focus.astype(float)).max() < 1


@pytest.mark.parametrize("name", MODELS)
def test_all_in_focus_is_sharper_than_every_plane(name, models):
    errors = []
    for seed in (3, 4, 5):
        scene = render_stack(seed, TexturePool(None), size=128, planes=6, clean=True)
        result = models[name].predict(FocalStack(scene.images, scene.focus_distances, "m"))
        truth, inside = scene.all_in_focus.astype(float), scene.valid
        planes = [np.abs(image - truth)[inside].mean() for image in scene.images.astype(float)]
        errors.append((np.abs(result.all_in_focus - truth)[inside].mean(), min(planes)))
    ours, best_plane = np.mean(errors, axis=0)
    assert ours < best_plane


@pytest.mark.parametrize("stack", [None, "photos/", np.zeros((3, 8, 8), np.uint8)])
def test_predict_takes_a_focal_stack_alone(stack):
    with pytest.raises(ValueError, match="takes a focal stack, not .*load_stack"):
        load_torch_model("classical", device="cpu").predict(stack)


@pytest.mark.parametrize("name", [None, 5, "nonsense", "Classical"])
def test_unknown_models_are_named(name):
    with pytest.raises(ValueError, match=f"{name!r} is unknown; choose dualfocus-s"):
        load_torch_model(name)


def test_models_without_weights():
    with pytest.raises(ValueError, match="train"):
        load_torch_model("dfv")
    with pytest.raises(ValueError, match="no-such"):
        load_torch_model("no-such")
    with pytest.raises(ValueError, match="tpu"):
        load_torch_model("classical", device="tpu")
    with pytest.raises(ValueError, match="missing.safetensors"):
        load_torch_model("missing.safetensors")
    with pytest.raises(ValueError, match="weights must be.*mine.safetensors"):
        load_torch_model("dualfocus-s", weights="mine.safetensors")
    model = load_torch_model("dfv", device="cpu", weights=None)
    images = np.random.default_rng(0).integers(0, 255, (2, 40, 50, 3), dtype=np.uint8)
    result = model.predict(dualfocus.FocalStack(images, [1, 2]))
    assert any("untrained" in warning for warning in result.warnings) and result.depth.shape == (40, 50)


def test_confidence_map_is_fitted_and_applied():
    said = np.linspace(0.0025, 0.9975, 200)
    fitted = smooth_map(np.full(200, 1000.0), 1000 * said**2)
    assert np.abs(np.interp(said, fitted["said"], fitted["measured"]) - said**2).max() < 0.03
    assert (np.diff(fitted["measured"]) > 0).all()
    network = load_torch_model("dualfocus-s").network
    model = DepthModel("dualfocus-s", network, torch.device("cpu"), {"confidence_map": fitted})
    assert abs(float(model.map_confidence(np.array([0.5]), 5)[0]) - 0.25) < 0.03


def test_confidence_map_knows_the_number_of_planes():
    said = (np.arange(200) + 0.5) / 200
    count, right = np.zeros((2, 5, 200))
    truth = {0: said / (said + (1 - said) * np.exp(-2.0)), 3: said, 4: said / (said + (1 - said) * np.exp(1.0))}
    for group, share in truth.items():  # stacks of 2, of 6 to 8 and of 9 or more planes, said alike, right unlike
        count[group], right[group] = 1000.0, 1000.0 * share
    fitted = fit_shifts(count, right)
    assert fitted["planes"] == [2, 3, 4, 6, 9] and fitted["shift"][1] == fitted["shift"][2] == 0.0
    for planes, group in ((2, 0), (7, 3), (8, 3), (9, 4), (40, 4)):
        answer = measured_confidence(said, fitted, planes)
        assert np.abs(answer - truth[group]).max() < 0.04
        assert (np.diff(answer) > 0).all()
    old = {"said": [0.0, 1.0], "measured": [0.2, 0.8]}  # of weights made before shifts
    np.testing.assert_allclose(measured_confidence([0.0, 0.5], old, 2), [0.2, 0.5])


def test_a_shift_reaches_the_share_of_right_answers_however_far_it_is():
    count, right = np.zeros((2, 5, 200))
    count[0, 6], right[0, 6] = 1000, 950  # two planes: said 3 %, right 95 %
    shift = fit_shifts(count, right)["shift"]
    assert shifted(np.array([6.5 / 200]), shift[0])[0] == pytest.approx(0.95, abs=0.001)
    right[0, 6] = 1000
    assert 4 < fit_shifts(count, right)["shift"][0] < 20  # nothing says how sure "always" is
    right[0, 6] = 0
    assert -20 < fit_shifts(count, right)["shift"][0] < -4


class Says(torch.nn.Module):
    """Says a confidence of 0.3 everywhere and is right in seven tenths of the pixels."""

    def forward(self, images, coordinates):
        share = torch.linspace(0, 1, images.shape[-1]).expand(len(images), *images.shape[-2:])
        wrong = torch.where(share > 0.7, 0.9 / (coordinates.shape[1] - 1), 0.0)
        return FocusOutput(None, 0.05 + wrong, None, torch.full_like(wrong, 0.3))


def test_a_range_of_longer_stacks_joins_a_confidence_map():
    fitted = {"said": [0.0, 1.0], "measured": [0.0, 1.0], "planes": [2, 9], "shift": [0.5, -0.2]}
    images, truth = torch.zeros(1, 20, 4, 100, 3, dtype=torch.uint8), torch.full((1, 4, 100), 0.05)
    planes = torch.linspace(0, 1, 20)[None]
    known = torch.ones(1, 4, 100, dtype=torch.bool)
    batch = {"images": images, "coordinates": planes, "truth": truth, "known": known, "ratio": torch.ones(1)}
    short = batch | {"images": images[:, :5], "coordinates": torch.linspace(0, 1, 5)[None]}
    longer = with_range(fitted, 13, Says(), [batch, short], torch.device("cpu"))
    assert longer["planes"] == [2, 9, 13] and longer["shift"][:2] == fitted["shift"]
    assert measured_confidence(0.3, longer, 20) == pytest.approx(0.7, abs=0.01)
    np.testing.assert_array_equal(measured_confidence([0.3], longer, 12), measured_confidence([0.3], fitted, 12))
    with pytest.raises(ValueError, match="no stack of 13"):
        with_range(fitted, 13, Says(), [short], torch.device("cpu"))
    with pytest.raises(ValueError, match="fewer planes"):
        with_range(longer, 13, Says(), [batch], torch.device("cpu"))


def test_a_range_of_long_stacks_is_fitted_on_what_predict_answers(models):
    network, shipped = models["dualfocus-s"].network, models["dualfocus-s"].record["confidence_map"]
    start = shipped["planes"].index(25)
    shorter = {key: values[:start] for key, values in shipped.items() if key in ("planes", "shift", "scale")}
    scenes = [render_stack(seed, TexturePool(None), size=96, planes=27) for seed in range(600, 604)]
    batches = [
        {
            "images": torch.from_numpy(scene.images)[None],
            "coordinates": torch.from_numpy(scene.coordinates).float()[None],
            "truth": torch.from_numpy(scene.truth)[None],
            "known": torch.ones(1, 96, 96, dtype=torch.bool),
            "ratio": torch.ones(1),
        }
        for scene in scenes
    ]
    fitted = with_range(shipped | shorter, 25, network, batches, torch.device("cpu"))
    model = DepthModel("dualfocus-s", network, torch.device("cpu"), {"confidence_map": fitted})
    said, right = [], []
    for scene in scenes:
        result, u = model.predict(FocalStack(scene.images, scene.focus_distances)), 1 / scene.focus_distances
        error = np.abs((1 / result.depth - u[0]) / (u[-1] - u[0]) - scene.truth)
        said.append(result.confidence[scene.valid])
        right.append(error[scene.valid] < 0.5 / 26)
    assert np.concatenate(said).mean() == pytest.approx(np.concatenate(right).mean(), abs=0.05)


def test_networks_beat_classical_on_rendered_scenes(models):
    errors = {name: [] for name in MODELS}
    for seed in range(500, 516):
        scene = render_stack(seed, TexturePool(None), size=128, planes=5)
        stack = FocalStack(scene.images, scene.focus_distances, "m")
        u = 1 / scene.focus_distances
        for name in MODELS:
            found = (1 / models[name].predict(stack).depth - u[0]) / (u[-1] - u[0])
            errors[name].append(np.sqrt(np.mean((found - scene.truth)[scene.valid] ** 2)))
    assert np.mean(errors["dualfocus-s"]) < 0.8 * np.mean(errors["classical"])
    assert np.mean(errors["dualfocus-xs"]) < 0.9 * np.mean(errors["classical"])


def test_nothing_to_focus_on_gives_low_confidence(models):
    rng = np.random.default_rng(1)
    shape, distances = (5, 96, 96, 3), [0.5, 0.7, 1, 2, 4]
    flat = np.clip(rng.normal(120, 1.0, shape), 0, 255).astype(np.uint8)
    sharp = flat.copy()
    sharp[2] = rng.integers(0, 256, shape[1:])
    for name in MODELS:
        nowhere, somewhere = (models[name].predict(FocalStack(a, distances)).confidence.mean() for a in (flat, sharp))
        assert nowhere < (0.6 if name == "classical" else 0.5) and nowhere < somewhere - 0.2


@pytest.mark.parametrize(("name", "correlation", "error"), [("dualfocus-s", 0.999, 0.25), ("classical", 0.9995, 0.15)])
@pytest.mark.parametrize("relief", ["relief1", "relief2"])
def test_reliefs_with_exact_truth(name, correlation, error, relief, models, shared_data):
    stack = dualfocus.load_stack(shared_data / "stacks" / "generated_relief" / relief)
    depth, truth = models[name].predict(stack).depth, stack.ground_truth
    assert np.corrcoef(depth.ravel(), truth.ravel())[0, 1] >= correlation
    assert np.abs(depth - truth).mean() <= error
