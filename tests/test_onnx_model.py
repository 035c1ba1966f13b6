"""Prediction with ONNX Runtime: the same result as with torch, without importing it; where the file comes from."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import dualfocus
from dualfocus.baselines.baseline import Baseline
from dualfocus.inference import windows
from dualfocus.inference.export import export_onnx
from dualfocus.inference.fingerprint import fingerprint
from dualfocus.inference.onnx_model import OnnxModel
from dualfocus.inference.predictor import Predictor
from dualfocus.rendering.capture import render_stack
from dualfocus.rendering.textures import TexturePool

DESK = Path(dualfocus.__file__).parent / "samples" / "desk"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return export_onnx("dualfocus-s", tmp_path_factory.mktemp("onnx") / "model.onnx")


@pytest.fixture(scope="module")
def models(path):
    return dualfocus.load_model(path), dualfocus.load_model("dualfocus-s", device="cpu")


def rendered(planes: int, size: int | tuple[int, int], seed: int = 5) -> dualfocus.FocalStack:
    scene = render_stack(seed, TexturePool(None), size=size, planes=planes)
    return dualfocus.FocalStack(scene.images, scene.focus_distances, "m")


def assert_same(ours, theirs, stack):
    u = 1 / stack.focus_distances
    assert (np.abs(1 / ours.depth - 1 / theirs.depth) / np.ptp(u) <= 1e-4).mean() >= 0.999
    np.testing.assert_allclose(ours.confidence, theirs.confidence, atol=1e-3)
    np.testing.assert_allclose(ours.std, theirs.std, rtol=1e-2, atol=1e-4 * np.ptp(stack.focus_distances))
    assert (ours.valid != theirs.valid).mean() < 1e-3
    assert np.abs(ours.all_in_focus.astype(int) - theirs.all_in_focus).max() <= 1
    for field in ("unit", "model", "warnings", "focus_unit", "camera"):
        assert getattr(ours, field) == getattr(theirs, field)
    assert ours.all_in_focus.dtype == theirs.all_in_focus.dtype and ours.depth.dtype == np.float32


def test_the_packaged_stack_gives_the_same_result(models):
    stack = dualfocus.load_stack(DESK)
    assert_same(*(model.predict(stack) for model in models), stack)


@pytest.mark.parametrize("brightness", [1.0, 1 / 16])
def test_sixteen_bits_are_seen_by_both(models, brightness):
    """Dark frames of a microscope have their detail in the bits that eight do not hold."""
    desk = dualfocus.load_stack(DESK)
    planes = np.stack([plane[::2, ::2].mean(axis=2) * 257 * brightness for plane in desk]).round().astype(np.uint16)
    stack = dualfocus.FocalStack(planes, desk.focus_distances)
    ours, theirs = (model.predict(stack) for model in models)
    apart = np.abs(1 / ours.depth - 1 / theirs.depth) / np.ptp(1 / stack.focus_distances)
    assert np.quantile(apart, 0.999) < 1e-3  # 3e-3 with eight bits
    np.testing.assert_allclose(ours.confidence, theirs.confidence, atol=5e-3)


def test_a_long_stack_gives_the_same_result(models):
    stack = rendered(windows.LONGEST + 3, 96)
    assert_same(*(model.predict(stack) for model in models), stack)


def test_large_photographs_are_worked_smaller_and_enlarged(models, monkeypatch):
    stack = rendered(3, (120, 200))
    monkeypatch.setattr("dualfocus.inference.onnx_model.PLANE_PIXELS", 3 * 6000)
    result = models[0].predict(stack)
    assert "worked at 100x60 and enlarged to 200x120" in result.warnings and result.depth.shape == (120, 200)
    whole = models[1].predict(stack)
    spacing = np.ptp(1 / stack.focus_distances) / 2
    assert np.median(np.abs(1 / result.depth - 1 / whole.depth)) < 0.3 * spacing


def test_a_graph_looks_twice_as_its_network_does(models):
    stack = rendered(3, (300, 400))
    assert models[0].sizes(stack.size, 3) == models[1].sizes(stack.size, 3) == [(300, 400), (150, 200)]
    assert_same(*(model.predict(stack) for model in models), stack)


def test_real_stack(models, shared_data):
    stack = dualfocus.load_stack(shared_data / "stacks" / "hybriddepth_pixel6" / "office_desk")
    small = dualfocus.FocalStack([stack[n][::3, ::3] for n in range(len(stack))], stack.focus_distances, stack.unit)
    assert_same(*(model.predict(small) for model in models), small)


def run_python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    search = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": search, **variables}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


def test_nothing_imports_torch(path, models, tmp_path):
    code = f"""
import sys
for name in ("torch", "safetensors", "onnx", "typer", "pydantic", "rich", "scipy"):
    sys.modules[name] = None  # importing it fails
