"""The fixtures of stacks that were photographed, or rendered through a true lens: ZEDD, Infinigen, and telephones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dualfocus.datasets import infinigen, smartphone, zedd
from dualfocus.datasets.fixture_scene import make_fixture_scene
from dualfocus.datasets.fixture_tools import camera_blur, save, seeded, with_holes, write_exr, write_json
from dualfocus.optics import planes_even_in_dioptres

ZEDD_GRAIN = 4  # its photographs are rendered smaller by this and enlarged
MOTORS = ("6D3E", "4EA8", "3B39", "2D09", "2371", "1DB4", "183F", "1657", "1113")


def _zedd(root: Path) -> None:
    """Two scenes of each split in the setting that is measured; the distances of the runs are made up."""
    distances = planes_even_in_dioptres(0.82, 8.1, len(MOTORS))
    lines = [f"run_{run}\t{m}\t{s:.3f}\n" for run, (m, s) in enumerate(zip(MOTORS, distances, strict=True), start=1)]
    (root / zedd.METADATA).write_text("# run\tmotor\tmetres\n" + "".join(lines), encoding="utf-8")
    used = [distances[run - 1] for run in zedd.RUNS]
    for split in ("val", "test"):
        for number in (1, 2):
            folder = root / split / f"{split}_{number:04d}"
            (folder / "gt").mkdir(parents=True)
            np.savetxt(folder / "gt" / "K.txt", np.array([[2400, 0, 912], [0, 2400, 608], [0, 0, 1]]))
            size = zedd.HEIGHT // ZEDD_GRAIN, zedd.WIDTH // ZEDD_GRAIN
            scene = make_fixture_scene(seeded("zedd", folder.name), *size, 0.8, 9.0)
            images = [*scene.stack(camera_blur(scene, used, 12e-3, zedd.F_NUMBER, 20e-6)), scene.sharp()]
            for image, path in zip(images, zedd.Zedd(root, split).paths(number - 1), strict=False):
                save(np.asarray(Image.fromarray(image).resize((zedd.WIDTH, zedd.HEIGHT))), path)
            if split == "val":
                depth = with_holes(scene.visible_depth().astype(np.float32))
                depth[depth == 0] = np.nan
                np.save(folder / zedd.TRUTH, depth.repeat(ZEDD_GRAIN, axis=0).repeat(ZEDD_GRAIN, axis=1))


def _infinigen(root: Path) -> None:
    """Two scenes in the setting that is measured, in FOSSA's list, and a copy that is not in it."""
    for name in ("1036e2cc_1", "11a3789d_1"):
        scene = make_fixture_scene(seeded("infinigen", name), 720, 960, 0.7, 12.0)
        stack = scene.stack(camera_blur(scene, infinigen.FOCUS_DISTANCES_M, 12e-3, infinigen.F_NUMBER, 36e-3 / 960))
        for image, file in zip([*stack, scene.sharp()], (*infinigen.PLANES, infinigen.SHARP), strict=True):
            save(image, root / name / file)
        depth = with_holes(scene.visible_depth().astype(np.float32))
        np.save(root / name / infinigen.TRUTH, np.where(depth == 0, np.float32(np.inf), depth))  # the sky
        np.savez(root / name / "cam_all_in_focus.npz", K=np.array([[2000.0, 0, 480], [0, 2000, 360], [0, 0, 1]]))
    shutil.copytree(root / "11a3789d_1", root / "11a3789d_2")
    listed = [{"id": name, "depth": f"/{name}/{infinigen.TRUTH}"} for name in ("11a3789d_1", "1036e2cc_1")]
    write_json(root / infinigen.LIST, {"files": listed})


def _smartphone(root: Path) -> None:
    """Two test scenes with the positions that are read; depth on both sides of what counts, confidence beyond 1."""
    for name in ("scene_a", "scene_b"):
        scene = make_fixture_scene(seeded("smartphone", name), smartphone.HEIGHT, smartphone.WIDTH, 0.5, 50.0)
        distances = [1 / dioptres for dioptres in smartphone.DIOPTRES]
        (root / "test" / "scaled_images" / name).mkdir(parents=True)
        paths = smartphone.Smartphone(root).paths(smartphone.Smartphone(root).names.index(name))
        for image, path in zip(scene.stack(camera_blur(scene, distances, 4.44e-3, 1.8, 11.2e-6)), paths, strict=False):
            save(image, path)
        level = np.clip(np.rint((100 - 20 / scene.visible_depth()) * 255 / 99.8), 0, 255)
        save(level.astype(np.uint8), paths[-2])
        trust = with_holes(seeded("smartphone", "trust", name).uniform(0.1, 1.3, level.shape).astype(np.float32))
        write_exr(paths[-1], {"R": trust, "G": np.zeros_like(trust), "B": np.zeros_like(trust)})


def _mobile_depth(root: Path) -> None:
    """Two scenes of seven aligned frames beside those as photographed; the folder of calibrations has their names."""
    for figure, name in (("Figure1", "balls"), ("Figure3", "zeromotion")):
        scene = make_fixture_scene(seeded("mobile-depth", name), 180, 240, 0.1, 1.0)
        distances = planes_even_in_dioptres(0.1, 1.0, 7)
        for number, image in enumerate(scene.stack(camera_blur(scene, distances, 4e-3, 2.0, 12e-6)), start=4):
            folder = root / "depth_from_focus_data3" / "Aligned" / figure / name
            save(image, folder / f"a{number}.jpg")  # a4 to a10: 10 comes last
            save(np.roll(image, number, axis=1), folder / f"{number}.jpg")
        calibration = root / "depth_from_focus_data2" / "calibration" / name
        calibration.mkdir(parents=True)
        lines = [f"{39.37 * s:.4f} 2.0\n" for s in distances]
        (calibration / "calibrated.txt").write_text("".join(lines) + "0.157\n", encoding="utf-8")


PHOTO_FIXTURES: dict[str, Callable[[Path], None]] = {
    "zedd": _zedd,
    "infinigen": _infinigen,
    "smartphone": _smartphone,
    "mobile-depth": _mobile_depth,
}
