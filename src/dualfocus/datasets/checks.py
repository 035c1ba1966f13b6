"""Whether a download of a data set is complete: what `dualfocus check-data` says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dualfocus.datasets import (
    arkitscenes,
    ddff12,
    fod500,
    hammer,
    infinigen,
    light_field_4d,
    mobile_depth,
    nyu_bts,
    smartphone,
    synthetic_fs,
    uniformat,
    zedd,
)
from dualfocus.datasets.files import missing
from dualfocus.datasets.nyu import SPLITS
from dualfocus.datasets.nyu_bts import NyuBts
from dualfocus.datasets.nyu_forms import open_nyu
from dualfocus.datasets.sample import Dataset
from dualfocus.datasets.stack_folders import StackFolders
from dualfocus.datasets.unpacked import unpacked
from dualfocus.datasets.uploads import UPLOADS

MOST_PROBLEMS = 20
UPLOAD = "-upload"


def check_data(name: str, path: str | Path) -> tuple[list[str], list[str]]:
    """Look at a data set as `evaluate` and `train` would read it; only the first and last sample of a split are read.

    Args:
        name: one of `CHECKS`.
        path: its file or folder, or the ZIP of an upload.

    Returns:
        what is there, and what is wrong, a sentence each; at most 20 of what is wrong.

    Raises:
        ValueError: an unknown name.
    """
    if name not in CHECKS:
        raise ValueError(f"no data set {name!r}: use one of {', '.join(CHECKS)}")
    found: list[str] = []
    problems: list[str] = []
    try:
        given = Path(path) if name.endswith(UPLOAD) else unpacked(Path(path))  # an upload is a ZIP itself
        for problem in CHECKS[name](given, found):
            if problem in problems:  # of both splits
                continue
            problems.append(problem)
            if len(problems) == MOST_PROBLEMS:
                problems[-1] = f"and more; only the first {MOST_PROBLEMS - 1} problems are listed"
                break
    except ValueError as error:
        problems.append(str(error))
    return found, problems


def _nyu(root: Path, found: list[str]) -> Iterator[str]:
    def check(split: str) -> Iterator[str]:
        images = open_nyu(root, split, planes=2)
        expected = nyu_bts.COUNTS[split] if isinstance(images, NyuBts) else SPLITS[split]
        if isinstance(images, NyuBts):
            yield from _missing(images.folder, [name for pair in images.pairs for name in pair])
        yield from _split(images, split, expected, found, read=images.rgbd)

    return _every(SPLITS, check)


def _fod500(root: Path, found: list[str]) -> Iterator[str]:
    folder = fod500.find_folder(root)
    samples = fod500.list_samples(folder)
    problems = [fod500.incomplete(number, files) for number, files in samples.items()]
    yield from (f"{folder}: {problem}" for problem in problems if problem)
    if any(problems):
        return
    counts = {"train": fod500.FIRST_TEST, "test": fod500.COUNT - fod500.FIRST_TEST}
    yield from _every(counts, lambda split: _split(fod500.Fod500(root, split), split, counts[split], found))


def _ddff12(root: Path, found: list[str]) -> Iterator[str]:
    path = ddff12.find_file(root)
    counts = ddff12.COUNTS["official" if path.name == "ddff-dataset-trainval.h5" else "dfv"]
    return _every(counts, lambda split: _split(ddff12.Ddff12(path, split), split, counts[split], found))


def _ddff12_test(root: Path, found: list[str]) -> Iterator[str]:
    yield from _split(ddff12.Ddff12Test(root), "test", len(ddff12.TEST_NAMES), found)


def _arkitscenes(root: Path, found: list[str]) -> Iterator[str]:
    frames = arkitscenes.ArkitScenes(root)
    yield from _missing(frames.folder, frames.frames)
    yield from _absent(arkitscenes.depth_of(frames.folder, frame) for frame in frames.frames)
    yield from _split(frames, "validation", arkitscenes.COUNT, found)


def _uniformat(package: uniformat.Package) -> Callable[[Path, list[str]], Iterator[str]]:
    return lambda root, found: _split(uniformat.Uniformat(root, package), "images", package.count, found)


def _hammer(root: Path, found: list[str]) -> Iterator[str]:
    frames = hammer.Hammer(root)
    yield from _missing(frames.folder, [f"{name}/{file}" for name in frames.names for file in hammer.FILES])
    yield from _split(frames, "frames", len(frames), found)


def _light_field_4d(root: Path, found: list[str]) -> Iterator[str]:
    def check(split: str) -> Iterator[str]:
        scenes = light_field_4d.LightField4d(root, split)
        for folder in scenes.folders:
            yield from _missing(folder, light_field_4d.VIEW_NAMES)
        yield from _split(scenes, split, light_field_4d.COUNTS[split], found, read=scenes.read)

    return _every(light_field_4d.COUNTS, check)


def _synthetic_fs(kind: synthetic_fs.StereoSet) -> Callable[[Path, list[str]], Iterator[str]]:
    def check(root: Path, found: list[str]) -> Iterator[str]:
        scenes = synthetic_fs.SyntheticFs(root, kind)
        yield from _refusals(lambda folder: synthetic_fs.plane_paths(folder, kind), scenes.folders)
        yield from _split(scenes, "scenes", kind.count, found)

    return check


def _infinigen(root: Path, found: list[str]) -> Iterator[str]:
    scenes = infinigen.InfinigenDefocus(root)
    yield from _missing(scenes.folder, [f"{name}/{file}" for name in scenes.names for file in infinigen.FILES])
    yield from _split(scenes, "scenes", infinigen.COUNT, found)


def _zedd(root: Path, found: list[str]) -> Iterator[str]:
    def check(split: str) -> Iterator[str]:
        scenes = zedd.Zedd(root, split)
        yield from _absent(path for index in range(len(scenes)) for path in scenes.paths(index))
        yield from _split(scenes, split, zedd.COUNT, found)

    return _every(("val", "test"), check)


def _smartphone(root: Path, found: list[str]) -> Iterator[str]:
    scenes = smartphone.Smartphone(root)
    yield from _absent(path for index in range(len(scenes)) for path in scenes.paths(index))
    yield from _split(scenes, "test", smartphone.COUNT, found)


def _mobile_depth(root: Path, found: list[str]) -> Iterator[str]:
    scenes = mobile_depth.MobileDepth(root)
    lacking = [name for name in mobile_depth.SCENES if name not in scenes.names]
    if lacking:
        yield f"{root}: {len(lacking)} of {len(mobile_depth.SCENES)} scenes are missing: {', '.join(lacking)}"
    yield from _split(scenes, "scenes", len(scenes), found, read=lambda index: list(scenes[index].stack))


def _upload(name: str) -> Callable[[Path, list[str]], Iterator[str]]:
    def check(path: Path, found: list[str]) -> Iterator[str]:
        found.append(f"upload: {len(UPLOADS[name].names)} maps of {UPLOADS[name].size} are wanted")
        yield from UPLOADS[name].problems(path)

    return check


def _stacks(root: Path, found: list[str]) -> Iterator[str]:
    stacks = StackFolders(root)
    found.append(f"{len(stacks)} stacks with truth, {len(stacks.without_truth)} without")
    # folders of one's own: each may be wrong in its own way
    yield from _refusals(lambda index: deque(stacks[index].stack, maxlen=0), range(len(stacks)))


CHECKS: dict[str, Callable[[Path, list[str]], Iterator[str]]] = {
    "nyu": _nyu,
    "fod500": _fod500,
    "ddff12": _ddff12,
    "ddff12-test": _ddff12_test,
    "arkitscenes": _arkitscenes,
    "ibims-1": _uniformat(uniformat.IBIMS1),
    "diode": _uniformat(uniformat.DIODE),
    "hammer": _hammer,
    "4d-light-field": _light_field_4d,
    "flyingthings3d": _synthetic_fs(synthetic_fs.FLYINGTHINGS3D),
    "middlebury": _synthetic_fs(synthetic_fs.MIDDLEBURY),
    "infinigen": _infinigen,
    "mobile-depth": _mobile_depth,
    "smartphone": _smartphone,
    "zedd": _zedd,
    "stacks": _stacks,
    **{name + UPLOAD: _upload(name) for name in UPLOADS},
}


def _split(
    data: Dataset, split: str, expected: int, found: list[str], read: Callable[[int], Any] | None = None
) -> Iterator[str]:
    """The count of a split, and whether its first and last sample can be read."""
    found.append(f"{split}: {len(data)} samples")
    if len(data) != expected:
        yield f"{split}: {len(data)} samples, not {expected}"
    yield from _refusals(read or data.__getitem__, sorted({0, len(data) - 1}))


def _every(splits: Iterable[str], check: Callable[[str], Iterator[str]]) -> Iterator[str]:
    """The problems of every split; one that cannot be opened hides none of the others."""
    for split in splits:
        try:
            yield from check(split)
        except ValueError as error:
            yield str(error)


def _refusals(read: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[str]:
    """What is wrong with those items that cannot be read."""
    for item in items:
        try:
            read(item)
        except ValueError as error:
            yield str(error)


def _missing(folder: Path, names: list[str]) -> Iterator[str]:
    return _absent(folder / name for name in names)


def _absent(paths: Iterable[Path]) -> Iterator[str]:
    return (missing(path) for path in paths if not path.is_file())
