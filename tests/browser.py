"""A headless Chromium for the tests of what is shown in a browser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # a container's root cannot have one; the pages are our own
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--force-color-profile=srgb",
    "--force-prefers-reduced-motion",  # nothing moves by itself: drawing without a graphics card is slow
    "--window-size=1500,1500",
)


@contextmanager
def chromium(downloads: Path) -> Iterator[webdriver.Chrome]:
    """Skips the test where Chromium or its driver is missing."""
    browser, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in _FLAGS:
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield found
    finally:
        found.quit()
