"""The ONNX file: the same numbers as the network at any batch, number of planes and size; its record; refusals."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import dualfocus
from dualfocus.inference.export import export_onnx
from dualfocus.inference.frames import in_unit, to_frame
from dualfocus.inference.resizing import shrink
from dualfocus.inference.torch_model import load_torch_model
from dualfocus.models.export_graph import _basis, project
from dualfocus.models.projection import integrable_projection

DESK = Path(dualfocus.__file__).parent / "samples" / "desk"


@pytest.fixture(scope="module")
def network():
    return load_torch_model("dualfocus-s", device="cpu").network


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    return {name: export_onnx("dualfocus-s", folder / f"{name}.onnx", name) for name in ("fp32", "fp16", "int8")}


def planes_of(stack, count: int, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    order = stack.near_to_far[np.linspace(0, len(stack) - 1, count).round().astype(int)]
    images = torch.stack([in_unit(to_frame(shrink(stack[int(n)], size))) for n in order])
    u = stack.coordinates[order]
    return images[None], torch.tensor((u - u[0]) / (u[-1] - u[0]), dtype=torch.float32)[None]


def run(path: Path, images: torch.Tensor, coordinates: torch.Tensor) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = session.run(None, {"images": images.numpy(), "coordinates": coordinates.numpy()})
    return dict(zip(names, values, strict=True))


def assert_parity(network: torch.nn.Module, path: Path, images: torch.Tensor, coordinates: torch.Tensor) -> None:
    found = run(path, images, coordinates)
    with torch.inference_mode():
        expected = network(images, coordinates)
    assert found["coordinate"].shape == expected.coordinate.shape
    assert (np.abs(found["coordinate"] - expected.coordinate.numpy()) <= 1e-4).mean() >= 0.999
    np.testing.assert_allclose(found["probability"], expected.probability.numpy(), rtol=0, atol=1e-4)
    for name in ("std", "confidence"):
        np.testing.assert_allclose(found[name], getattr(expected, name).numpy(), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("count", "size"), [(5, (288, 384)), (3, (101, 150)), (2, (33, 17))])
def test_packaged_stack(files, count, size, network):
    assert_parity(network, files["fp32"], *planes_of(dualfocus.load_stack(DESK), count, size))


@pytest.mark.parametrize(
    ("name", "count", "size"),
    [
        ("hybriddepth_pixel6/office_desk", 5, (240, 319)),
        ("macro_stacks/pcb_button", 10, (150, 201)),
        ("suwajanakorn_mobile/balls_aligned", 2, (416, 739)),
    ],
)
def test_real_stacks(files, name, count, size, shared_data, network):
    assert_parity(network, files["fp32"], *planes_of(dualfocus.load_stack(shared_data / "stacks" / name), count, size))


def test_stacks_of_a_batch_do_not_mix(files):
    images = torch.rand(3, 4, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    coordinates = torch.tensor([[0, 0.1, 0.5, 1], [0, 0.3, 0.6, 1], [0, 0.8, 0.9, 1]])
    together = run(files["fp32"], images, coordinates)
    for index in range(3):
        alone = run(files["fp32"], images[index : index + 1], coordinates[index : index + 1])
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][index], values[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("precision", "mean", "at_99"), [("fp16", 0.002, 0.02), ("int8", 0.01, 0.04)])
def test_lower_precision_stays_near(files, precision, mean, at_99, network):
    images, coordinates = planes_of(dualfocus.load_stack(DESK), 4, (216, 288))
    with torch.inference_mode():
        expected = network(images, coordinates).coordinate.numpy()
    error = np.abs(run(files[precision], images, coordinates)["coordinate"] - expected)
    assert 0 < error.mean() <= mean and np.percentile(error, 99) <= at_99
    assert files[precision].stat().st_size < 0.7 * files["fp32"].stat().st_size


def test_black_beside_white_is_no_overflow_in_half_precision(files):
    images = np.random.default_rng(3).integers(0, 2, (1, 3, 1, 64, 96)).repeat(3, 2).astype(np.float32)
    images[:, 1] = 0.5
    fed = {"images": images, "coordinates": np.array([[0, 0.4, 1]], np.float32)}
    whole, half = (onnxruntime.InferenceSession(str(files[name])).run(None, fed)[0] for name in ("fp32", "fp16"))
    assert np.isfinite(half).all() and np.abs(half - whole).mean() < 0.01


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_projection_is_float32_in_every_precision(files, precision):
    graph = onnx.shape_inference.infer_shapes(onnx.load(files[precision])).graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    products = [node for node in graph.node if node.op_type == "MatMul" and node.name.count("/") == 1]
    assert len(products) == 4  # there and back, rows and columns
    for node in products:
        assert all(types[name] == onnx.TensorProto.FLOAT for name in (*node.input, *node.output))


@pytest.mark.parametrize("length", [1, 2, 7, 320, 1280])
def test_bases_made_in_the_graph(length):
    basis, eigenvalues = _basis(length, torch.device("cpu"))
    k = np.arange(length)
    exact = np.cos(math.pi * np.outer(k, 2 * k + 1) / (2 * length)) * np.sqrt(np.where(k > 0, 2, 1) / length)[:, None]
    np.testing.assert_allclose(basis.numpy(), exact, rtol=0, atol=5e-7)
    np.testing.assert_allclose(eigenvalues.numpy(), 4 * np.sin(math.pi * k / (2 * length)) ** 2, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (30, 40), (120, 161)])
def test_projection_made_in_the_graph(size):
    gradient = torch.randn(3, 2, *size, generator=torch.Generator().manual_seed(0))
    expected = integrable_projection(gradient.double())
    scale = max(float(expected.abs().max()), 1.0)
    torch.testing.assert_close(project(gradient).double() / scale, expected / scale, rtol=0, atol=2e-5)


def test_the_record_travels_in_the_file(files):
    metadata = {entry.key: entry.value for entry in onnx.load(files["int8"]).metadata_props}
    record = json.loads(metadata["dualfocus"])
    expected = load_torch_model("dualfocus-s").record
    assert record == {**expected, "precision": "int8"} and "confidence_map" in record and record["preprocessing"]
    assert not list(files["int8"].parent.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dualfocus-s", "model.pt"), "end in .onnx"),
        (("dualfocus-s", "model.onnx", "fp8"), "precision 'fp8'"),
        (("classical", "model.onnx"), "classical cannot be exported; only dualfocus-s"),
        (("nothing", "model.onnx"), "'nothing' is unknown"),
    ],
)
def test_refusals(arguments, words, tmp_path):
    model, name, *precision = arguments
    with pytest.raises(ValueError, match=words):
        export_onnx(model, tmp_path / name, *precision)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_is_named_and_nothing_left(tmp_path):
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(ValueError, match=r"model\.onnx: a folder"):
        export_onnx("dualfocus-xs", tmp_path / "model.onnx")
    (tmp_path / "model.onnx").rmdir()
    (tmp_path / "locked").mkdir()
    with pytest.MonkeyPatch.context() as patch:

        def full(*_):
            raise OSError("no space left")

        patch.setattr("dualfocus.atomic.os.replace", full)
        with pytest.raises(OSError, match="no space"):
            export_onnx("dualfocus-xs", tmp_path / "locked" / "model.onnx")
    assert not list((tmp_path / "locked").iterdir())


def test_command_line(tmp_path):
    out = tmp_path / "new" / "model.onnx"
    command = [sys.executable, "-m", "dualfocus", "export", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr.count("arning") == 0, done.stderr
    assert f"model.onnx: {out.stat().st_size / 1e6:.1f} MB" in done.stdout
    onnx.checker.check_model(onnx.load(out))
    refused = subprocess.run([*command, "--precision", "int3"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
