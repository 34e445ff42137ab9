"""Chromium for the tests of web pages, and what a page must not do in it."""

import os
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import av
import pytest
from av.filter import Graph

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


FILM_RATE = 8
"""Pictures a second: enough to follow, and few enough for a README."""


class Film:
    """Pictures of a page one after the other, written as a GIF for the documentation when the block ends."""

    def __init__(self, page: "Page", name: str) -> None:
        self._page, self._name = page, name
        self._pictures: list[bytes] = []

    def take(self, seconds: float) -> None:
        """Show the page as it is now for so long."""
        self._pictures += [self._page.screenshot()] * max(1, round(seconds * FILM_RATE))

    def play(self, seconds: float) -> None:
        """Let the page's video go on for so long, picture by picture, however slow this machine is."""
        for _ in range(round(seconds * FILM_RATE)):
            self._page.evaluate(f"document.querySelector('video').currentTime += 1 / {FILM_RATE}")
            self._page.wait_for_timeout(100)  # until the frame is drawn
            self.take(0)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """Write the film: one palette for all pictures, and of each only what has changed."""
        path = Path(str(SCREENSHOTS)) / f"{self._name}.gif"
        pictures = [read_png(data) for data in self._pictures]
        with av.open(str(path), "w") as file:
            stream = file.add_stream("gif", rate=FILM_RATE)
            stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, "pal8"
            for picture in quantize(pictures):
                file.mux(stream.encode(picture))
            file.mux(stream.encode(None))


def read_png(data: bytes) -> av.VideoFrame:
    with av.open(BytesIO(data), format="png_pipe") as file:
        return next(file.decode(video=0)).reformat(format="rgb24")


def quantize(pictures: Sequence[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield pictures in the colours of one palette that is made for all of them."""
    graph = Graph()
    width, height, tick = pictures[0].width, pictures[0].height, Fraction(1, FILM_RATE)
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=tick)
    split, palette = graph.add("split"), graph.add("palettegen", "max_colors=128:stats_mode=diff")
    use, sink = graph.add("paletteuse", "dither=none:diff_mode=rectangle"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for number, picture in enumerate(pictures):
        picture.pts, picture.time_base = number, tick
        source.push(picture)
    source.push(None)
    for _ in pictures:
        frame = sink.pull()
        assert isinstance(frame, av.VideoFrame)
        yield frame


def keep_picture(page: "Page", name: str) -> None:
    """Write a picture for the documentation, where one is asked for."""
    if SCREENSHOTS:
        page.wait_for_timeout(1500)  # until animations have ended
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
