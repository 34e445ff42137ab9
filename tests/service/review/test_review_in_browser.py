"""The review page in Chromium, with real runs of the command before and after the edits."""

import os
import shutil
import subprocess
import time
from fractions import Fraction
from urllib.parse import quote

import av
import pytest

from tests.browser import NEEDS_CHROMIUM, watch
from tests.service.review.fake_pipeline import FakePipeline
from tests.service.server import PROGRAM, SAMPLES, run_server

pytestmark = NEEDS_CHROMIUM

KEY = "港口 #1/harbour talk.mp4"
PATIENCE_MS = 60_000
NOW = "document.getElementById('video').currentTime"
SHOWN = "[...document.getElementById('video').textTracks[0].activeCues ?? []].map(cue => cue.text).join()"


def process(home, model_dir, path) -> str:
    environment = os.environ | {
        "YIVIDEO_HOME": str(home),
        "YIVIDEO_CACHE__MODEL_DIR": str(model_dir),
        "YIVIDEO_SPEECH__MODEL_NAME": "tiny.en",
        "HF_HUB_OFFLINE": "1",
    }
    ended = subprocess.run(
        [PROGRAM, "process", path], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr + ended.stdout


def make_unplayable(path) -> None:
    """A video that this pipeline reads and no browser does: MPEG-4 part 2 with AC-3 in AVI."""
    with av.open(str(SAMPLES / "harbour-15s.mp4")) as source, av.open(str(path), "w") as target:
        pictures = target.add_stream("mpeg4", rate=12)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 90, "yuv420p"
        sound = target.add_stream("ac3", rate=48_000)
        for number, frame in enumerate(source.decode(video=0)):
            small = frame.reformat(160, 90, "yuv420p")
            small.pts, small.time_base = number, Fraction(1, 12)
            target.mux(pictures.encode(small))
        target.mux(pictures.encode(None))
        source.seek(0)
        for frame in source.decode(audio=0):
            target.mux(sound.encode(frame))
        target.mux(sound.encode(None))


@pytest.fixture(scope="module")
def home(tmp_path_factory, model_dir, tiny_weights):
    home = tmp_path_factory.mktemp("review")
    (home / "inbox" / KEY).parent.mkdir(parents=True)
    shutil.copyfile(SAMPLES / "harbour-15s.mp4", home / "inbox" / KEY)
    process(home, model_dir, home / "inbox" / KEY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YIVIDEO_HOME", str(home))
        pipeline = FakePipeline()
    make_unplayable(home / "inbox" / "odd.avi")
    pipeline.run("odd.avi")
    pipeline.add("waiting.mp4")
    pipeline.add("both.mp4")
    pipeline.run("both.mp4")
    yield home
    pipeline.instance.dispose()


@pytest.fixture(scope="module")
def server(home, model_dir):
    with run_server(home, model_dir) as server:
        yield server


@pytest.fixture
def page(server, browser):
    """A page that must send requests to its own server only, and cause no error or warning."""
    page = browser.new_page(viewport={"width": 1400, "height": 900}, base_url=server.url, locale="en-US")
    page.set_default_timeout(PATIENCE_MS)
    page.problems = watch(page, server.url, console=("error", "warning"))
    yield page
    page.close()
    assert page.problems == []


def open_review(page, key: str) -> None:
    page.goto(f"/review/{quote(key, safe='')}")
    page.locator("#cues [data-word]").first.wait_for()
    until(page, "document.getElementById('video').readyState >= 1")


def until(page, condition: str) -> None:
    # Playwright's own waiting evaluates text within the page, which the page forbids.
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"never true: {condition}"
        page.wait_for_timeout(100)


def test_the_video_plays_with_its_subtitles_and_the_spoken_word_is_highlighted(page):
    open_review(page, KEY)
    page.keyboard.press("Space")
    until(page, f"{NOW} > 1.5 && {SHOWN}.length > 0")
    page.locator("#cues .spoken-word").wait_for()
    page.keyboard.press("Space")
    until(page, "document.getElementById('video').paused")
    spoken = page.locator("#cues li.spoken .cue-text").inner_text()
    assert page.evaluate(SHOWN) == spoken


def test_a_click_on_a_word_jumps_there(page, server):
    open_review(page, KEY)
    with server.client() as client:
        cues = client.get(f"/api/v1/review/{quote(KEY, safe='')}").json()["cues"]
    start_ms = cues[-1]["words"][-1][1]
    word = page.locator("#cues li").last.locator("[data-word]").last
    word.click()
    assert page.evaluate(NOW) == pytest.approx(start_ms / 1000, abs=0.01)
    until(page, "document.querySelector('#cues li:last-child .spoken-word:last-of-type') !== null")


def test_search_counts_its_hits_and_goes_from_one_to_the_next(page):
    open_review(page, "both.mp4")
    page.keyboard.press("/")
    page.keyboard.type("FOX")
    page.get_by_text("1 of 4").wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("2 of 4").wait_for()
    assert page.locator("#cues li.current").evaluate("row => [...row.parentNode.children].indexOf(row)") == 1
    page.keyboard.type("y")
    page.get_by_text("None").wait_for()


def test_what_is_edited_and_saved_is_there_later_beside_the_video_and_after_another_run(
    page, server, home, model_dir
):
    open_review(page, KEY)
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    field = page.get_by_label("Text")
    field.fill("Corrected <b>by hand</b>\n& kept")
    page.get_by_label("Start", exact=True).fill("0:00.123")
    page.keyboard.press("Control+Enter")
    page.get_by_text("2 unsaved changes").wait_for()
    page.keyboard.press("Control+s")
    page.get_by_text("Saved as version 1").wait_for()
    page.reload()
    page.get_by_text("Edited by hand").first.wait_for()
    first = page.locator("#cues li").first
    first.locator("[data-word]").first.wait_for()
    assert first.locator(".cue-text").inner_text() == "Corrected <b>by hand</b>\n& kept"
    subtitles = (home / "inbox" / KEY).with_name("harbour talk.en.srt")
    saved = subtitles.read_bytes()
    assert b"00:00:00,123 -->" in saved
    assert b"& kept" in saved
    assert "edited by hand" in process(home, model_dir, home / "inbox" / KEY)
    assert subtitles.read_bytes() == saved
    assert [path.name for path in subtitles.parent.glob("*.srt")] == [subtitles.name]
    page.get_by_role("button", name="Show differences").click()
    page.get_by_role("dialog").get_by_text("& kept").wait_for()


def test_a_cue_is_split_merged_deleted_and_brought_back(page):
    open_review(page, "both.mp4")
    rows = page.locator("#cues li")
    count = rows.count()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_label("Text").evaluate("field => field.setSelectionRange(9, 9)")
    page.get_by_role("button", name="Split at the cursor").click()
    assert rows.count() == count + 1
    page.get_by_role("button", name="Delete").click()
    assert rows.count() == count
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert rows.count() == count
    page.get_by_text("All changes saved").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Merge with next").click()
    assert rows.count() == count - 1
    page.keyboard.press("Control+z")
    assert rows.count() == count


def test_an_invalid_time_is_explained_and_not_applied(page):
    open_review(page, "both.mp4")
    page.keyboard.press("Enter")
    page.get_by_label("End", exact=True).fill("0:00.001")
    page.get_by_text("The end has to be after the start").wait_for()
    page.keyboard.press("Control+Enter")
    page.locator(".cue-form").wait_for(state="detached")
    page.get_by_text("All changes saved").wait_for()


def test_in_a_conflict_neither_the_saved_nor_the_typed_text_is_lost(page, server):
    open_review(page, "both.mp4")
    address = "/api/v1/review/both.mp4"
    with server.client() as client:
        theirs = {"version": 0, "cues": [{"start_ms": 0, "end_ms": 900, "text": "theirs"}]}
        assert client.put(f"{address}/cues", json=theirs).status_code == 200
        page.keyboard.press("Enter")
        page.get_by_label("Text").fill("mine")
        page.keyboard.press("Control+s")
        page.get_by_role("button", name="Overwrite with mine").click()
        page.get_by_text("Saved as version 2").wait_for()
        assert client.get(address).json()["cues"][0]["text"] == "mine"
        assert "theirs" in client.get(f"{address}/subtitles.srt?version=1").text
    # A refused request is written to the console by the browser itself.
    assert page.problems.pop().endswith("409 (Conflict)")


def test_of_a_video_that_no_browser_plays_the_audio_is_played(page):
    page.goto("/review/odd.avi")
    page.get_by_text("can't play the file").wait_for()
    until(page, "document.getElementById('video').readyState >= 1")
    page.keyboard.press("Space")
    until(page, f"{NOW} > 1 && {SHOWN}.length > 0")


def test_a_video_that_waits_says_so_in_chinese_too(page):
    page.goto("/review/waiting.mp4?lang=zh")
    page.get_by_text("此视频还没有字幕").wait_for()
    assert page.locator("#stages li").count() == 5


def test_the_page_of_an_unknown_video_says_so(page):
    answer = page.goto("/review/none.mp4")
    assert answer.status == 404
    page.get_by_text("Video not found").wait_for()
    assert page.problems.pop().endswith("404 (Not Found)")
