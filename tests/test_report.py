import base64
import io
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from browser import chromium
from PIL import Image
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.wait import WebDriverWait
from test_formats import CAMERA, make_step
from test_outputs import make_result

from dualfocus.outputs.report import LONGEST
from dualfocus.stack import FocalStack


def read_data(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    start = text.index('id="data">') + len('id="data">')
    return json.loads(text[start : text.index("</script>", start)])


def read_depth(data: dict) -> tuple[np.ndarray, np.ndarray]:
    """The maps of the page by a reader of its own: depth (NaN where there is none) and confidence."""
    height, width = data["shown"]
    parts = np.frombuffer(zlib.decompress(base64.b64decode(data["maps"])), np.uint8).reshape(3, height, width)
    codes = np.cumsum(256 * parts[0].astype(int) + parts[1], axis=1) % 65536
    return np.where(codes > 0, data["offset"] + data["scale"] * codes, np.nan), parts[2] / 255


def make_planes(count: int, height: int, width: int) -> np.ndarray:
    """Plane n is grey of level 40 n."""
    return np.repeat(40 * np.arange(count, dtype=np.uint8), height * width).reshape(count, height, width)


def test_the_page_holds_the_depth_and_the_planes(tmp_path: Path) -> None:
    result = make_step(60, 80, warnings=["</script> of a name"])
    stack = FocalStack(
        make_planes(3, 60, 80), [0.0, 2.0, 1.0], "dioptre", names=["a<b>.png", "photo\udcff.png", "c.png"]
    )
    result.save(tmp_path / "out", also=["html"], stack=stack)
    data = read_data(tmp_path / "out" / "report.html")
    depth, confidence = read_depth(data)
    assert np.array_equal(np.isfinite(depth), result.valid)
    assert np.nanmax(np.abs(depth - result.depth)) <= 0.51 * data["scale"] and data["scale"] < 1e-4
    assert np.abs(confidence - result.confidence).max() < 0.003
    assert [plane["depth"] for plane in data["planes"]] == [0.5, 1.0, None], "near to far"
    first = Image.open(io.BytesIO(base64.b64decode(data["planes"][0]["image"].partition(",")[2])))
    assert first.size == (80, 60) and abs(np.array(first).mean() - 40) < 2
    assert data["planes"][2]["name"] == "3 of 3: a<b>.png, focused at 0 dioptre"
    assert data["warnings"] == ["</script> of a name"]
    assert data["camera"]["focal"] == 160


def test_a_large_image_is_shown_smaller(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 2, (900, 2 * LONGEST)).astype(np.float32)
    result = make_result(900, 2 * LONGEST, depth=depth, valid=np.ones(depth.shape, bool), camera=CAMERA)
    result.save(tmp_path / "out", also=["html"], stack=FocalStack(make_planes(2, 900, 2 * LONGEST)))
    data = read_data(tmp_path / "out" / "report.html")
    shown, _ = read_depth(data)
    assert shown.shape == (450, LONGEST) and data["camera"]["focal"] == pytest.approx(2 * LONGEST)
    assert np.abs(shown - depth[1::2, 1::2]).max() <= 0.51 * data["scale"], "depths are picked, never mixed"


@pytest.mark.parametrize("unit", ["index", "um"])
def test_a_depth_without_scale_is_shown_as_a_relief(unit: str, tmp_path: Path) -> None:
    make_step(unit=unit, camera=None, focus_distances=None).save(tmp_path / "out", also=["html"])
    data = read_data(tmp_path / "out" / "report.html")
    assert "not to scale" in data["camera"]["note"] and data["camera"]["pixel"] > 0 and not data["planes"]


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    result = make_step(240, 320)
    result.save(tmp_path / "out", also=["html"], stack=FocalStack(make_planes(3, 240, 320), [0.9, 1.5, 2.6]))
    with chromium(tmp_path) as driver:
        driver.get((tmp_path / "out" / "report.html").as_uri())
        dataset = "return document.documentElement.dataset."
        WebDriverWait(driver, 30).until(lambda d: d.execute_script(dataset + "state"))
        assert driver.execute_script(dataset + "state") == "ready"
        assert driver.execute_script(dataset + "view3d") == "drawn"

        def point_at(name: str, row: int, column: int) -> ActionChains:
            picture = driver.find_element("id", name)
            box = picture.rect
            x = (column + 0.5) / 320 * box["width"] - box["width"] / 2
            y = (row + 0.5) / 240 * box["height"] - box["height"] / 2
            return ActionChains(driver, duration=0).move_to_element_with_offset(picture, round(x), round(y))

        for name in ("sharp", "depth", "plane"):
            point_at(name, 200, 50).perform()
            text = driver.find_element("id", "readout").text
            said = re.fullmatch(r"x (\d+), y (\d+): depth (\S+) m, confidence 0.60", text)
            assert said, text
            column, row = int(said[1]), int(said[2])
            assert abs(column - 50) <= 1 and abs(row - 200) <= 1, "the pointer is only placed on whole screen pixels"
            assert float(said[3]) == pytest.approx(result.depth[row, column], abs=6e-4)
        point_at("depth", 12, 15).perform()
        assert "no valid depth" in driver.find_element("id", "readout").text

        label = driver.find_element("id", "plane-name")
        point_at("depth", 100, 300).click().perform()
        assert label.text.startswith("3 of 3") and "2.6 m" in label.text, "the plane nearest to a depth of 2.5"
        driver.find_element("id", "slider").send_keys(Keys.HOME)
        assert label.text.startswith("1 of 3")
        driver.find_element("id", "trust").click()
        grey = driver.execute_script(
            "return [...document.getElementById('depth').getContext('2d').getImageData(9, 100, 1, 1).data]"
        )
        assert grey == [153, 153, 153, 255]

        space = driver.find_element("id", "space")
        ActionChains(driver).double_click(space).perform()  # stops the swaying
        before = np.array(Image.open(io.BytesIO(space.screenshot_as_png)).convert("RGB")).astype(int)
        ActionChains(driver).click_and_hold(space).move_by_offset(80, 10).release().perform()
        after = np.array(Image.open(io.BytesIO(space.screenshot_as_png)).convert("RGB")).astype(int)
        assert before.std() > 20 and np.abs(after - before).mean() > 5, "dragging turns the scene"
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
        driver.save_screenshot(str(tmp_path / "report.png"))
