"""The training configuration: strict, and every mistake named."""

from pathlib import Path

import pytest
import torch
import yaml
from training_runs import settings, write

pytest.importorskip("accelerate", reason="training needs the extra dualfocus[train]")

from dualfocus.models import NETWORKS, build_network
from dualfocus.training.config import LossConfig, TrainConfig, read_config
from dualfocus.training.loop import Trainer, train


class TestConfiguration:
    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"sead": 1}, "sead"),
            ({"optimiser": {"learning_rat": 1e-3}}, r"optimiser\.learning_rat"),
            ({"optimiser": {"learning_rate": -1}}, r"optimiser\.learning_rate"),
            ({"optimiser": {"learning_rate": float("inf")}}, r"optimiser\.learning_rate"),
            ({"data": {"sources": [{"kind": "procedural", "weight": float("inf")}]}}, r"data\.sources\.0\.weight"),
            ({"model": {"name": "dualfocus-xl"}}, r"model\.name"),
            ({"budget": {}}, r"budget\.steps"),
            ({"data": {"sources": []}}, r"data\.sources"),
            ({"data": {"sources": [{"kind": "films"}]}}, r"data\.sources\.0\.kind"),
            ({"data": {"sources": [{"kind": "stacks", "path": "no/such/folder"}]}}, "no/such/folder"),
            ({"data": {"sources": [{"kind": "procedural"}], "planes": [1, 4]}}, r"data\.planes"),
            ({"data": {"sources": [{"kind": "procedural"}], "planes": [5, 4]}}, r"data\.planes"),
            ({"precision": "fp8"}, "precision"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, change, named):
        path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}) | change)
        with pytest.raises(ValueError, match=f"config.yaml: .*{named}") as caught:
            read_config(path)
        assert "\n" not in str(caught.value)

    def test_off_needs_no_quotes(self, tmp_path):
        path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}))
        text = path.read_text().replace("options:", "options:\n    spatial: off")
        path.write_text(text)
        assert read_config(path).model.options["spatial"] == "off"

    def test_no_is_a_word(self, tmp_path):
        path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}))
        path.write_text(path.read_text() + "precision: no\n")
        assert read_config(path).precision == "no"
        path.write_text(path.read_text().replace("precision: no", "precision: fp32"))
        assert read_config(path).precision == "no"

    def test_a_key_given_twice_is_an_error(self, tmp_path):
        path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}))
        line = len(path.read_text().splitlines()) + 1
        path.write_text(path.read_text() + "optimiser: {learning_rate: 5}\n")
        with pytest.raises(ValueError, match=f"config.yaml: .*'optimiser' is given twice, again in line {line}"):
            read_config(path)

    def test_dfv_has_no_constraints_unless_asked_for(self, tmp_path):
        content = settings(tmp_path, {"kind": "procedural"}, model={"name": "dfv", "options": {"width": 0.25}})
        loss = read_config(write(tmp_path / "plain.yaml", content)).loss
        assert (loss.spatial, loss.focal) == (0, 0)
        loss = read_config(write(tmp_path / "asked.yaml", content | {"loss": {"focal": 0.5}})).loss
        assert (loss.spatial, loss.focal) == (0, 0.5)

    def test_a_given_loss_is_left_as_it_is(self, tmp_path):
        for model in ({"name": "dfv"}, {"options": {"spatial": "no_loss"}}):
            loss = LossConfig()
            content = settings(tmp_path, {"kind": "procedural"}, validation={}) | {"model": model, "loss": loss}
            config = TrainConfig.model_validate(content)
            assert config.loss.spatial == 0 and loss == LossConfig()
        before = config.model_dump()
        Trainer(config)
        assert config.model_dump() == before

    def test_no_loss_has_no_spatial_loss_even_if_asked_for(self, tmp_path):
        model = {"name": "dualfocus-s", "options": {"spatial": "no_loss"}}
        content = settings(tmp_path, {"kind": "procedural"}, model=model, loss={"spatial": 0.5})
        loss = read_config(write(tmp_path / "config.yaml", content)).loss
        assert (loss.spatial, loss.focal) == (0, 0.3)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_what_is_not_said_of_the_loss_is_as_in_the_recipe(self, tmp_path, name):
        recipe = yaml.safe_load((Path(__file__).parents[1] / "configs" / f"{name}.yaml").read_text())["loss"]
        if name in ("dfv", "dualfocus-paper"):  # as published: the recipes on our own data have another unit
            del recipe["beta"], recipe["beta_unit"]
        content = settings(tmp_path, {"kind": "procedural"}, model={"name": name})
        content.pop("loss", None)
        found = read_config(write(tmp_path / "config.yaml", content)).loss
        assert LossConfig(**recipe) == found
        changed = read_config(write(tmp_path / "changed.yaml", content | {"loss": {"focal": 2}})).loss
        assert changed == found.model_copy(update={"focal": 2.0})

    @pytest.mark.parametrize("content", ["", "just text", "a: [1", "- 1"])
    def test_not_a_mapping(self, tmp_path, content):
        path = tmp_path / "config.yaml"
        path.write_text(content)
        with pytest.raises(ValueError, match="config.yaml"):
            read_config(path)
        with pytest.raises(ValueError, match="absent.yaml"):
            read_config(tmp_path / "absent.yaml")

    @pytest.mark.parametrize("name", NETWORKS)
    def test_the_shipped_configurations_are_valid(self, name, monkeypatch):
        monkeypatch.setattr(Path, "exists", lambda _: True)  # their data is made by the user
        config = read_config(Path(__file__).parents[1] / "configs" / f"{name}.yaml")
        assert config.model.name == name and config.budget.minutes and config.validation.sources
        with torch.device("meta"):
            build_network(name, config.model.options)

    @pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
    def test_a_time_limit_that_is_none(self, tmp_path, minutes):
        path = write(tmp_path / "config.yaml", settings(tmp_path, {"kind": "procedural"}))
        with pytest.raises(ValueError, match="time limit"):
            train(path, time_limit=minutes)
        assert not (tmp_path / "run").exists()

    def test_a_wrong_network_option_is_named(self, tmp_path):
        content = settings(tmp_path, {"kind": "procedural"}, model={"options": {"spatail": "off"}})
        with pytest.raises(ValueError, match="spatail"):
            train(write(tmp_path / "config.yaml", content))
        assert not (tmp_path / "run").exists()
