"""Opens every page of the built site in headless Chromium, as a desktop and as a phone, and says what is wrong.

python docs/build_site.py && python docs/check_site.py

A page must not be wider than the screen, show all its pictures, link to files that are there, and leave no error in the
console. The search must find what it is asked for, without a server and without a network. Needs selenium, chromium and
its driver.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCREENS = {"desktop": (1280, 800), "phone": (390, 844)}
"""Width and height of the window, in CSS pixels."""
SEARCHED = {"GRPO": "language_models", "partner": "partners", "TextDialog": "text_dialog"}
"""Words to search for, and a page that must be among the results."""
LOOK = """
const wide = document.scrollingElement.scrollWidth - window.innerWidth;
const broken = [...document.images].filter(one => one.complete && !one.naturalWidth);
const links = [...document.links].map(one => one.href.split("#")[0]).filter(url => url.startsWith("file:"));
return [wide, broken.map(one => one.getAttribute("src")), [...new Set(links)]];
"""
IS_DONE = "return /found/i.test(document.querySelector('#search-results .search-summary')?.textContent ?? '')"
RESULTS = "return [...document.querySelectorAll('#search-results li a')].map(one => one.href)"


def faults_of_page(browser: Any, page: Path) -> list[str]:
    """What is wrong with a page on the present screen."""
    browser.get(page.as_uri())
    wide, broken, links = browser.execute_script(LOOK)
    faults = [f"it is {wide} pixels wider than the screen"] if wide > 0 else []
    faults += [f"the picture {name} does not show" for name in broken]
    gone = [url for url in links if not Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).exists()]
    faults += [f"the link to {url} leads nowhere" for url in gone]
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return faults + [f"the console says {message}" for message in errors if "file:" in message]


def found_pages(browser: Any, site: Path, words: str) -> list[str]:
    """Addresses of the pages that a search finds within ten seconds."""
    browser.get(f"{(site / 'search.html').as_uri()}?q={urllib.parse.quote(words)}")
    until = time.monotonic() + 10
    while time.monotonic() < until and not browser.execute_script(IS_DONE):
        time.sleep(0.1)
    return browser.execute_script(RESULTS)


def open_browser(profile: str) -> Any:
    """Chromium without a window, and without background requests."""
    sys.path.insert(0, str(ROOT))
    from tests.browser import start

    return start(profile)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT / "build" / "docs", help="folder of the built site")
    site = parser.parse_args().site.resolve()
    pages = sorted(site.rglob("*.html"))
    if not pages:
        raise SystemExit(f"{site} holds no pages: run docs/build_site.py first")
    num_faults = 0
    with tempfile.TemporaryDirectory() as profile:
        browser = open_browser(profile)
        try:
            for screen, (width, height) in SCREENS.items():
                metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == "phone"}
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
                for page in pages:
                    for fault in faults_of_page(browser, page):
                        num_faults += 1
                        print(f"{screen}, {page.relative_to(site)}: {fault}")
            for words, wanted in SEARCHED.items():
                found = found_pages(browser, site, words)
                if not any(wanted in url for url in found):
                    num_faults += 1
                    print(f"a search for {words!r} finds no page of {wanted!r} among {len(found)} results")
        finally:
            browser.quit()
    print(f"{len(pages)} pages on {len(SCREENS)} screens, {len(SEARCHED)} searches: {num_faults} faults")
    raise SystemExit(min(num_faults, 1))


if __name__ == "__main__":
    main()
