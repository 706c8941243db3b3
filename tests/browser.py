"""A headless Chromium that tests look at pages with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engines import require

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome

BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Chrome]:
    """A browser of 1280 by 900 pixels; the calling test is skipped (or fails) where there is none."""
    binary = next((path for name in BINARIES if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    missing = " and ".join(
        name for name, path in (("a Chromium browser", binary), ("chromedriver", driver)) if not path
    )
    require("Chromium", not missing, f"{missing} cannot be found on the PATH")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(binary)
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=Service(driver))
    try:
        size(browser, 1280, 900)
        browser.set_script_timeout(60)
        yield browser
    finally:
        browser.quit()


def size(browser: Chrome, width: int, height: int, *, mobile: bool = False) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def colours(browser: Chrome, scheme: str) -> None:
    """Prefer ``"light"`` or ``"dark"`` colours."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def visit(browser: Chrome, path: Path) -> None:
    """Open a file and wait until it is drawn; whatever it complains of fails the test."""
    browser.get_log("browser")
    browser.get(path.as_uri())
    settle(browser)
    assert complaints(browser) == []


def settle(browser: Chrome) -> None:
    """Wait until two frames have been drawn, so that what observes sizes has run."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def complaints(browser: Chrome) -> list[dict[str, Any]]:
    return [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
