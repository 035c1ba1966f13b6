import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

DATA = Path(os.environ.get("DUALFOCUS_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
NEEDS_DATA = pytest.StashKey[set[str]]()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of test data that is not in this repository; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no test data at {DATA} (set DUALFOCUS_DATA)")
    return DATA


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark whatever uses `shared_data`, so that no test can forget to."""
    marked = [item for item in items if "shared_data" in getattr(item, "fixturenames", ())]
    for item in marked:
        item.add_marker("data")
    config.stash[NEEDS_DATA] = {item.nodeid for item in marked}


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say that thresholds were not looked at: a run without the data passes as quietly as one with them."""
    marked = config.stash.get(NEEDS_DATA, set())
    skipped = [report for report in terminalreporter.stats.get("skipped", ()) if report.nodeid in marked]
    if skipped:
        where = "is not there" if not DATA.is_dir() else "has not all of them"
        terminalreporter.write_line(f"{len(skipped)} skipped for want of data: {DATA} (DUALFOCUS_DATA) {where}")


def _blurred(image: np.ndarray, radius: float) -> np.ndarray:
    """A (H, W, 3) float image blurred by a Gaussian, by its transfer function (periodic)."""
    height, width = image.shape[:2]
    fy, fx = np.fft.fftfreq(height)[:, None, None], np.fft.fftfreq(width)[None, :, None]
    transfer = np.exp(-2 * (np.pi * radius) ** 2 * (fx**2 + fy**2))
    return np.fft.ifft2(np.fft.fft2(image, axes=(0, 1)) * transfer, axes=(0, 1)).real


@pytest.fixture
def tiny_stack_folder(tmp_path: Path) -> Path:
    """Five PNG planes of 64 x 48 of one textured scene: the left half sharp in plane 1, the right half in plane 3."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    texture = _blurred(rng.uniform(0, 1, (48, 64, 3)), 0.5)
    for n in range(5):
        left, right = (_blurred(texture, 0.3 + 1.2 * abs(n - sharp)) for sharp in (1, 3))
        plane = np.concatenate([left[:, :32], right[:, 32:]], axis=1)
        Image.fromarray(np.clip(255 * plane, 0, 255).astype(np.uint8)).save(folder / f"img{n}.png")
    return folder


@pytest.fixture(scope="session")
def benchmark_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function of a name of `FIXTURES` that gives the folder of that tiny data set, made once."""
    from dualfocus.datasets.fixtures import write_fixture

    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("data") / name
            write_fixture(name, made[name])
        return made[name]

    return folder


@pytest.fixture
def check_damaged(
    benchmark_data: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """A function of a name of `FIXTURES` and of what spoils its folder: what `dualfocus check-data` says of that."""
    from dualfocus.cli import main

    def said(name: str, damage: Callable[[Path], object], known_as: str | None = None) -> str:
        folder = tmp_path / name
        shutil.copytree(benchmark_data(name), folder)
        damage(folder)
        assert main(["check-data", known_as or name, str(folder)]) == 2
        errors = capsys.readouterr().err
        assert "Traceback" not in errors and all(line.startswith("error: ") for line in errors.splitlines())
        return errors

    return said


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three noise-textured scenes in the packed form of `dualfocus render`."""
    from dualfocus.rendering import dataset

    folder = tmp_path_factory.mktemp("rendered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "SHARD_SIZE", 3)
        patch.setattr(dataset, "_pool", dataset.TexturePool(None))
        dataset._write_shard(folder, 0, 0, 48, (5, 5))
    return folder


@pytest.fixture(scope="session")
def scene() -> Any:
    """Five planes of 128 x 128 with truth, noise textures."""
    from dualfocus.rendering.capture import render_stack
    from dualfocus.rendering.textures import TexturePool

    return render_stack(11, TexturePool(None), size=128, planes=5)


@pytest.fixture(scope="session")
def stack(scene: Any) -> Any:
    """The planes of `scene`."""
    from dualfocus.stack import FocalStack

    return FocalStack(scene.images, scene.focus_distances, "m")


@pytest.fixture(scope="session")
def models() -> dict[str, Any]:
    """The three that ship."""
    from dualfocus.loading import load_model

    return {name: load_model(name, device="cpu") for name in ("dualfocus-s", "dualfocus-xs", "classical")}
