"""A headless browser that opens pages from disk, and what tests ask of it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"


def find_browser() -> tuple[str, str]:
    """Paths of the browser and its driver; the test is skipped where one is missing."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which(DRIVER)
    if browser is None or driver is None:
        pytest.skip("no chromium and chromedriver on the path: apt-get install chromium-driver")
    return browser, driver


@contextmanager
def open_browser(downloads: Path) -> Iterator[Any]:
    """A browser of its own profile that can reach no network."""
    binary, driver = find_browser()
    # selenium looks for no driver where it is told of one; this keeps it off the network too.
    os.environ["SE_OFFLINE"] = "true"
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--force-device-scale-factor=1",
        "--hide-scrollbars",
        # Whatever asks for a host fails, so a request is an error that the test sees.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
        "--disable-background-networking",
        "--no-first-run",
        # Else a click misses what is still on its way.
        "--force-prefers-reduced-motion",
        f"--user-data-dir={downloads / 'profile'}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(executable_path=driver))
    try:
        found.set_window_size(1280, 900)
        yield found
    finally:
        found.quit()


def open_page(browser: Any, file: Path, *, width: int = 1280, fragment: str = "") -> None:
    """Open a page and wait until all of its sections are drawn."""
    resize(browser, width)
    # A change of the fragment alone would not load the page anew.
    browser.get("about:blank")
    browser.get(file.as_uri() + fragment)
    wait_for(browser, "document.documentElement.dataset.drawn === 'all'")
    wait_for_frames(browser)


def resize(browser: Any, width: int, height: int = 900) -> None:
    """Give the page itself a width: a window cannot be as narrow as a telephone."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def colours(browser: Any, scheme: str) -> None:
    """Have the system ask for `light` or `dark`."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def wait_for(browser: Any, condition: str, seconds: float = 15) -> None:
    """Wait until an expression of JavaScript is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, seconds, 0.05).until(
        lambda browser: browser.execute_script(f"return Boolean({condition})"), condition
    )


def wait_for_frames(browser: Any) -> None:
    """Wait until what was changed is laid out and drawn, observers told and their answers drawn."""
    browser.execute_async_script(
        "const done = arguments[0];"
        "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));"
    )


def said_by_console(browser: Any) -> list[str]:
    """All that the page wrote to the console since the last call."""
    return [f"{line['level']}: {line['message']}" for line in browser.get_log("browser")]
