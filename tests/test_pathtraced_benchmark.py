"""Our physical benchmark: what its scenes are made of, the set on disk and again from its seed, and its protocol."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualfocus.benchmarks.protocols import PROTOCOLS, open_dataset
from dualfocus.optics import circle_of_confusion_px, pixel_pitch
from dualfocus.rendering.environment import environment, map_directions
from dualfocus.rendering.llvm import newest
from dualfocus.rendering.materials import paint, plaster
from dualfocus.rendering.meshes import is_held_out
from dualfocus.rendering.pathtraced import ThinLens, TracedScene, mitsuba, trace_stack
from dualfocus.rendering.pathtraced_benchmark import MODELS, PARTS, make_shot, write_pathtraced
from dualfocus.rendering.solids import solid, thin_structure

SAMPLES = Path(__file__).parent / "data" / "pathtraced"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dualfocus", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=300)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def contrast(texture: np.ndarray) -> float:
    grey = texture.mean(axis=2)
    return float(grey.std() / grey.mean())


def test_materials_are_textured_and_plaster_is_not():
    for seed in range(24):
        painted, bare = (make(np.random.default_rng(seed), 256) for make in (paint, plaster))
        assert painted.shape == bare.shape == (256, 256, 3) and painted.dtype == np.float32
        assert 0.01 < painted.min() and painted.max() < 0.9
        assert contrast(painted) > 0.05 and contrast(bare) < 0.008
        np.testing.assert_array_equal(painted, paint(np.random.default_rng(seed), 256))


def test_solids_are_whole_and_tubes_as_thick_as_asked():
    for seed in range(16):
        mesh = solid(np.random.default_rng(seed))
        assert np.isfinite(mesh.corners).all() and np.isfinite(mesh.uv).all()
        assert np.ptp(mesh.corners.reshape(-1, 3), axis=0).max() == pytest.approx(1, rel=1e-5)
        thin, thick = (thin_structure(np.random.default_rng(seed), radius).corners for radius in (1e-5, 0.01))
        moved = np.linalg.norm(thick - thin, axis=2)  # each corner leaves the middle of its tube
        assert 0.005 < np.median(moved) < 0.02


def test_light_comes_from_behind_or_above_with_a_mean_of_one():
    up = np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1.0]])  # a level camera: y down and z ahead to up and back
    weight = np.sqrt(1 - map_directions()[..., 1] ** 2)
    for seed in range(12):
        light = environment(np.random.default_rng(seed), up).mean(axis=2)
        assert light.min() > 0 and np.average(light, weights=weight) == pytest.approx(1, rel=1e-4)
        brightest = np.average(map_directions(), axis=(0, 1), weights=np.where(light > np.quantile(light, 0.95), 1, 0))
        assert brightest[1] < 0.1  # up, where y points down


@pytest.mark.parametrize("name", PARTS)
def test_scenes_of_a_part_hold_what_it_promises(name):
    part = PARTS[name]
    for seed in range(3):
        shot = make_shot(np.random.default_rng(seed), part, 128, None)
        near, far = shot.focus_distances[0], shot.focus_distances[-1]
        faces = [body for body in shot.scene.bodies if body.name in ("floor", "wall")]
        standing = [body for body in shot.scene.bodies if body.name not in ("floor", "wall")]
        assert len(faces) == (3 if part.walls else 1)
        for body in standing:
            depth = body.mesh.corners.reshape(-1, 3) @ body.to_world[2, :3] + body.to_world[2, 3]
            assert near < depth.min() and depth.max() < far
            assert np.linalg.det(body.to_world[:3, :3]) > 0
        thin = [body for body in standing if body.name.endswith("thin")]
        assert part.thin[0] <= len(thin) <= part.thin[1]
        assert part.objects[0] <= len(standing) - len(thin) <= part.objects[1]
        if name == "plain":
            assert all(contrast(body.texture) < 0.008 for body in faces)
        lens, pitch = shot.lens, pixel_pitch(shot.lens.sensor_width_mm / 1e3, shot.lens.width)
        blur = circle_of_confusion_px(far, near, lens.focal_length_mm / 1e3, lens.f_number, pitch, breathing=False)
        assert 2 < blur < 8  # 4 to 16 px in pictures twice as wide, the benchmark's
        for place, radius, _ in shot.scene.lamps:
            assert np.linalg.norm(place) > radius  # never around the camera


def test_models_are_held_out_and_credited():
    assert all(is_held_out(name) for name in MODELS) and all(MODELS.values()) and len(MODELS) == 24


def test_samples_are_whole_stacks_with_exact_depth():
    data = open_dataset(PROTOCOLS["pathtraced"], SAMPLES)
    assert data.names == ["general/000", "plain/001", "thin/002"]
    for index, name in enumerate(data.names):
        sample = data[index]
        planes = sample.stack.focus_distances
        assert sample.stack.size == (96, 128) and len(planes) == len(sample.stack) == 5
        assert sample.mask.all() and planes[0] < sample.truth.min() and sample.truth.max() < planes[-1]
        assert np.ptp(np.diff(1 / np.asarray(planes))) < 1e-9  # even in dioptres
        sidecar = json.loads((SAMPLES / name / "stack.json").read_text())
        assert "Apache-2.0" in sidecar["licence"] and not set(sidecar["objects"]) & MODELS.keys()


def test_samples_are_sharper_in_the_plane_that_is_nearest_in_dioptres():
    for sample in open_dataset(PROTOCOLS["pathtraced"], SAMPLES):
        detail = np.stack([np.hypot(*np.gradient(plane.astype(float).mean(axis=2))) for plane in sample.stack])
        steps = np.abs(1 / sample.truth - 1 / np.asarray(sample.stack.focus_distances)[:, None, None])
        near, far = (np.take_along_axis(detail, pick(steps, axis=0)[None], 0) for pick in (np.argmin, np.argmax))
        assert near.mean() > 1.1 * far.mean()


def test_evaluate_tells_the_parts_apart(tmp_path):
    done = run("evaluate", "classical", "--protocol", "pathtraced", "--data", SAMPLES, "-o", tmp_path, "--worst", 0)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())["models"]["classical"]
    with (tmp_path / "classical" / "per_image.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert list(summary["parts"]) == ["general", "plain", "thin"]
    for name, row in rows.items():
        part = summary["parts"][name.split("/")[0]]
        assert part["images"] == 1 and part["mean"]["range_rmse"] == float(row["range_rmse"])
    mean = np.mean([float(row["rmse"]) for row in rows.values()])
    assert summary["mean"]["rmse"] == pytest.approx(mean)
    assert summary["parts"]["plain"]["mean"]["flat"] > 2 * summary["parts"]["general"]["mean"]["flat"]
    table = (tmp_path / "summary.md").read_text().split("By part:")[1].split("##")[0]
    assert [line.split("|")[1].strip() for line in table.strip().splitlines()[2:]] == ["general", "plain", "thin"]


@pytest.fixture
def renderer():
    for module in ("mitsuba", "pyoidn"):
        pytest.importorskip(module, reason="path tracing needs the extra dualfocus[render]")


def test_the_newest_llvm_that_does_not_abort_is_taken():
    names = [
        "libLLVM-14.so.1",
        "libLLVM-16.so.1",
        "libLLVM-19.so",
        "libLLVM.so.19.1",
        "libLLVM.so.20.1",
        "libLLVMCore.so",
    ]
    assert newest(map(Path, names)) == Path("libLLVM.so.20.1")
    assert newest(map(Path, names[:4])) in (Path("libLLVM.so.19.1"), Path("libLLVM-19.so"))
    assert newest(map(Path, names[:2])) is None


def test_a_camera_sees_the_light_that_lies_ahead(renderer):
    lens = ThinLens(focal_length_mm=10, f_number=8, sensor_width_mm=20, width=32, height=24)
    seen = trace_stack(TracedScene([], (map_directions(256, 512) + 1) / 2, []), lens, [1.0], 0, 64).all_in_focus
    y, x = (np.mgrid[:24, :32] + 0.5 - np.array([12, 16])[:, None, None]) / lens.focal_px
    ahead = np.stack([x, y, np.ones_like(x)], axis=2)
    expected = (ahead / np.linalg.norm(ahead, axis=2, keepdims=True) + 1) / 2
    assert np.abs(seen - expected).mean() < 0.01


def test_the_samples_come_again_from_their_seed(renderer, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        write_pathtraced(out, 1, width=128)
    for path in sorted((SAMPLES / "general" / "000").glob("*.png")):
        stored, made, again = (
            np.array(Image.open(root / "general" / "000" / path.name), int) for root in (SAMPLES, first, second)
        )
        apart = np.abs(made - again)  # threads add the paths of a pixel in any order
        assert apart.max() <= (0 if path.name == "depth.png" else 1) and np.mean(apart > 0) < 1e-3, path.name
        if mitsuba().variant() == "llvm_ad_rgb":  # the samples were made with it; others draw other random numbers
            assert np.abs(stored - made).mean() < 0.01 * np.median(stored), path.name  # processors round unlike


def test_a_set_goes_on_where_it_was_and_refuses_other_options(renderer, tmp_path):
    shutil.copytree(SAMPLES, tmp_path, dirs_exist_ok=True)
    options = ("render", "pathtraced", "-o", tmp_path, "--count", 3, "--size", 128)
    assert run(*options).returncode == 0
    assert files(tmp_path) == files(SAMPLES)
    refused = run(*options, "--seed", 1)
    assert refused.returncode == 2 and "other options" in refused.stderr and "Traceback" not in refused.stderr


def test_catalogues_without_the_models_are_refused_at_once(tmp_path):
    done = run("render", "pathtraced", "-o", tmp_path / "out", "--meshes", tmp_path)
    assert done.returncode == 2 and "sweethome3d-furniture" in done.stderr and not (tmp_path / "out").exists()
