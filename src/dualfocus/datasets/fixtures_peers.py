"""The fixtures of the sets that FOSSA and AiFDepthNet measure on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dualfocus.datasets import hammer, light_field_4d, synthetic_fs
from dualfocus.datasets.fixture_scene import FixtureScene, make_fixture_scene
from dualfocus.datasets.fixture_tools import save, seeded, with_holes, write_exr, write_json
from dualfocus.datasets.synthetic_fs import StereoSet

VIEW_SIZE = 128  # of a light field's views; the real ones have 512 x 512 px, and each scene has 81
BLUR_PX = 0.1  # diameter in px of a stereo set's blur for each px of disparity from the plane


def _ibims1(root: Path) -> None:
    """Two images of 640 x 480, K transposed."""
    intrinsics = np.array([[556.0, 0, 0], [0, 556.0, 0], [320.0, 240.0, 1]])
    for number in range(2):
        _write_uniformat(root / "ibims" / f"{number:06d}.npy", 480, 640, intrinsics)


def _diode(root: Path) -> None:
    """One image of 1024 x 768 indoors and one outdoors."""
    intrinsics = np.array([[886.81, 0, 512.0], [0, 927.06, 384.0], [0, 0, 1]])
    for part in ("diode_indoor_v2", "diode_outdoor_v2"):
        _write_uniformat(root / "diode" / part / "000000.npy", 768, 1024, intrinsics)


def _write_uniformat(path: Path, height: int, width: int, intrinsics: NDArray[np.float64]) -> None:
    scene = make_fixture_scene(seeded(*path.parts[-2:]), height, width, 0.9, 8.0)
    filled = scene.visible_depth().astype(np.float32)
    known = with_holes(filled.copy())
    content = {"gt": known, "depth_filled": filled, "rgb": scene.sharp(), "valid_mask": known > 0, "K": intrinsics}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array(content, dtype=object))


def _hammer(root: Path) -> None:
    """Two frames, with holes and with pixels at infinity; the size of the real ones does not matter."""
    frames = [f"scene2_traj1_1/{number:06d}" for number in range(2)]
    for frame in frames:
        folder = root / "HAMMER" / frame
        scene = make_fixture_scene(seeded("hammer", frame), 480, 640, 0.4, 2.0)
        image, depth_file, meta = (folder / name for name in hammer.FILES)
        save(scene.sharp(), image)
        depth = scene.visible_depth()
        near, far = depth.min(), depth.max()
        level = with_holes(1 + np.rint(65533 * np.log(depth / near) / np.log(far / near)).astype(np.uint16))
        level[:20, :20] = 65535
        text = PngInfo()
        text.add_text("near", str(near))
        text.add_text("far", str(far))
        Image.fromarray(level).save(depth_file, pnginfo=text)
        write_json(meta, {"intrinsics": [[0.9, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]]})
    (root / "HAMMER" / hammer.INDEX).write_text("\n".join(frames) + "\n", encoding="utf-8")


def _light_field_4d(root: Path) -> None:
    """Two scenes to validate and one to train, 81 views each, smaller than the real ones; disparity from -2 to 2 px."""
    near, far = (1 / (end + light_field_4d.SHIFT_PX) for end in (2, -2))
    for name in ("training/boxes", "training/cotton", "additional/antinous"):
        scene = make_fixture_scene(seeded("4d-light-field", name), VIEW_SIZE, VIEW_SIZE, near, far)
        disparity = 1 / scene.depth - light_field_4d.SHIFT_PX
        middle = (light_field_4d.VIEWS - 1) / 2
        for number in range(light_field_4d.VIEWS**2):
            row, column = divmod(number, light_field_4d.VIEWS)
            save(_view(scene, disparity, middle - row, middle - column), root / name / f"input_Cam{number:03d}.png")
        truth = 1 / scene.visible_depth() - light_field_4d.SHIFT_PX
        save(truth.astype(np.float32), root / name / light_field_4d.TRUTH)


def _view(scene: FixtureScene, disparity: NDArray[np.float64], down: float, right: float) -> NDArray[np.uint8]:
    """The scene from beside: its points are moved by their disparity times (down, right)."""
    rows, columns = np.indices(disparity.shape[1:], np.float32)
    rgb, alpha = np.empty_like(scene.rgb), np.empty_like(scene.alpha)
    for number, layer in enumerate(disparity.astype(np.float32)):
        moved = layer
        for _ in range(3):  # where a pixel comes from depends on the disparity there
            moved = cv2.remap(layer, columns - right * moved, rows - down * moved, cv2.INTER_LINEAR)
        place = columns - right * moved, rows - down * moved
        rgb[number] = cv2.remap(scene.rgb[number].transpose(1, 2, 0), *place, cv2.INTER_CUBIC).transpose(2, 0, 1)
        alpha[number] = cv2.remap(scene.alpha[number], *place, cv2.INTER_NEAREST)
    return FixtureScene(rgb, alpha, disparity).sharp()


def _flyingthings3d(root: Path) -> None:
    """One scene of 960 x 540."""
    _write_stereo(root / "FlyingThings3D_FS" / "val" / "0000000", synthetic_fs.FLYINGTHINGS3D, 540, 960)


def _middlebury(root: Path) -> None:
    """Two scenes of their own sizes."""
    folder = root / "Middlebury_FS" / "focal_stack"
    _write_stereo(folder / "ArtL", synthetic_fs.MIDDLEBURY, 277, 347)
    _write_stereo(folder / "Teddy", synthetic_fs.MIDDLEBURY, 375, 450)


def _write_stereo(folder: Path, kind: StereoSet, height: int, width: int) -> None:
    """The files of a scene, whose disparity has holes and leaves the focus range at both ends."""
    ends = 1 / (1.1 * kind.nearest), 1 / (0.8 * kind.farthest)
    scene = make_fixture_scene(seeded(kind.title, folder.name), height, width, *ends)
    blur = np.stack([BLUR_PX * np.abs(1 / scene.depth - plane) for plane in kind.disparities], axis=1)
    for plane, image in zip(kind.disparities.tolist(), scene.stack(blur), strict=True):
        save(image, folder / f"{plane}.png")
    save(scene.sharp(), folder / synthetic_fs.SHARP)
    disparity = with_holes(1 / scene.visible_depth()).astype(np.float32)
    write_exr(folder / synthetic_fs.TRUTH, {"Y": disparity})


PEER_FIXTURES: dict[str, Callable[[Path], None]] = {
    "ibims-1": _ibims1,
    "diode": _diode,
    "hammer": _hammer,
    "4d-light-field": _light_field_4d,
    "flyingthings3d": _flyingthings3d,
    "middlebury": _middlebury,
}
