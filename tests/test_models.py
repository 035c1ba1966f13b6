"""The networks: shapes, sizes, any number of planes and pixels, ablations, weights files."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from dualfocus.losses import focal_variational_loss
from dualfocus.models import KINDS, NETWORKS, build_network, network_options
from dualfocus.models.encoder import Stem
from dualfocus.models.layers import add_in_place_if_no_grad, fold_norms, plane_features, shift_planes, upsample_2x
from dualfocus.models.level_entry import LevelEntry
from dualfocus.models.projection import integrable_projection
from dualfocus.models.surfaces import SPATIAL_MODES, integrate, normalise_surfaces, surfaces_for_fusion
from dualfocus.models.upsampling import convex_upsample
from dualfocus.models.volume import differential_volume, focus_moments
from dualfocus.models.volumetric import difference_volume
from dualfocus.models.weights import load_weights, read_record, save_weights

SMALL = {"encoder": [8, 8, 8, 12], "decoder": [8, 8, 12], "surfaces": 3}


def network(name: str, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(name, options).eval()


def stack(batch: int, planes: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    coordinates = torch.linspace(0, 1, planes) ** 1.3
    return torch.rand(batch, planes, 3, height, width, generator=generator), coordinates.repeat(batch, 1)


def check(output, batch: int, planes: int, height: int, width: int) -> None:
    for field in ("coordinate", "std", "confidence"):
        values = getattr(output, field)
        assert values.shape == (batch, height, width) and torch.isfinite(values).all()
    assert output.probability.shape[:2] == (batch, planes)
    torch.testing.assert_close(output.probability.sum(dim=1), torch.ones_like(output.probability[:, 0]))
    assert -1e-6 <= output.coordinate.min() and output.coordinate.max() <= 1 + 1e-6
    assert 0 <= output.confidence.min() and output.confidence.max() <= 1 + 1e-6
    assert output.std.min() >= 0


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("spatial", SPATIAL_MODES)
def test_every_ablation_runs_and_learns(name, spatial):
    model = network(name, spatial=spatial)
    with torch.no_grad():
        check(model(*stack(1, 3, 32, 40)), 1, 3, 32, 40)
    model.train()
    output = model(*stack(2, 2, 32, 32))
    check(output, 2, 2, 32, 32)
    gradients, sides = output.training.gradients, output.training.sides
    assert bool(gradients) == (spatial != "off")
    for stride, gradient in gradients.items():
        assert gradient.shape == (2, 2, 2, 32 // stride, 32 // stride)
    assert sides.shape == (2, 3 if name in ("dualfocus-paper", "dfv") else 4, 32, 32)
    loss = output.coordinate.square().mean() + focal_variational_loss(output.probability) + sides.mean()
    (loss + sum(gradient.abs().mean() for gradient in gradients.values())).backward()
    heads = ("context.confidence_head",)  # learns from its own loss alone
    silent = [key for key, p in model.named_parameters() if p.grad is None and not key.startswith(heads)]
    assert not silent


@pytest.mark.parametrize("planes", [2, 3, 7])
@pytest.mark.parametrize("size", [(50, 70), (17, 5)])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_number_of_planes_and_any_size(name, planes, size):
    with torch.no_grad():
        check(network(name)(*stack(1, planes, *size)), 1, planes, *size)


@pytest.mark.parametrize("name", NETWORKS)
def test_stacks_of_a_batch_do_not_see_each_other(name):
    images, coordinates = stack(2, 3, 40, 36)
    model = network(name)
    with torch.no_grad():
        together, alone = model(images, coordinates), model(images[1:], coordinates[1:])
    torch.testing.assert_close(together.coordinate[1:], alone.coordinate, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.probability[1:], alone.probability, rtol=0, atol=1e-5)


def test_same_answer_twice_and_input_unchanged():
    images, coordinates = stack(1, 4, 50, 70)
    before = images.clone()
    model = network("dualfocus-s")
    with torch.no_grad():
        one, two = model(images, coordinates), model(images, coordinates)
    assert torch.equal(one.coordinate, two.coordinate) and torch.equal(images, before)


def test_parameters():
    with torch.device("meta"):
        counts = {name: sum(p.numel() for p in build_network(name).parameters()) / 1e6 for name in NETWORKS}
    assert counts["dualfocus-s"] <= 8 and counts["dualfocus-xs"] <= 2
    assert counts["dfv"] == pytest.approx(18.99, rel=0.01)
    assert 26 <= counts["dualfocus-paper"] <= 28


def test_cost_at_five_planes_of_480_by_640():
    cost = {}
    for name in ("dualfocus-s", "dualfocus-xs", "dfv"):
        with torch.device("meta"):
            model, images, coordinates = build_network(name).eval(), torch.empty(1, 5, 3, 480, 640), torch.empty(1, 5)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(images, coordinates)
        cost[name] = counter.get_total_flops() / 1e9
    assert cost["dualfocus-s"] <= 45 and cost["dualfocus-xs"] <= 15
    assert cost["dfv"] == pytest.approx(250, rel=0.02)


def test_folding_the_norms_changes_nothing():
    model = network("dualfocus-s")
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as after training: no norm is the identity
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
    with torch.no_grad():
        before = model(*stack(1, 3, 48, 64))
        fold_norms(model)
        after = model(*stack(1, 3, 48, 64))
        fold_norms(model)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    torch.testing.assert_close(after.coordinate, before.coordinate, rtol=0, atol=1e-4)
    torch.testing.assert_close(after.confidence, before.confidence, rtol=0, atol=1e-3)


def test_a_folded_stem_is_the_convolution_of_cells():
    stem = Stem(8, 5).eval()
    images = torch.rand(2, 2, 6, 10)
    with torch.no_grad():
        before = stem(images)
        stem.fold()
        stem.fold()
        assert stem.conv.weight.shape == (5, 2, 6, 6) and before.shape == (2, 5, 3, 5)
        torch.testing.assert_close(stem(images), before)


def test_autocast_keeps_the_expectation_in_float32():
    p, f = torch.rand(2, 9, 5, 6).softmax(dim=1), torch.linspace(0, 1, 9).repeat(2, 1)
    expected = focus_moments(p, f)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for found, right in zip(focus_moments(p, f), expected, strict=True):
            torch.testing.assert_close(found, right, rtol=0, atol=0)
        output = network("dualfocus-s")(*stack(1, 3, 32, 32))
    assert output.coordinate.dtype == output.probability.dtype == torch.float32


def test_moments():
    p, f = torch.rand(2, 4, 3, 5).softmax(dim=1), torch.rand(2, 4)
    first, second = focus_moments(p, f)
    for power, found in ((1, first), (2, second)):
        expected = sum(p[:, n] * f[:, n, None, None] ** power for n in range(4))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("planes", [2, 5])
def test_differential_volume(planes):
    volume = torch.randn(2, planes, 3, 4, 5)
    enhanced = differential_volume(volume)
    assert enhanced.shape == (2, planes, 6, 4, 5)
    for n in range(planes):
        step = volume[:, n + 1] - volume[:, n] if n < planes - 1 else volume[:, n] - volume[:, n - 1]
        torch.testing.assert_close(enhanced[:, n], torch.cat((volume[:, n], step), dim=1), rtol=0, atol=0)


@pytest.mark.parametrize(("coarse_channels", "enlarge"), [(0, False), (6, False), (6, True)])
@pytest.mark.parametrize("folded", [False, True])
def test_entry_to_a_level_is_the_convolution_of_everything_side_by_side(coarse_channels, enlarge, folded):
    enter = LevelEntry(4, coarse_channels, 5, enlarge).eval()
    torch.nn.init.normal_(enter.norm.running_mean)
    volume = torch.randn(6, 4, 8, 10)
    coarser = torch.randn(6, coarse_channels, *((4, 5) if enlarge else (8, 10))) if coarse_channels else None
    parts = [differential_volume(volume.unflatten(0, (2, 3))).flatten(0, 1)]
    if coarser is not None:
        parts.append(upsample_2x(coarser) if enlarge else coarser)
    expected = enter.norm(enter.conv(torch.cat(parts, dim=1))).relu()
    if folded:
        enter.fold()
    torch.testing.assert_close(enter(volume, coarser, 3), expected)
    with torch.no_grad():
        torch.testing.assert_close(enter(volume, coarser, 3), expected)


def test_difference_volume_of_dfv():
    volume = torch.randn(2, 4, 3, 4, 5)
    found = difference_volume(volume)
    for n in range(4):
        expected = volume[:, n] - volume[:, n + 1] if n < 3 else volume[:, n]
        torch.testing.assert_close(found[:, n], expected, rtol=0, atol=0)


def test_surfaces_keep_the_contrast_between_planes():
    surfaces = torch.randn(6, 2, 5, 5) * torch.arange(1, 7)[:, None, None, None]
    normalised = normalise_surfaces(surfaces, 3)
    ratio = normalised / surfaces
    torch.testing.assert_close(ratio[:3], ratio[0, :, :1, :1].expand(3, 2, 5, 5))  # one scale for stack and channel
    scale = normalised.unflatten(0, (2, 3)).square().mean(dim=(1, 3, 4)).sqrt()
    torch.testing.assert_close(scale, torch.ones(2, 2), rtol=0, atol=1e-3)


@pytest.mark.parametrize("mode", ["full", "no_loss", "no_projection"])
def test_the_switch_leaves_out_the_projection_and_nothing_else(mode):
    field = torch.randn(6, 2, 2, 5, 7)
    surfaces = integrate(field, mode, integrable_projection)
    fused = surfaces_for_fusion(surfaces, mode, 3)
    if mode == "no_projection":
        assert torch.equal(surfaces.unflatten(1, (2, 2)), field) and torch.equal(fused, surfaces)
    else:
        assert torch.equal(surfaces, integrable_projection(field))
        assert torch.equal(fused, normalise_surfaces(surfaces, 3))


def test_plane_shift_stays_inside_its_stack():
    x = torch.arange(6.0)[:, None, None, None].repeat(1, 4, 1, 1) + 1  # two stacks of three planes
    shifted = shift_planes(x, 3)[:, :, 0, 0]
    assert shifted[:, 0].tolist() == [0, 1, 2, 0, 4, 5]
    assert shifted[:, 1].tolist() == [2, 3, 0, 5, 6, 0]
    assert shifted[:, 2:].tolist() == x[:, 2:, 0, 0].tolist()


def test_addition_is_in_place_only_without_gradients():
    x, other = torch.rand(2, 3), torch.rand(2, 1)
    expected = x + other
    for context in (torch.enable_grad, torch.no_grad):
        with context():
            own = x.clone()
            found = add_in_place_if_no_grad(own, other)
        assert torch.equal(found, expected)
        assert torch.equal(own, x if context is torch.enable_grad else expected)


def test_plane_features_are_in_plane_spacings():
    features = plane_features(torch.tensor([[0.0, 0.25, 1.0]]))
    assert features[:, 1].tolist() == [0, 0.5, 1.5] and features[:, 2].tolist() == [0.5, 1.5, 0]


def test_convex_upsampling():
    maps = torch.rand(1, 2, 3, 4)
    weights = torch.zeros(1, 9, 4, 3, 4)
    weights[:, 4] = 1  # the centre alone
    nearest = maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(convex_upsample(maps, weights, 2), nearest)
    spread = torch.randn(1, 9, 4, 3, 4).softmax(dim=1)
    torch.testing.assert_close(convex_upsample(torch.ones(1, 1, 3, 4), spread, 2), torch.ones(1, 1, 6, 8))


class TestChoices:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_what_is_known_of_a_network_by_its_name(self, name):
        built, kind = network(name), KINDS[name]
        with torch.no_grad():
            assert bool(built.surface_gradients(stack(1, 2, 32, 32)[0])) == kind.constrained
        assert (kind.scene_stride is not None) == hasattr(built, "context")

    @pytest.mark.parametrize("name", ["dualfocus-m", "classical", ""])
    def test_unknown_name(self, name):
        with pytest.raises(ValueError, match="dualfocus-s, dualfocus-xs, dualfocus-paper, dfv"):
            build_network(name)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_unknown_option(self, name):
        with pytest.raises(ValueError, match=f"{name}.*'spatail'.*spatial"):
            build_network(name, {"spatail": "off"})

    @pytest.mark.parametrize("name", NETWORKS)
    def test_unknown_ablation(self, name):
        with pytest.raises(ValueError, match="spatial: 'none'.*full, no_loss, no_projection, off"):
            build_network(name, {"spatial": "none"})

    @pytest.mark.parametrize(
        ("name", "option", "value", "words"),
        [
            ("dualfocus-s", "surfaces", "many", "whole number above 0"),
            ("dualfocus-xs", "surfaces", 0, "whole number above 0"),
            ("dualfocus-s", "surfaces", True, "whole number above 0"),
            ("dualfocus-paper", "surfaces", 1.5, "whole number above 0"),
            ("dualfocus-s", "encoder", 5, "list of 4 whole numbers above 0"),
            ("dualfocus-s", "encoder", [1, 2], "list of 4 whole numbers above 0"),
            ("dualfocus-xs", "decoder", [16, 32, -64], "list of 3 whole numbers above 0"),
            ("dualfocus-s", "context", [8, 8, 8, "8"], "list of 4 whole numbers above 0"),
            ("dfv", "width", "half", "number above 0"),
            ("dualfocus-paper", "width", float("inf"), "number above 0"),
            ("dualfocus-paper", "width", None, "number above 0"),
        ],
    )
    def test_values_of_the_wrong_kind(self, name, option, value, words):
        with pytest.raises(ValueError) as caught:
            build_network(name, {option: value})
        assert str(caught.value) == f"{name}: option {option}: {value!r} must be a {words}"

    @pytest.mark.parametrize("value", [["off"], 3, None])
    def test_an_ablation_that_is_no_word(self, value):
        with pytest.raises(ValueError, match="spatial: .* is not one of full"):
            build_network("dualfocus-s", {"spatial": value})

    def test_options_round_trip(self):
        with torch.device("meta"):
            for name in NETWORKS:
                options = network_options(build_network(name, {"spatial": "no_projection"}))
                assert json.loads(json.dumps(options)) == options
                assert network_options(build_network(name, options)) == options

    def test_a_foreign_network_has_no_options(self):
        with pytest.raises(ValueError, match="Linear"):
            network_options(torch.nn.Linear(1, 1))


class TestWeights:
    def test_round_trip(self, tmp_path):
        model = network("dualfocus-s", **SMALL)
        path = tmp_path / "deep" / "small.safetensors"
        save_weights(path, "dualfocus-s", model, {"steps": 3, "data": [{"licence": "CC0"}]})
        loaded, record = load_weights(path)
        assert sorted(p.name for p in path.parent.iterdir()) == ["small.json", "small.safetensors"]
        assert record == read_record(path) == json.loads(path.with_suffix(".json").read_text())
        assert record["model"] == "dualfocus-s" and record["steps"] == 3 and record["options"]["surfaces"] == 3
        assert not loaded.training and all(p.dtype == torch.float32 for p in loaded.parameters())
        for one, other in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
        with torch.no_grad():
            inputs = stack(1, 3, 32, 32)
            torch.testing.assert_close(loaded(*inputs).coordinate, model(*inputs).coordinate, rtol=0, atol=2e-3)

    def test_bad_files_are_named(self, tmp_path):
        model = network("dualfocus-s", **SMALL)
        good = tmp_path / "good.safetensors"
        save_weights(good, "dualfocus-s", model, {})
        data, tensors = good.read_bytes(), {"x": torch.zeros(1)}
        record = read_record(good)
        cases = {
            "absent": None,
            "empty": b"",
            "truncated": data[: len(data) // 2],
            "text": b"not weights at all",
            "foreign": {"other": "1"},
            "damaged": {"dualfocus": "{"},
            "no_model": {"dualfocus": json.dumps({"format": 1})},
            "newer": {"dualfocus": json.dumps({**record, "format": 2})},
            "unknown_model": {"dualfocus": json.dumps({**record, "model": "dualfocus-xl"})},
            "unknown_option": {"dualfocus": json.dumps({**record, "options": {"depth": 3}})},
            "other_tensors": {"dualfocus": json.dumps(record)},
        }
        for name, content in cases.items():
            path = tmp_path / f"{name}.safetensors"
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content is not None:
                save_file(tensors, path, metadata=content)
            with pytest.raises(ValueError, match=f"{name}.safetensors") as caught:
                load_weights(path)
            assert "\n" not in str(caught.value)
        with pytest.raises(ValueError, match=tmp_path.name):
            load_weights(tmp_path)

    def test_a_weight_too_large_for_fp16_is_refused_and_nothing_is_written(self, tmp_path):
        model = network("dualfocus-s", **SMALL)
        model.scores[0].bias.data.fill_(1e6)
        with pytest.raises(ValueError, match="scores.0.bias"):
            save_weights(tmp_path / "w.safetensors", "dualfocus-s", model, {})
        assert not list(tmp_path.iterdir())

    def test_statistics_beyond_fp16_are_kept(self, tmp_path):
        model = network("dualfocus-s", **SMALL)
        model.fuse_fine[0].first.norm.running_var.fill_(1e6)
        save_weights(tmp_path / "w.safetensors", "dualfocus-s", model, {})
        loaded, _ = load_weights(tmp_path / "w.safetensors")
        assert float(loaded.fuse_fine[0].first.norm.running_var[0]) == 1e6
