"""Tiny seeded data sets in exactly the layouts of the real ones, for tests and for trying a command without a download.

File names, HDF5 keys, types, units, sizes and holes are the real ones; the scenes are made up, and there are few of
them. Stacks are made by the package's own renderers with the lens of the data set.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualfocus.datasets import ddff12, fod500, nyu
from dualfocus.datasets.fixture_scene import FixtureScene, make_fixture_scene
from dualfocus.datasets.fixture_tools import camera_blur, save, seeded, with_holes, write_exr, write_json
from dualfocus.datasets.fixtures_peers import PEER_FIXTURES
from dualfocus.datasets.fixtures_photos import PHOTO_FIXTURES
from dualfocus.datasets.nyu_mat import SPLIT_FILE

VIEWS = 9  # of the light field camera, on a side: its aperture is 8 disparities wide
_NYU_SCENE = "study_room_0001"
_WHITE, _BLACK = 255, 0  # levels of the frames around NYU's images


def write_fixture(name: str, out: str | Path) -> None:
    """Write the fixture of a data set to a new folder, whole or not at all.

    Args:
        name: one of `FIXTURES`.
        out: the folder; an empty one may be there.

    Raises:
        ValueError: an unknown name, or a folder that holds something.
    """
    if name not in FIXTURES:
        raise ValueError(f"no fixture {name!r}: use one of {', '.join(FIXTURES)}")
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: is there already; give a new or an empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    temporary.mkdir()
    try:
        FIXTURES[name](temporary)
        if folder.exists():
            folder.rmdir()
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _nyu_labelled(root: Path) -> None:
    """JPEG with a white frame and 8-bit depth, two images of each split."""
    for index in range(4):
        rgb, depth = _room(index)
        _framed(rgb, _WHITE, 9)
        level = np.clip(np.rint(depth * 255 / 9.9955 - 0.5), 0, 255).astype(np.uint8)
        save(rgb, root / "rgb" / f"{index:04d}.jpg")
        save(level, root / "depth_u8" / f"{index:04d}.png")
    encoding = "uint8 level v; depth_m = (v + 0.5) * 9.9955 / 255"
    write_json(root / "splits.json", {"train": [0, 1], "test": [2, 3], "depth_encoding": encoding})


def _nyu_bts(root: Path) -> None:
    """BTS's folders with both lists, two images of each split; depth in mm with holes, frames white and black."""
    for split, folder, border, width in (
        ("train", root / "sync", _WHITE, 8),
        ("test", root / "official_splits" / "test", _BLACK, 7),
    ):
        lines = []
        for index in range(2):
            rgb, depth = _room(index if split == "train" else 2 + index)
            _framed(rgb, border, width)
            stem = f"{index:05d}"
            save(rgb, folder / _NYU_SCENE / f"rgb_{stem}.jpg")
            save(with_holes(np.rint(depth * 1000).astype(np.uint16)), folder / _NYU_SCENE / f"sync_depth_{stem}.png")
            lines.append(f"/{_NYU_SCENE}/rgb_{stem}.jpg /{_NYU_SCENE}/sync_depth_{stem}.png 518.8579\n")
        (root / f"nyu_{split}.txt").write_text("".join(lines), encoding="utf-8")


def _nyu_mat(root: Path) -> None:
    """The labelled file in MATLAB's order of axes, four images; a split of its own beside it."""
    import h5py

    rooms = [_room(index) for index in range(4)]
    whole = np.stack([depth.T for _, depth in rooms]).astype(np.float32)
    raw = np.stack([with_holes(depth.copy()).T for _, depth in rooms]).astype(np.float32)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 1}
        file.create_dataset("images", data=np.stack([rgb.transpose(2, 1, 0) for rgb, _ in rooms]), **packed)
        file.create_dataset("depths", data=whole, **packed)
        file.create_dataset("rawDepths", data=raw, **packed)
    with (root / "nyu_depth_v2_labeled.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, a fixture".ljust(124) + b"\x00\x02IM")
    write_json(root / SPLIT_FILE, {"test": [[2, 3]]})


def _fod500(root: Path) -> None:
    """Two samples of each split: five TIFF and one EXR of half floats each; depth goes beyond the last plane."""
    folder = root / "fs_6"
    folder.mkdir()
    for number in (0, 1, fod500.FIRST_TEST, fod500.FIRST_TEST + 1):
        scene = make_fixture_scene(seeded("fod500", number), fod500.SIZE, fod500.SIZE, 0.1, 2.8)
        lens = fod500.CAMERA
        assert lens.focal_length_mm and lens.f_number and lens.sensor_width_mm
        pitch = lens.sensor_width_mm * 1e-3 / fod500.SIZE
        blur = camera_blur(scene, fod500.FOCUS_DISTANCES_M, lens.focal_length_mm * 1e-3, lens.f_number, pitch)
        for plane, image in enumerate(scene.stack(blur), start=1):
            save(image, folder / f"{number:06d}_{plane:02d}All.tif")
        depth = scene.visible_depth().astype(np.float16)
        write_exr(folder / f"{number:06d}Dpt.exr", {"R": depth, "G": depth.copy(), "B": depth.copy()})


def _ddff12(root: Path) -> None:
    """DFV's file: whole images in single precision, 0 to 255, with all-in-focus images; two stacks of each split."""
    size = (ddff12.HEIGHT, ddff12.WIDTH)
    _write_ddff12(root / "my_ddff_trainVal.h5", size, np.float32, np.float32, sharp=True)


