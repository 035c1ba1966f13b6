import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dualfocus.rendering import shapes
from dualfocus.rendering.capture import (
    MAX_COC,
    FocusPlan,
    capture_scene,
    plan_focus,
    render_stack,
)
from dualfocus.rendering.color import linear_to_srgb8, srgb_to_linear
from dualfocus.rendering.dataset import SHARD_SIZE, RenderedDataset, write_dataset
from dualfocus.rendering.noise import fractal
from dualfocus.rendering.procedural import LayeredScene, make_scene
from dualfocus.rendering.rgbd import layered_scene, render_rgbd
from dualfocus.rendering.sensor import Sensor, develop, sample_sensor
from dualfocus.rendering.textures import TexturePool, is_held_out, texture_files
from dualfocus.rendering.traced_set import write_set


@pytest.fixture(scope="module")
def texture_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("textures")
    rng = np.random.default_rng(0)
    for k in range(40):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / f"{k:03d}.png")
    return folder


def test_stack_is_consistent():
    for seed in range(4):
        stack = render_stack(seed, size=(48, 64))
        n = len(stack.images)
        assert 2 <= n <= 12 and stack.images.shape == (n, 48, 64, 3) and stack.images.dtype == np.uint8
        assert stack.all_in_focus.shape == (48, 64, 3) and stack.truth.dtype == np.float32
        assert stack.coordinates[0] == 0.0 and stack.coordinates[-1] == 1.0 and (np.diff(stack.coordinates) > 0).all()
        assert (np.diff(stack.focus_distances) > 0).all() and stack.focus_distances[0] > 0
        inverse = 1.0 / stack.focus_distances
        affine = inverse[0] + stack.coordinates * (inverse[-1] - inverse[0])
        assert inverse == pytest.approx(affine)
        assert inverse[0] + stack.truth.max() * (inverse[-1] - inverse[0]) > 0  # nothing beyond infinity
        total = stack.spacing_px.sum()
        assert max(abs(stack.truth.min() - 1), stack.truth.max(), 1) * total <= MAX_COC * 1.001
        assert (stack.valid == ((stack.truth >= 0) & (stack.truth <= 1))).all() and stack.valid.mean() > 0.1


def test_same_seed_same_bits_whatever_the_global_state():
    first = render_stack(5, size=48)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    state = torch.random.get_rng_state()
    second = render_stack(5, size=48)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())
    other = render_stack(6, size=48, planes=len(first.images))
    assert not np.array_equal(first.images, other.images)


def test_planes_may_be_fixed_and_many():
    assert len(render_stack(1, size=32, planes=2).images) == 2
    stack = render_stack(1, size=32, planes=40)
    assert len(stack.images) == 40 and stack.spacing_px.sum() <= MAX_COC * 1.001
    for planes in (0, 1):
        with pytest.raises(ValueError, match="at least 2 planes"):
            render_stack(1, size=32, planes=planes)


def _flat_scene(w: float, size: int = 96) -> LayeredScene:
    texture = 0.3 + 0.08 * fractal(np.random.default_rng(7), size, size, 0.8)
    one = np.ones((1, size, size), np.float32)
    return LayeredScene(np.repeat(texture[None, None], 3, 1), one, one * np.float32(w), 16)


@pytest.mark.parametrize("w", [0.1, 0.32, 0.5, 0.88])
def test_plane_nearest_the_truth_is_sharpest(w):
    plan = FocusPlan(np.linspace(0, 1, 7), 9.0, 1.0, 1.0, np.linspace(1, 2, 7))
    stack = capture_scene(np.random.default_rng(0), _flat_scene(w), plan, Sensor.ideal(7), "disk")
    assert stack.truth == pytest.approx(1.0 - w, abs=1e-6)
    grey = stack.images.astype(float).mean(-1)
    energy = (np.diff(grey, axis=1) ** 2).mean((1, 2)) + (np.diff(grey, axis=2) ** 2).mean((1, 2))
    assert energy.argmax() == np.abs(plan.coordinates - (1.0 - w)).argmin()


def test_in_focus_plane_equals_the_all_in_focus_image():
    plan = FocusPlan(np.linspace(0, 1, 3), 8.0, 1.0, 1.0, np.linspace(1, 2, 3))
    stack = capture_scene(np.random.default_rng(0), _flat_scene(0.5), plan, Sensor.ideal(3), "gaussian")
    assert np.abs(stack.images[1].astype(int) - stack.all_in_focus).max() <= 1


def test_layers_lie_in_front_of_what_they_cover():
    for seed in range(12):
        scene = make_scene(np.random.default_rng(seed), size=(48, 48))
        below = scene.w[0].copy()
        for alpha, w in zip(scene.alpha[1:], scene.w[1:], strict=True):
            assert (w[alpha > 0.06] > below[alpha > 0.06]).all()
            below = np.where(alpha > 0.5, w, below)
        inside = scene.visible_w()[16:-16, 16:-16]
        assert inside.min() == pytest.approx(0.0, abs=1e-5) and inside.max() <= 1.0 + 1e-5
        assert (scene.alpha[0] == 1).all() and np.isfinite(scene.rgb).all() and scene.rgb.min() >= 0


