"""ZEDD, Infinigen-Defocus, the two telephone sets and the hidden test sets, read from tiny ones in their layouts."""

import shutil

import h5py
import numpy as np
import OpenEXR
import pytest
from PIL import Image
from test_benchmark_data import cut

from dualfocus import cli
from dualfocus.datasets import Ddff12Test, InfinigenDefocus, MobileDepth, Smartphone, Zedd, checks
from dualfocus.datasets.smartphone import POSITIONS_MM

RUNS = {1: "6D3E", 3: "3B39", 5: "2371", 7: "183F", 9: "1113"}


def picture(path):
    return np.array(Image.open(path))


def test_zedd_val_is_shrunk_and_cut_as_fossa_does(benchmark_data):
    root = benchmark_data("zedd")
    data = Zedd(root)
    assert data.names == Zedd(root, "val").names == ["val_0001", "val_0002"]
    sample, folder = data[0], root / "val" / "val_0001"
    metres = {line.split()[0]: float(line.split()[2]) for line in (root / "metadata.txt").read_text().splitlines()[1:]}
    np.testing.assert_allclose(sample.stack.focus_distances, [metres[f"run_{run}"] for run in RUNS])
    assert sample.stack.size == (480, 640) and sample.stack.camera.f_number == 2.8
    for plane, (run, motor) in zip(sample.stack, RUNS.items(), strict=True):
        photo = Image.open(folder / "focus_stack" / f"img_run_{run}_motor_{motor}_aperture_F2.8.jpg")
        small = photo.resize((720, 480), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(plane, np.array(small)[:, 40:680])
    depth = np.load(folder / "gt" / "depth.npy")
    assert depth.shape == (1216, 1824) and np.isnan(depth).any()
    assert sample.mask[240, 320] and sample.truth[240, 320] == depth[609, 913]
    assert 0 < np.mean(sample.mask) < 1 and sample.all_in_focus.shape == (480, 640, 3)


def test_zedd_counts_depth_from_a_centimetre_to_a_kilometre(benchmark_data, tmp_path):
    root = tmp_path / "ZEDD"
    shutil.copytree(benchmark_data("zedd"), root)
    depth = np.full((1216, 1824), 2.0)
    depth[:304], depth[304:608], depth[608:912] = 0.009, 1001, np.inf
    np.save(root / "val" / "val_0001" / "gt" / "depth.npy", depth)
    sample = Zedd(tmp_path)[0]
    np.testing.assert_array_equal(sample.mask, np.arange(480)[:, None].repeat(640, axis=1) >= 360)


def test_hidden_test_sets_are_whole_and_without_truth(benchmark_data):
    zedd = Zedd(benchmark_data("zedd"), "test")
    assert zedd.names == ["zedd_output_0001", "zedd_output_0002"] and zedd[1].stack.size == (1216, 1824)
    folder = benchmark_data("zedd") / "test" / "test_0002" / "focus_stack"
    np.testing.assert_array_equal(zedd[1].stack[4], picture(folder / "img_run_9_motor_1113_aperture_F2.8.jpg"))
    ddff12 = Ddff12Test(benchmark_data("ddff12-test"), planes=5)
    assert ddff12.names == ["lockeroom/DISP_0001", "lockeroom/DISP_0002"] and ddff12[0].stack.size == (383, 552)
    np.testing.assert_allclose(
        ddff12[0].stack.focus_distances * 0.1412375658, np.linspace(0.28, 0.02, 10)[[0, 2, 4, 6, 9]]
    )
    with h5py.File(benchmark_data("ddff12-test") / "ddff-dataset-test.h5") as file:
        np.testing.assert_array_equal(ddff12[1].stack[3], file["stack_test"][1, 6])
    assert not zedd[0].mask.any() and not ddff12[0].mask.any()


def test_infinigen(benchmark_data, tmp_path):
    root = benchmark_data("infinigen")
    data = InfinigenDefocus(root)
    assert data.names == ["11a3789d_1", "1036e2cc_1"]  # as the list has them
    sample = data[1]
    np.testing.assert_array_equal(sample.stack.focus_distances, [0.8, 1.7, 3.0, 4.7, 8.0])
    np.testing.assert_array_equal(sample.stack[3], picture(root / "1036e2cc_1" / "image_ap_1.40_fd_4.70.png"))
    depth = np.load(root / "1036e2cc_1" / "depth.npy")
    np.testing.assert_array_equal(sample.mask, depth < np.inf)
    np.testing.assert_array_equal(sample.truth[sample.mask], depth[sample.mask])
    np.testing.assert_array_equal(sample.all_in_focus, picture(root / "1036e2cc_1" / "image_all_in_focus.png"))
    shutil.copytree(root, tmp_path / "unlisted", ignore=shutil.ignore_patterns("val.json"))
    assert InfinigenDefocus(tmp_path / "unlisted").names == ["1036e2cc_1", "11a3789d_1", "11a3789d_2"]


def test_smartphone(benchmark_data):
    root = benchmark_data("smartphone")
    assert len(POSITIONS_MM) == 49 and list(POSITIONS_MM) == sorted(POSITIONS_MM, reverse=True)
    data = Smartphone(root)
    assert data.names == Smartphone(root / "test").names == ["scene_a", "scene_b"]
    sample = data[1]
    chosen = np.rint(np.linspace(0, 48, 10)).astype(int)
    np.testing.assert_allclose(1000 / sample.stack.focus_distances, np.array(POSITIONS_MM)[chosen])
    photo = picture(root / "test" / "scaled_images" / "scene_b" / "43" / "result_scaled_image_center.jpg")
    assert photo.shape == (504, 378, 3) and sample.stack.size == (336, 252)
    np.testing.assert_array_equal(sample.stack[8], photo[84:420, 63:315])
    level = picture(root / "test" / "merged_depth" / "scene_b" / "result_merged_depth_center.png")[84:420, 63:315]
    np.testing.assert_allclose(sample.truth, 20 / (100 - 99.8 * level / 255.0), rtol=1e-6)
    with OpenEXR.File(
        str(root / "test" / "merged_conf" / "scene_b" / "result_merged_conf_center.exr"), separate_channels=True
    ) as file:
        trust = file.channels()["R"].pixels[84:420, 63:315]
    assert trust.max() > 1
    np.testing.assert_array_equal(sample.weight, np.minimum(trust, 1))
    np.testing.assert_array_equal(sample.mask, trust > 0)


def test_mobile_depth_takes_aligned_frames_by_their_numbers(benchmark_data):
    root = benchmark_data("mobile-depth")
    data = MobileDepth(root)
    assert data.names == MobileDepth(root / "depth_from_focus_data3" / "Aligned").names == ["balls", "zeromotion"]
    sample = data[0]
    folder = root / "depth_from_focus_data3" / "Aligned" / "Figure1" / "balls"
    for plane, number in zip(sample.stack, (4, 6, 7, 8, 10), strict=True):  # of a4 to a10
        np.testing.assert_array_equal(plane, picture(folder / f"a{number}.jpg"))
    assert sample.stack.unit == "index" and not sample.mask.any()


def halve(path):
    Image.fromarray(picture(path)[::2, ::2]).save(path)


def level16(path):
    Image.fromarray(picture(path).astype(np.uint16)).save(path)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("zedd", lambda r: (r / "metadata.txt").write_text("run_1 6D3E 0.82\n"), "line 1 must be: run_N, motor code"),
        ("zedd", lambda r: (r / "metadata.txt").write_text("run_1\t6D3E\t0.82\n"), "no run_3, run_5, run_7, run_9"),
        (
            "zedd",
            lambda r: next(r.rglob("val_0002/*/img_run_7*")).unlink(),
            "img_run_7_motor_183F_aperture_F2.8.jpg: mis",
        ),
        ("zedd", lambda r: next(r.rglob("test_0001/*/img_run_1_*")).unlink(), "test_0001/focus_stack/img_run_1_motor"),
        ("zedd", lambda r: cut(r / "val" / "val_0001" / "gt" / "depth.npy"), "depth.npy: cannot be read as a .npy"),
        ("zedd", lambda r: shutil.rmtree(r / "test"), "test: no scene in it"),
        ("infinigen", lambda r: (r / "val.json").write_text("[]"), "val.json: must hold"),
        ("infinigen", lambda r: next(r.rglob("1036*/image_ap_1.40_fd_3.00.png")).unlink(), "fd_3.00.png: missing"),
        ("infinigen", lambda r: np.save(r / "11a3789d_1" / "depth.npy", np.zeros((2, 2))), "truth of shape (2, 2)"),
        ("infinigen", lambda r: halve(next(r.rglob("1036*/*_fd_1.70.png"))), "1036e2cc_1/image_ap_1.40_fd_1.70.png"),
        (
            "smartphone",
            lambda r: cut(next(r.rglob("scene_b/*_conf_center.exr"))),
            "center.exr: cannot be read as an EXR",
        ),
        ("smartphone", lambda r: level16(next(r.rglob("scene_b/*_depth_center.png"))), "not an 8-bit image of one"),
        (
            "smartphone",
            lambda r: shutil.rmtree(next(r.rglob("scene_a/21"))),
            "21/result_scaled_image_center.jpg: missing",
        ),
        ("mobile-depth", lambda r: cut(next(r.rglob("balls/a6.jpg"))), "a6.jpg"),
        ("ddff12-test", lambda r: cut(r / "ddff-dataset-test.h5"), "not a whole HDF5 file"),
    ],
)
def test_a_damaged_download_is_named(check_damaged, name, damage, message):
    assert message in check_damaged(name, damage)


@pytest.mark.parametrize("name", ["zedd", "infinigen", "smartphone", "mobile-depth", "ddff12-test"])
def test_check_data(benchmark_data, tmp_path, capsys, name):
    assert cli.main(["check-data", name, str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "nowhere" in error and "http" in error  # what is missing, and where it is from
    found, problems = checks.check_data(name, benchmark_data(name))
    assert found and all("samples, not" in problem or "9 of 11 scenes" in problem for problem in problems)
