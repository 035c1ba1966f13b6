import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from browser import chromium
from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.support.wait import WebDriverWait

import dualfocus
from dualfocus.app import jobs
from dualfocus.app.jobs import Limits, answer
from dualfocus.commands.single import Settings
from dualfocus.inference.loading import load_model
from dualfocus.outputs.files import RESULT_FILES

CLASSICAL = Settings("classical")


def uploads(folder: Path, workplace: Path) -> list[Path]:
    """Every file in a folder of its own, as gradio keeps uploads."""
    found = []
    for number, file in enumerate(sorted(folder.iterdir(), reverse=True)):
        place = workplace / f"{number:08x}" / file.name
        place.parent.mkdir(parents=True)
        place.write_bytes(file.read_bytes())
        found.append(place)
    return found


def test_an_answer_holds_the_page_and_all_files(tiny_stack_folder: Path, tmp_path: Path) -> None:
    workplace = tmp_path / "work"
    files = uploads(tiny_stack_folder, workplace)
    settings = Settings("classical", load={"focus": "0.5,0.6,0.75,1,1.5", "unit": "m"})
    found = answer(files, settings, load_model("classical"), workplace, Limits())
    assert found.summary.startswith("depth from 0.") and "<title>" in found.page
    with zipfile.ZipFile(found.archive) as archive:
        assert set(archive.namelist()) == {*RESULT_FILES, "report.html", "depth.tiff", "points.ply", "mesh.glb"}
        with archive.open("depth.npy") as file:
            depth = np.load(file)
    assert np.median(depth[:, 6:26]) == pytest.approx(0.6, rel=0.05), "planes are in the order of their names"
    relative = answer(files, CLASSICAL, load_model("classical"), workplace, Limits())
    assert "plane" in relative.summary and any("unknown" in text for text in relative.warnings)
    uploaded = {file.parent.name for file in files}
    assert {path.name for path in workplace.iterdir()} == {*uploaded, "downloads"}, "nothing else is left"

    os.utime(found.archive.parent, (0, 0))
    answer(files, CLASSICAL, load_model("classical"), workplace, Limits())
    assert not found.archive.exists() and relative.archive.exists(), "old downloads are removed"


def test_errors_are_sentences_without_paths(
    tiny_stack_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = tmp_path / "work"
    files = uploads(tiny_stack_folder, workplace)

    def said(chosen: list[Path], limits: Limits = Limits(), **load: str) -> str:  # noqa: B008
        with pytest.raises(ValueError) as caught:
            answer(chosen, Settings("classical", load=load), load_model("classical"), workplace, limits)
        assert str(workplace) not in str(caught.value)
        return str(caught.value)

    assert "no photographs" in said([])
    assert "at most 3" in said(files, Limits(files=3))
    pages = workplace / "pages.tif"
    tifffile.imwrite(pages, np.zeros((4, 8, 9), np.uint8), photometric="minisblack")
    assert "4 planes" in said([pages], Limits(files=3))
    assert "img0.png" in said([files[0], *files[1:], files[4].with_name("img0.png")])
    assert "focal stack" in said(files[:1])
    assert "furlong" in said(files, unit="furlong")
    Image.new("RGB", (5, 5)).save(files[2])
    assert said(files).startswith("img")
    monkeypatch.setattr(jobs, "_MOST_PIXELS", 10)
    assert "too large" in said(files[:2])
    assert not (workplace / "downloads").exists()


@pytest.mark.parametrize("name", ["/etc/motd.png", "../other/img0.png", "..\\\\img0.png", "C:\\\\img0.png"])
def test_a_sidecar_cannot_reach_for_other_files(name: str, tiny_stack_folder: Path, tmp_path: Path) -> None:
    workplace = tmp_path / "work"
    for data in ({"images": ["img0.png", name]}, {"ground_truth": name}):
        (tiny_stack_folder / "stack.json").write_text(json.dumps(data))
        files = uploads(tiny_stack_folder, workplace)
        for chosen in (files, [file for file in files if file.name == "stack.json"]):
            with pytest.raises(ValueError, match="beside it"):
                answer(chosen, CLASSICAL, load_model("classical"), workplace, Limits())
        shutil.rmtree(workplace)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """The address of a running app, whose temporary files go to the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(dualfocus.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder),
    }
    command = [sys.executable, "-m", "dualfocus", "app", "--no-browser", "--port", str(port), *options]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(address, timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None, "the app has ended"
                    time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            process.wait(60)


def wait(driver: webdriver.Chrome, script: str) -> object:
    return WebDriverWait(driver, 60).until(lambda d: d.execute_script(script))


def wait_for_file(driver: webdriver.Chrome, name: str) -> None:
    """Until the page lists an upload; it breaks names into parts."""
    wait(driver, f"return document.getElementById('files').innerText.replaceAll(/\\s/g, '').includes('{name}')")


def test_the_app_in_a_browser(tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    work, downloads = tmp_path / "work", tmp_path / "downloads"
    work.mkdir()
    downloads.mkdir()
    photos = []
    for n in range(2):
        photos.append(tmp_path / f"{n}.png")
        Image.new("RGB", (40 + n, 30), "white").save(photos[-1])
    with served(work, "--model", "classical") as address, chromium(downloads) as driver:
        driver.get(address)
        wait(driver, "return document.getElementById('start')")
        wait(driver, "return document.querySelector('#files input[type=file]')")
        driver.find_element("css selector", "#files input[type=file]").send_keys("\n".join(map(str, photos)))
        wait_for_file(driver, "1.png")
        driver.find_element("id", "start").click()
        wait(driver, "return document.body.innerText.includes('all images of a focal stack must have one size')")
        assert str(work) not in driver.find_element("tag name", "body").text
        driver.save_screenshot(str(tmp_path / "error.png"))

        driver.get(address)
        wait(driver, "return document.getElementById('example')")
        driver.find_element("id", "example").click()
        wait_for_file(driver, "04.webp")
        driver.find_element("id", "start").click()
        wait(driver, "return document.querySelector('#view iframe')")
        assert "depth from 0." in driver.find_element("id", "said").text
        driver.switch_to.frame(driver.find_element("css selector", "#view iframe"))
        assert wait(driver, "return document.documentElement.dataset.state") == "ready"
        assert driver.execute_script("return document.documentElement.dataset.view3d") == "drawn"
        ActionChains(driver, duration=0).move_to_element(driver.find_element("id", "depth")).perform()
        assert " m, confidence" in driver.find_element("id", "readout").text
        driver.switch_to.default_content()
        driver.save_screenshot(str(tmp_path / "app.png"))
        driver.find_element("id", "save").click()
        archive = downloads / "dualfocus.zip"
        WebDriverWait(driver, 30).until(lambda _: archive.exists())
        with zipfile.ZipFile(archive) as file:
            assert {"depth.npy", "mesh.glb", "report.html"} <= set(file.namelist())
    assert not list(work.glob("dualfocus-app-*")), "uploads and results are removed at the end"