def test_focus_ranges_cover_all_or_part_of_the_scene():
    w = np.broadcast_to(np.linspace(0, 1, 64), (64, 64))
    covered = []
    for seed in range(200):
        plan = plan_focus(np.random.default_rng(seed), w)
        truth = plan.scene_coordinate(w)
        covered.append(((truth >= -1e-6) & (truth <= 1 + 1e-6)).mean())
    assert 0.5 < np.mean(np.array(covered) > 0.999) < 0.72
    assert min(covered) > 0.2


def test_held_out_textures_never_train(texture_folder):
    train, held = texture_files(texture_folder, "train"), texture_files(texture_folder, "held_out")
    assert not set(train) & set(held) and sorted(train + held) == texture_files(texture_folder, "all")
    assert held and all(is_held_out(p.name) for p in held)
    assert not any(is_held_out(p.name) for p in TexturePool(texture_folder).files)
    # the split is part of the published data: it must not move
    assert [k for k in range(30) if is_held_out(f"{k:04d}.jpg")] == [5, 12, 20, 25]


def test_texture_errors_name_the_folder(tmp_path):
    with pytest.raises(ValueError, match="no texture images"):
        TexturePool(tmp_path)
    with pytest.raises(ValueError, match="split must be"):
        texture_files(tmp_path, "test")


def test_surfaces_have_the_size_and_are_light(texture_folder):
    pool, rng = TexturePool(texture_folder), np.random.default_rng(0)
    for _ in range(30):
        surface = pool.surface(rng, 40, 52)
        assert surface.shape == (3, 40, 52) and np.isfinite(surface).all() and surface.min() >= 0


def test_display_encoding_round_trip():
    codes = np.arange(256, dtype=np.uint8)
    assert np.abs(linear_to_srgb8(srgb_to_linear(codes / 255.0)).astype(int) - codes).max() <= 1
    assert srgb_to_linear(np.array([0.5]))[0] == pytest.approx(0.21404, abs=2e-4)


def test_sensor_noise_and_motion_are_as_stated():
    rng = np.random.default_rng(0)
    light = np.full((1, 3, 104, 104), 0.25, np.float32)
    noisy = Sensor(2000.0, 4.0, np.ones(1), 0.0, np.zeros((1, 4)), 0)
    linear = srgb_to_linear(develop(rng, light, noisy) / 255.0)
    assert linear.std() == pytest.approx(np.sqrt(0.25 / 2000 + (4 / 2000) ** 2), rel=0.05)
    ramp = np.broadcast_to(np.linspace(0.2, 0.4, 104, dtype=np.float32), (1, 3, 104, 104))
    shifted = Sensor(0.0, 0.0, np.ones(1), 0.0, np.array([[0.0, 0.0, 0.5, 0.0]]), 0)
    after, before = (srgb_to_linear(develop(rng, ramp, s) / 255.0).mean() for s in (shifted, Sensor.ideal(1)))
    assert after - before == pytest.approx(0.5 * 0.2 / 103, rel=0.2)
    similarity = np.concatenate([np.abs(sample_sensor(rng, 5, (160, 160)).similarity) for _ in range(60)])
    assert similarity[:, 2:].max() < 0.7 and similarity[:, 0].max() * 80 < 0.9


def test_rgbd_scene_is_seamless_and_filled_from_behind():
    size = 64
    x = np.arange(size)
    rgb = np.full((size, size, 3), 60, np.uint8)
    depth = np.broadcast_to(2.0 + x / size, (size, size)).copy()
    rgb[20:44, 20:44], depth[20:44, 20:44] = 230, 0.5
    depth[50:54, 50:54] = np.nan
    scene = layered_scene(rgb, depth)
    assert scene.rgb[0][:, 40:50, 40:50].max() < 0.1  # behind the square: background, not the square
    assert np.isfinite(scene.w).all() and scene.visible_w()[16 + 30, 16 + 30] > 0.95
    stack = render_rgbd(rgb, depth, 3, planes=4, clean=True)
    assert stack.images.shape == (4, size, size, 3)
    flat = render_rgbd(np.full_like(rgb, 90), depth, 3, planes=4, clean=True)
    assert np.abs(flat.images.astype(int) - int(np.median(flat.images))).max() <= 1
    again = render_rgbd(rgb, depth, 3, planes=4, clean=True)
    assert all(np.array_equal(a, b) for a, b in zip(stack, again, strict=True))
    micrometres = layered_scene(rgb, 1e6 * depth)  # the unit of depth does not matter
    assert micrometres.w == pytest.approx(scene.w, abs=1e-3)
    with pytest.raises(ValueError, match="same size"):
        render_rgbd(rgb, depth[:10], 0)
    with pytest.raises(ValueError, match="no finite positive"):
        render_rgbd(rgb, np.zeros_like(depth), 0)


