"""Measures the review page on a transcript of an hour and a quarter: opening it, and typing in it.

`python -m benchmarks.editor` prints one line of JSON. The words are made up (`tests/fake_speech.py`); the
service, its answer, the browser and the page are the real ones.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

import av
import numpy as np

from tests.browser import run_chromium
from tests.service.review.fake_pipeline import FakePipeline
from tests.service.server import run_server

MINUTES = 75
"""About 1,000 cues of nine words."""
RATE_HZ = 16_000
LETTERS = "typed while the page shows a thousand cues"

OPENED = """() => {
  const rows = document.querySelectorAll("#cues > li");
  return rows.length > 1 && document.querySelector("#cues [data-word]") ? rows.length : 0;
}"""
# From the key to the frame after the one that shows it: what a person sees.
TYPE = """(letter) => new Promise((resolve) => {
  const field = document.querySelector(".cue-form textarea");
  const began = performance.now();
  field.setRangeText(letter, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
})"""


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how often the page is opened")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["YIVIDEO_HOME"] = folder
        _make_review(home)
        with run_server(home, home / "models") as server, run_chromium() as chromium:
            opened, cues = [], 0
            for _ in range(runs):
                page = chromium.new_page(viewport={"width": 1280, "height": 900}, base_url=server.url)
                page.goto("/review/hour.mkv", wait_until="commit")
                while not (cues := page.evaluate(OPENED)):
                    page.wait_for_timeout(10)
                opened.append(page.evaluate("performance.now()"))
                page.locator("#waveform [part~=cue]").first.wait_for()
                page.locator("#cues > li").nth(1).locator(".cue-text").dblclick()
                keys = [page.evaluate(TYPE, letter) for letter in LETTERS]
                page.close()
    keys.sort()
    found = {
        "cues": cues,
        "open_ms": [round(one) for one in opened],
        "key_median_ms": round(statistics.median(keys), 1),
        "key_worst_ms": round(keys[-1], 1),
    }
    print(json.dumps(found))


def _make_review(home: Path) -> None:
    """Write a file with a tone, and the results of a run on it."""
    (home / "inbox").mkdir()
    tone = (3000 * np.sin(np.arange(RATE_HZ) / 5)).astype(np.int16).reshape(1, -1)
    with av.open(str(home / "inbox" / "hour.mkv"), "w") as file:
        stream = file.add_stream("flac", rate=RATE_HZ, layout="mono")
        for second in range(60 * MINUTES):
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, second * RATE_HZ
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    pipeline = FakePipeline()
    pipeline.run("hour.mkv")
    pipeline.instance.dispose()


if __name__ == "__main__":
    main()
