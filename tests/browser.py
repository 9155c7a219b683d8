"""A headless Chromium for tests of pages: skipped where there is none, but not where CI is set."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1100,800",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def installed() -> list[str] | None:
    """Where Chromium and its driver are, or None."""
    found = [
        next(filter(None, map(shutil.which, names)), None)
        for names in (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
    ]
    return found if all(found) else None  # type: ignore[return-value]


def start(profile: Any) -> Any:
    """A browser with a fresh profile."""
    found = installed()
    if found is None:
        assert not os.environ.get("CI"), "pages must be tested where CI is set: install chromium and its driver"
        pytest.skip("no chromium and chromedriver on this machine: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    return webdriver.Chrome(options, webdriver.ChromeService(found[1]))


def wait(browser: Any, condition: Any) -> None:
    """Returns when a condition holds."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20, 0.05).until(lambda driver: condition())