def _ddff12_official(root: Path) -> None:
    """The official file: crops in 8 bits. The types are those that make its published size of 12.6 GB."""
    _write_ddff12(root / "ddff-dataset-trainval.h5", (224, 224), np.uint8, np.float64, sharp=False)


def _write_ddff12(path: Path, size: tuple[int, int], stack_type: Any, truth_type: Any, sharp: bool) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for split in ("train", "val"):
            scenes = [make_fixture_scene(seeded(path.name, split, n), *size, 0.48, 8.0) for n in range(2)]
            stacks = np.stack([scene.stack(_light_field_blur(scene)) for scene in scenes])
            truths = np.stack([with_holes(ddff12.DISPARITY_M / scene.visible_depth()) for scene in scenes])
            chunk: dict[str, Any] = {"compression": "lzf", "shuffle": True}
            file.create_dataset(f"stack_{split}", data=stacks.astype(stack_type), chunks=(1, 1, *size, 3), **chunk)
            file.create_dataset(f"disp_{split}", data=truths.astype(truth_type))
            if sharp:
                images = np.stack([scene.sharp() for scene in scenes]).astype(stack_type)
                file.create_dataset(f"AiF_{split}", data=images, **chunk)


def _ddff12_test(root: Path) -> None:
    """The first two of the 120 stacks, 8 bits."""
    import h5py

    with h5py.File(root / ddff12.TEST_FILE, "w") as file:
        scenes = [make_fixture_scene(seeded("test", n), ddff12.HEIGHT, ddff12.WIDTH, 0.48, 8.0) for n in range(2)]
        stacks = np.stack([scene.stack(_light_field_blur(scene)) for scene in scenes])
        file.create_dataset("stack_test", data=stacks, compression="lzf", shuffle=True)


def _arkitscenes(root: Path) -> None:
    """Two videos of one frame: images and depth of 1920 x 1440, small ones beside them, and the list of frames."""
    folder = root / "Validation"
    lines = []
    for video, time in (("40000001", "101.250"), ("40000002", "7.038")):
        scene = make_fixture_scene(seeded("arkitscenes", video), 1440, 1920, 0.6, 4.5, grain=4)
        name = f"{video}_{time}.png"
        depth = with_holes(np.rint(scene.visible_depth() * 1000).astype(np.uint16))
        image = scene.sharp()
        save(image, folder / video / "wide" / name)
        save(depth, folder / video / "highres_depth" / name)
        save(image[3::8, 3::8][:192, :256], folder / video / "lowres_wide" / name)
        lines.append(f"{video}/lowres_wide/{name} {video}/downsampled_gt/{name}\n")
    (folder / "Validation.txt").write_text("".join(lines), encoding="utf-8")


def _stacks(root: Path) -> None:
    """Two folders with `stack.json`: one in metres with a .npy truth, one in dioptres with a 16-bit depth image."""
    for name, unit in (("metres", "m"), ("dioptres", "dioptre")):
        scene = make_fixture_scene(seeded("stacks", name), 120, 160, 0.4, 2.0)
        distances = np.array([0.4, 0.55, 0.8, 1.2, 2.0])
        images = scene.stack(camera_blur(scene, distances.tolist(), 6e-3, 1.8, 12e-6))
        for plane, image in enumerate(images):
            save(image, root / name / f"{plane}.png")
        record: dict[str, Any] = {"images": [f"{n}.png" for n in range(len(images))], "unit": unit}
        depth = scene.visible_depth()
        if unit == "m":
            record |= {"focus_distances": distances.tolist(), "ground_truth": "truth.npy"}
            np.save(root / name / "truth.npy", depth.astype(np.float32))
        else:
            record |= {"focus_distances": (1 / distances).tolist(), "depth_png": "depth.png", "depth_png_scale_m": 1e-4}
            save(with_holes(np.rint(depth * 1e4).astype(np.uint16)), root / name / "depth.png")
        write_json(root / name / "stack.json", record)


FIXTURES: dict[str, Callable[[Path], None]] = {
    "nyu-labelled": _nyu_labelled,
    "nyu-bts": _nyu_bts,
    "nyu-mat": _nyu_mat,
    "fod500": _fod500,
    "ddff12": _ddff12,
    "ddff12-official": _ddff12_official,
    "ddff12-test": _ddff12_test,
    "arkitscenes": _arkitscenes,
    "stacks": _stacks,
    **PEER_FIXTURES,
    **PHOTO_FIXTURES,
}


def _room(index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """An NYU image and its depth in metres, the same in each form of the data."""
    scene = make_fixture_scene(seeded("nyu", index), nyu.HEIGHT, nyu.WIDTH, 0.9, 6.0)
    return scene.sharp(), scene.visible_depth()


def _light_field_blur(scene: FixtureScene) -> NDArray[np.float64]:
    """(L, 10, H, W) diameter in px: views spread over 8 disparities are shifted by the plane's and averaged."""
    disparity = ddff12.DISPARITY_M / scene.depth
    planes = [(VIEWS - 1) * np.abs(disparity - plane) for plane in ddff12.plane_disparities(rounded=False)]
    return np.stack(planes, axis=1)


def _framed(rgb: NDArray[np.uint8], level: int, width: int) -> None:
    """A uniform frame, in place."""
    rgb[:width], rgb[-width:], rgb[:, :width], rgb[:, -width:] = (level,) * 4