def test_dataset_is_written_resumed_and_read(tmp_path, texture_folder):
    out = tmp_path / "set"
    seen: list[int] = []
    write_dataset(out, 2 * SHARD_SIZE, 9, texture_folder, 16, planes=(2, 3), progress=lambda n, _: seen.append(n))
    assert seen == [SHARD_SIZE, 2 * SHARD_SIZE]
    data = RenderedDataset(out)
    assert len(data) == 2 * SHARD_SIZE and set(data.planes) <= {2, 3} and not list(out.glob("*.tmp*"))
    stack = data[SHARD_SIZE + 3]
    again = render_stack(
        np.random.SeedSequence([9, SHARD_SIZE + 3]), TexturePool(texture_folder), size=16, planes=len(stack.images)
    )
    assert np.array_equal(stack.images, again.images) and np.array_equal(stack.all_in_focus, again.all_in_focus)
    assert stack.truth == pytest.approx(again.truth, abs=2e-3)
    assert np.array_equal(stack.coordinates, again.coordinates) and np.array_equal(stack.spacing_px, again.spacing_px)
    first = out / "shard_00000.npy"
    kept = (out / "shard_00001.npy").stat().st_mtime_ns
    first.unlink()
    write_dataset(out, 2 * SHARD_SIZE, 9, texture_folder, 16, planes=(2, 3))
    assert first.exists() and (out / "shard_00001.npy").stat().st_mtime_ns == kept
    with pytest.raises(ValueError, match="other options"):
        write_dataset(out, SHARD_SIZE, 10, texture_folder, 16, planes=(2, 3))
    with pytest.raises(ValueError, match="no rendered shards"):
        RenderedDataset(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"planes": (1, 3)}, "least >= 2"), ({"planes": (4, 3)}, "least >= 2"), ({"split": "tset"}, "split must be")],
)
def test_mistakes_leave_no_data_set_behind(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        write_dataset(tmp_path / "set", 1, 0, Path("."), 16, **options)
    assert not (tmp_path / "set").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to one process here")
def test_an_interrupt_ends_rendering_after_the_shards_in_progress(tmp_path):
    out = tmp_path / "set"
    arguments = ["render", "-o", str(out), "--count", "64000", "--size", "16"]
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a run in the background would ignore it
    code = f"import signal, sys; {heed}; from dualfocus.cli import main; sys.exit(main({arguments!r}))"
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 90
        while not list(out.glob("shard_*.npy")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        before = len(list(out.glob("shard_*.npy")))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in said
    assert 1 <= before <= len(RenderedDataset(out)) // SHARD_SIZE <= before + 2 and not list(out.glob("*.tmp*"))


def test_a_data_set_goes_on_with_its_own_textures_alone(tmp_path, texture_folder):
    other, out = tmp_path / "textures", tmp_path / "set"
    shutil.copytree(texture_folder, other)
    write_dataset(out, 0, 0, texture_folder, 16)  # the record alone
    write_dataset(out, 0, 0, other, 16)  # the same files elsewhere
    next(path for path in sorted(other.iterdir()) if not is_held_out(path.name)).unlink()
    for textures in (other, None):
        with pytest.raises(ValueError, match="other options or textures"):
            write_dataset(out, 0, 0, textures, 16)
    meta = json.loads((out / "meta.json").read_text())
    (out / "meta.json").write_text(json.dumps(meta | {"textures": True}))  # of earlier versions
    write_dataset(out, 0, 0, other, 16)
    with pytest.raises(ValueError, match="other options or textures"):
        write_dataset(out, 0, 0, None, 16)


def test_path_traced_sets_go_on_with_their_own_textures_alone(tmp_path):
    def go_on(textures):
        write_set(tmp_path, [], {"seed": 0, "samples": 1, "textures": textures}, lambda *_: None)

    go_on("0123456789ab")
    go_on("0123456789ab")
    with pytest.raises(ValueError, match="other options or textures"):
        go_on("ba9876543210")
    (tmp_path / "set.json").write_text('{"seed": 0, "samples": 1, "textures": true}')  # of earlier versions
    go_on("ba9876543210")
    with pytest.raises(ValueError, match="other options or textures"):
        go_on(False)
    (tmp_path / "set.json").write_text('{"seed": 0, "sam')
    with pytest.raises(ValueError, match=r"set\.json: not the record of rendered stacks"):
        go_on(False)


def test_an_unknown_split_is_an_error_without_textures_too():
    with pytest.raises(ValueError, match="split must be.*'tset'"):
        TexturePool(None, "tset")


def test_another_program_s_record_is_not_taken_for_ours(tmp_path):
    (tmp_path / "meta.json").write_text("version = 1")
    with pytest.raises(ValueError, match=r"meta\.json: not the record of rendered stacks"):
        write_dataset(tmp_path, 1, 0, None, 16)
    assert [path.name for path in tmp_path.iterdir()] == ["meta.json"]


def test_an_even_area_at_the_threshold_is_not_translucent():
    field = np.zeros((40, 60), np.float32)
    field[:, 20:40] = 0.5
    field[:, 40:] = np.linspace(0.5, 1, 20)
    alpha = shapes._threshold(field, 0.5)
    assert (alpha[:, 21:39] == 0).all() and (alpha[:, 42:] == 1).all()