import numpy as np, dualfocus
stack = dualfocus.load_stack({str(DESK)!r})
result = dualfocus.load_model({str(path)!r}).predict(stack)
result.save({str(tmp_path / "out")!r})
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    expected = models[1].predict(dualfocus.load_stack(DESK)).depth
    np.testing.assert_allclose(np.load(tmp_path / "out" / "depth.npy"), expected, rtol=1e-3)


def test_the_command_line_without_torch(path, tmp_path):
    out = tmp_path / "out"
    code = f"""
import sys
sys.modules["torch"] = None
from dualfocus.cli import main
sys.exit(main(["demo", "-o", {str(out)!r}, "--model", {str(path)!r}]))
"""
    done = run_python(code)
    assert done.returncode == 0 and (out / "depth.npy").exists(), done.stderr
    refused = run_python(code.replace(str(path), "dualfocus-s"))
    assert refused.returncode == 2 and refused.stderr.startswith("error: dualfocus-s needs torch"), refused.stderr
    asked = code[: code.index("sys.exit")] + "sys.exit(main(['info']))"
    known = run_python(asked)
    assert known.returncode == 0 and "torch is not installed" in known.stdout, known.stderr
    refused = run_python(asked.replace("['info']", f"['render', '-o', {str(tmp_path / 'set')!r}]"))
    assert refused.returncode == 2 and refused.stderr.startswith("error: this needs torch"), refused.stderr


def test_a_shipped_model_is_exported_once_in_another_process(tmp_path):
    code = """
import sys, dualfocus
model = dualfocus.load_model("dualfocus-s", backend="onnx")
sys.exit("torch" in sys.modules or "onnx" in sys.modules or not model.record["confidence_map"])
"""
    done = run_python(code, XDG_CACHE_HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "dualfocus").iterdir()
    before = file.stat().st_mtime_ns
    assert run_python(code, XDG_CACHE_HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path)).returncode == 0
    assert file.stat().st_mtime_ns == before


def test_without_torch_an_export_is_asked_for(tmp_path):
    code = """
import sys, dualfocus, dualfocus.inference.onnx_model as backend
backend.find_spec = lambda name: None
try:
    dualfocus.load_model("dualfocus-s", backend="onnx")
except ValueError as error:
    sys.exit(str(error))
"""
    done = run_python(code, XDG_CACHE_HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path))
    assert "torch is not installed: run `dualfocus export -o model.onnx`" in done.stderr


def test_refusals(path, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    foreign = onnx.load(path)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    onnx.helper.set_model_props(foreign, {"dualfocus": '{"model": "dualfocus-z"}'})
    onnx.save(foreign, tmp_path / "unknown.onnx")
    for arguments, words in (
        (dict(name=str(tmp_path / "broken.onnx")), "broken.onnx.*cannot load it"),
        (dict(name=str(tmp_path / "missing.onnx")), "missing.onnx: no such file"),
        (dict(name=str(tmp_path / "foreign.onnx")), "no DualFocus record"),
        (dict(name=str(tmp_path / "unknown.onnx")), "record is damaged"),
        (dict(name=path, device="mps"), "mps.*cpu or cuda"),
        (dict(name=path, backend="torch"), "runs on ONNX Runtime"),
        (dict(name=path, weights=None), "leave out weights"),
        (dict(name="dualfocus-s", backend="tensorrt"), "'tensorrt' is not one of"),
        (dict(name="classical", backend="onnx"), "no weights ship for 'classical'"),
    ):
        with pytest.raises(ValueError, match=words):
            dualfocus.load_model(**arguments)


def test_what_onnx_cannot_do_is_refused_before_anything_is_exported(tmp_path):
    code = """
import dualfocus
for options in ({"precision": "bf16"}, {"precision": "half"}, {"device": "tpu"}):
    try:
        dualfocus.load_model("dualfocus-xs", backend="onnx", **options)
    except ValueError as error:
        print(error)
"""
    done = run_python(code, XDG_CACHE_HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path))
    for line, words in zip(done.stdout.splitlines(), ("dualfocus export --precision", "'half'", "'tpu'"), strict=True):
        assert words in line
    assert not (tmp_path / "dualfocus").exists()


def test_an_evaluation_knows_which_file_it_measured(path, tmp_path):
    other = export_onnx("dualfocus-s", tmp_path / "other.onnx", "fp16")
    assert len({fingerprint(OnnxModel(file)) for file in (path, path, other)}) == 2


def test_whatever_is_loaded_is_a_predictor(models):
    assert inspect.signature(dualfocus.load_model).return_annotation == Predictor.__name__
    assert all(isinstance(model, Predictor) for model in models) and issubclass(Baseline, Predictor)
    with pytest.raises(ValueError, match="dualfocus-s cannot stream; only .* on torch"):
        models[0].stream()


def test_the_same_answer_twice(path):
    stack = rendered(2, 48)
    first, second = (OnnxModel(path).predict(stack) for _ in range(2))
    assert np.array_equal(first.depth, second.depth) and np.array_equal(first.all_in_focus, second.all_in_focus)
