import os
import socket
import subprocess
import sys
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
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

import dualfocus
from dualfocus.app.address import check_address, in_url
from dualfocus.app.fields import LABELS
from dualfocus.app.jobs import answer
from dualfocus.cli import main


@pytest.mark.parametrize(
    ("host", "port", "remedy"),
    [
        ("192.0.2.1", None, "choose another --host"),  # reserved: no machine's
        ("no-such-host.invalid", None, "choose another --host"),
        ("a" * 70 + ".invalid", None, "choose another --host"),
        ("127.0.0.1", "taken", "choose another --port"),
    ],
)
def test_an_address_that_is_not_free_is_named(
    host: str, port: str | None, remedy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        if port is None:
            taken.close()
        else:
            taken.listen()
        assert main(["app", "--no-browser", "--model", "classical", "--host", host, "--port", str(number)]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert host in line and remedy in line
    assert ("--port" in line) == (port is not None)


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert [in_url(host) for host in ("::1", "[::1]", "127.0.0.1")] == ["[::1]", "[::1]", "127.0.0.1"]


def test_a_free_address_can_be_taken_afterwards() -> None:
    for host in ("127.0.0.1", "localhost"):
        with socket.socket() as free:
            free.bind((host, 0))
            port = free.getsockname()[1]
        check_address(host, port)
        with socket.socket() as server:
            server.bind((host, port))


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
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(f"the page is at {address}"), line
            yield address
        finally:
            process.terminate()
            process.wait(60)


def wait(driver: webdriver.Chrome, script: str) -> object:
    return WebDriverWait(driver, 60).until(lambda d: d.execute_script(script))


def wait_for_file(driver: webdriver.Chrome, name: str) -> None:
    """Until the page lists an upload; it breaks names into parts."""
    wait(driver, f"return document.getElementById('files').innerText.replaceAll(/\\s/g, '').includes('{name}')")


def drop(driver: webdriver.Chrome, files: list[Path]) -> None:
    wait(driver, "return document.getElementById('start')")
    wait(driver, "return document.querySelector('#files input[type=file]')")
    driver.find_element("css selector", "#files input[type=file]").send_keys("\n".join(map(str, files)))
    wait_for_file(driver, files[-1].name)


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
        drop(driver, photos)
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


def test_a_channel_is_chosen_in_a_browser(tiny_stack_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    planes = np.stack([np.asarray(Image.open(file).convert("L")) for file in sorted(tiny_stack_folder.iterdir())])
    file, work = tmp_path / "cells.tif", tmp_path / "work"
    tifffile.imwrite(file, np.stack([planes // 2, planes], axis=1), imagej=True, metadata={"axes": "ZCYX"})
    work.mkdir()
    with served(work, "--model", "classical") as address, chromium(tmp_path) as driver:
        driver.get(address)
        drop(driver, [file])
        driver.find_element("id", "start").click()
        wait(driver, """return document.body.innerText.includes('choose one with "Channel" 0 to 1')""")
        driver.find_element("css selector", "#advanced button").click()
        wait(driver, "return document.querySelector('#channel :is(input, textarea)')?.offsetParent")
        driver.save_screenshot(str(tmp_path / "advanced.png"))
        for field, value in (("channel", "1"), ("z-step", "2"), ("time", "3")):
            driver.find_element("css selector", f"#{field} :is(input, textarea)").send_keys(value)
        driver.find_element("css selector", "#time :is(input, textarea)").send_keys(Keys.BACKSPACE)  # empty again
        driver.find_element("id", "start").click()
        wait(driver, "return document.querySelector('#view iframe')")
        said = driver.find_element("id", "said").text
        assert said.startswith("depth from ") and " um, " in said
        driver.save_screenshot(str(tmp_path / "z_stack.png"))


def test_every_field_that_messages_name_is_on_the_page(tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from dualfocus.app.layout import build

    labels = {getattr(block, "label", None) for block in build(answer, tmp_path).blocks.values()}
    assert set(LABELS.values()) <= labels
