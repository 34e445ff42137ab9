"""Chromium for the tests of web pages, and what a page must not do in it."""

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDS_CHROMIUM = [
    pytest.mark.model,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
]
"""Marks of a module whose tests drive the browser."""
SCREENSHOTS = os.environ.get("SCREENSHOTS")
"""Folder that pictures for the documentation are written to (`make pictures`)."""

_OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--mute-audio", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip


@contextmanager
def run_chromium() -> Generator["Browser"]:
    """Run Chromium until the block ends."""
    from playwright import sync_api as playwright

    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        yield chromium
        chromium.close()


def watch(page: "Page", url: str, console: Sequence[str] = ("error",), expected: str = "") -> list[str]:
    """Return a list that every problem of the page is added to.

    Problems are requests to another server, uncaught errors of scripts, and lines in the console.

    Args:
        page: The page.
        url: The page's own server.
        console: The types of console lines that are problems.
        expected: Console lines that begin with this are none; empty for no such lines.
    """
    problems: list[str] = []
    own = ("", urlsplit(url).netloc)  # data: URLs have no host

    def check_console(line: "ConsoleMessage") -> None:
        if line.type in console and not (expected and line.text.startswith(expected)):
            problems.append(line.text)

    def check_request(address: str) -> None:
        if urlsplit(address).netloc not in own:
            problems.append(address)

    page.on("request", lambda request: check_request(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", check_console)
    return problems


def barriers(page: "Page") -> list[str]:
    """Return what axe-core finds that keeps people from using a page, with the first element that has it.

    Contrast, names and roles for screen readers, headings, landmarks, the keyboard's reach.
    """
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


def keep_picture(page: "Page", name: str) -> None:
    """Write a picture for the documentation, where one is asked for."""
    if SCREENSHOTS:
        page.wait_for_timeout(1500)  # until animations have ended
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
