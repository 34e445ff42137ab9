"""The review page as a person uses it in Chromium, and a video that no browser plays."""

import time
from fractions import Fraction
from urllib.parse import quote

import av

from tests.service.server import SAMPLES
from tests.waiting import TIMEOUT_S

PATIENCE_MS = 1000 * TIMEOUT_S
SHOT_MS = 5300
NOW = "document.getElementById('video').currentTime"
SHOWN = "[...document.getElementById('video').textTracks[0].activeCues ?? []].map(cue => cue.text).join()"
FOCUS = "document.activeElement.closest('#cues > li, form, input, button')?.tagName ?? 'nothing'"
_CUES = "[...document.querySelectorAll('#cues > li')].map(({cue}) => [cue.start_ms, cue.end_ms, cue.text])"


def make_unplayable(path) -> None:
    """A video that this pipeline reads and no browser does: MPEG-4 part 2 with AC-3 in AVI.

    At SHOT_MS the picture changes.
    """
    with av.open(str(SAMPLES / "harbour-15s.mp4")) as source, av.open(str(path), "w") as target:
        pictures = target.add_stream("mpeg4", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 90, "yuv420p"
        sound = target.add_stream("ac3", rate=48_000)
        for number, frame in enumerate(source.decode(video=0)):
            colours = frame.reformat(160, 90, "rgb24").to_ndarray()
            shown = colours if number < SHOT_MS / 100 else 255 - colours
            small = av.VideoFrame.from_ndarray(shown, format="rgb24").reformat(format="yuv420p")
            small.pts, small.time_base = number, Fraction(1, 10)
            target.mux(pictures.encode(small))
        target.mux(pictures.encode(None))
        source.seek(0)
        for frame in source.decode(audio=0):
            target.mux(sound.encode(frame))
        target.mux(sound.encode(None))


def until(page, condition: str) -> None:
    # Playwright's own waiting evaluates text within the page, which the page forbids.
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"never true: {condition}"
        page.wait_for_timeout(50)


def open_review(page, key: str) -> None:
    page.goto(f"/review/{quote(key, safe='')}")
    page.locator("#cues [data-word]").first.wait_for()
    until(page, "document.getElementById('video').readyState >= 1")


def cues_of(page) -> list[list]:
    """Start, end and text of each cue, as the page has them now."""
    return page.evaluate(_CUES)


def texts_of(page) -> list[str]:
    return [text for _, _, text in cues_of(page)]


def edit(page, index: int):
    """Open a cue's form by a double click; return its text's field."""
    page.locator("#cues > li").nth(index).locator(".cue-text").dblclick(position={"x": 4, "y": 8})
    field = page.get_by_label("Text")
    field.wait_for()
    return field


def place_of(page, ms: float) -> tuple[float, float]:
    """Return where a time is in the waveform, which has not been scrolled, as the mouse points there."""
    page.locator("#waveform [part~=cue]").first.wait_for()
    box = page.locator("#waveform [part=wrapper]").bounding_box()
    end_ms = page.evaluate("document.getElementById('video').duration") * 1000
    return box["x"] + box["width"] * ms / end_ms, box["y"] + box["height"] / 2


def drag(page, from_ms: float, to_ms: float) -> None:
    """Drag from one time to another in the waveform."""
    (start, y), (end, _) = place_of(page, from_ms), place_of(page, to_ms)
    page.mouse.move(start, y)
    page.mouse.down()
    page.mouse.move((start + end) / 2, y, steps=3)
    page.mouse.move(end, y, steps=3)
    page.mouse.up()
