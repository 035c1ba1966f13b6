"""iBims-1 and DIODE as FOSSA ships them: one `.npy` an image, a pickled dictionary of arrays, with holes filled."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualfocus.datasets.adaptive import adaptive_sample
from dualfocus.datasets.sample import Sample

HOW = "get DefocusUniformat.zip, which https://github.com/princeton-vl/FOSSA links, and unpack it"
KEYS = ("rgb", "depth_filled", "valid_mask", "K")


@dataclass(frozen=True)
class Package:
    """One data set of the archive: its folder, the folders of images in that, and how many images there are."""

    folder: str
    parts: tuple[str, ...]
    count: int


IBIMS1 = Package("ibims", (".",), 100)
DIODE = Package("diode", ("diode_indoor_v2", "diode_outdoor_v2"), 325 + 446)


class Uniformat:
    """RGB-D images with stacks rendered as FOSSA does; names are `000000`, or with the folder before them.

    A file holds `rgb` (H, W, 3) uint8, `depth_filled` (H, W) in metres, `valid_mask` (H, W) bool and `K` (3, 3) in
    pixels (`gt`, depth with its holes, says nothing more). Truth is `depth_filled` where `valid_mask` holds; what was
    filled in by a network serves the renderer alone.

    Args:
        root: the folder of the data set, or one that holds it.
        package: `IBIMS1` or `DIODE`.

    Raises:
        ValueError: a folder is missing or holds no image.
    """

    def __init__(self, root: str | Path, package: Package) -> None:
        self.folder = find_folder(Path(root), package)
        self.files = [path for part in package.parts for path in sorted((self.folder / part).glob("*.npy"))]
        if not self.files:
            raise ValueError(f"{self.folder}: no .npy in it; {HOW}")
        self.names = [path.relative_to(self.folder).with_suffix("").as_posix() for path in self.files]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read image `index` and render its stack, near to far."""
        path = self.files[index]
        content = read_dictionary(path)
        missing = [key for key in KEYS if not isinstance(content.get(key), np.ndarray)]
        if missing:
            raise ValueError(f"{path}: no array {', '.join(missing)} in it; {HOW}")
        rgb, depth, mask, intrinsics = (content[key] for key in KEYS)
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or intrinsics.shape != (3, 3):
            raise ValueError(f"{path}: rgb is {rgb.shape} {rgb.dtype} and K {intrinsics.shape}, not uint8 and (3, 3)")
        focal_px = float(intrinsics[0, 0] + intrinsics[1, 1]) / 2  # K of iBims-1 is transposed, which leaves these two
        return adaptive_sample(
            self.names[index], rgb, np.squeeze(depth), np.squeeze(mask).astype(bool), focal_px, str(path)
        )


def find_folder(root: Path, package: Package) -> Path:
    """The folder of a data set of the archive (ValueError when it, or a folder in it, is not there)."""
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; {HOW}")
    above = (root / "defocus_uniformat" / package.folder, root / package.folder, root)
    folder = next(folder for folder in above if folder.is_dir())
    missing = [part for part in package.parts if not (folder / part).is_dir()]
    if missing:
        raise ValueError(f"{folder}: no folder {missing[0]} in it; {HOW}")
    return folder


def read_dictionary(path: Path) -> dict[str, Any]:
    """The arrays of a pickled dictionary in a `.npy`; nothing else is unpickled, for that could run any code.

    Raises:
        ValueError: the file cannot be read, or holds something else, naming it.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            content = _ArraysOnly(file).load().item()
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}")
    except (OSError, EOFError, ValueError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: cannot be read as a pickled dictionary of arrays ({error}); {HOW}") from None
    return content


_MULTIARRAY = np.zeros(0).__reduce__()[0].__module__  # numpy._core.multiarray, in numpy 1 numpy.core.multiarray


class _ArraysOnly(pickle.Unpickler):
    """Makes numpy arrays and scalars out of a pickle, and refuses everything else."""

    _MADE_OF = frozenset(("_reconstruct", "scalar", "ndarray", "dtype"))

    def find_class(self, module: str, name: str) -> Any:
        """The parts of arrays, whose module numpy 2 has renamed."""
        if name in self._MADE_OF and module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray"):
            return super().find_class(module if module == "numpy" else _MULTIARRAY, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no array")
