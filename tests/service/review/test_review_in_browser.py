"""The review page in Chromium, with real runs of the command before and after the edits."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser import NEEDS_CHROMIUM, SCREENSHOTS, Film, barriers, keep_picture
from tests.service.review.fake_pipeline import FakePipeline
from tests.service.review.review_browser import (
    NOW,
    SHOT_MS,
    SHOWN,
    cues_of,
    drag,
    edit,
    make_unplayable,
    open_review,
    place_of,
    texts_of,
    until,
)
from tests.service.server import PROGRAM, SAMPLES, run_server

pytestmark = NEEDS_CHROMIUM

KEY = "港口 #1/harbour talk.mp4"


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
    for name in ("both.mp4", "draft.mp4"):
        pipeline.add(name)
        pipeline.run(name)
    pipeline.add("strict.mp4")
    pipeline.run("strict.mp4", subtitles={"profile": "netflix"})
    yield home
    pipeline.instance.dispose()


@pytest.fixture(scope="module")
def server(home, model_dir):
    with run_server(home, model_dir) as server:
        yield server


@pytest.mark.parametrize(("width", "language", "theme"), [(1280, "en", "light"), (390, "zh", "dark")])
def test_the_page_fits_and_reads_in_both_languages_and_themes(page, width, language, theme):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=theme)
    page.goto(f"/review/{quote(KEY, safe='')}?lang={language}")
    page.locator("#waveform [part~=cue]").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    opens = ("[data-command=help]", "#show-problems", "#show-timing", "#facts [aria-haspopup=dialog]")
    for opener in opens:
        page.locator(opener).first.click()
        page.locator("dialog[open]").wait_for()
        assert barriers(page) == []
        page.keyboard.press("Escape")
    page.keyboard.press("Control+h")
    page.locator("#replacement").wait_for()
    assert barriers(page) == []
    page.keyboard.press("Escape")
    page.locator("#cues > li").nth(1).locator(".cue-text").dblclick(position={"x": 4, "y": 8})
    page.locator(".cue-form textarea").wait_for()
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if width == 1280:
        keep_picture(page, "review")


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
    assert barriers(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Restore the machine version").click()
    page.get_by_role("dialog").wait_for()
    assert barriers(page) == []


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
        page.get_by_role("dialog").wait_for()
        assert barriers(page) == []
        page.get_by_role("button", name="Overwrite with mine").click()
        page.get_by_text("Saved as version 2").wait_for()
        assert client.get(address).json()["cues"][0]["text"] == "mine"
        assert "theirs" in client.get(f"{address}/subtitles.srt?version=1").text
    # A refused request is written to the console by the browser itself.
    assert page.problems.pop().endswith("409 (Conflict)")


def test_of_a_video_that_no_browser_plays_a_light_copy_is_made_and_played(page):
    page.goto("/review/odd.avi")
    page.get_by_text("a light copy of it is played").wait_for()
    until(page, "document.getElementById('video').videoWidth === 160")
    page.keyboard.press("Space")
    until(page, f"{NOW} > 1 && {SHOWN}.length > 0")
    page.reload()  # the copy is kept
    until(page, "document.getElementById('video').currentSrc.endsWith('/light-copy')")
    page.locator("#waveform [part=shade-shot]").wait_for()
    first, second, *_ = cues_of(page)
    drag(page, second[0] + 30, SHOT_MS - 60)
    assert cues_of(page)[1][0] == pytest.approx(SHOT_MS, abs=100), "B-frames: a frame or so late"
    assert (
        cues_of(page)[1][0]
        == page.evaluate("fetch('/api/v1/review/odd.avi/shots').then((a) => a.json())")["shots_ms"][0]
    )
    page.keyboard.press("Control+z")
    assert cues_of(page)[:2] == [first, second]


def test_a_video_that_waits_says_so_in_chinese_too(page):
    page.goto("/review/waiting.mp4?lang=zh")
    page.get_by_text("此视频还没有字幕").wait_for()
    assert page.locator("#stages li").count() == 5


def test_the_page_of_an_unknown_video_says_so(page):
    answer = page.goto("/review/none.mp4")
    assert answer.status == 404
    page.get_by_text("Video not found").wait_for()
    assert page.problems.pop().endswith("404 (Not Found)")


def test_a_draft_is_brought_back_and_versions_save_themselves_and_come_back(page):
    open_review(page, "draft.mp4")
    before = texts_of(page)
    edit(page, 0).fill("First of all")
    edit(page, 2).fill("")  # a cue without text can't be saved: only the browser has this
    page.reload()
    page.get_by_text("Your unsaved changes of").wait_for()
    assert texts_of(page) == ["First of all", before[1], "", before[3]]
    page.get_by_role("button", name="Discard").click()
    assert texts_of(page) == before
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("n")  # the cue without text
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")  # a cue without text goes
    assert texts_of(page) == ["First of all", before[1], before[3]]
    page.goto("/library")  # what can be saved is saved when the page is left
    open_review(page, "draft.mp4")
    page.get_by_text("Version 1, saved").wait_for()
    assert texts_of(page) == ["First of all", before[1], before[3]]
    edit(page, 0).fill("Second thoughts")
    page.keyboard.press("Control+s")
    page.get_by_text("Saved as version 2").wait_for()
    page.get_by_role("button", name="Versions").click()
    page.get_by_role("listitem").filter(has_text="Version 1").wait_for()
    assert barriers(page) == []
    page.get_by_role("listitem").filter(has_text="Version 1").get_by_role("button").click()
    page.get_by_text("Version 1 is back").wait_for()
    assert texts_of(page)[0] == "First of all"
    page.keyboard.press("Control+z")
    assert texts_of(page)[0] == "Second thoughts"


def test_a_file_corrected_elsewhere_is_imported(page, home):
    open_review(page, "odd.avi")
    corrected = "1\n00:00:00,500 --> 00:00:03,000\nThe quick <i>red</i> fox\n\n"
    corrected += "2\n00:00:03,100 --> 00:00:09,000\njumps\n"
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import").click()
    file = {"name": "done.srt", "mimeType": "text/plain", "buffer": corrected.encode()}
    chooser.value.set_files(file)
    page.get_by_text("2 cues imported").wait_for()
    assert texts_of(page) == ["The quick red fox", "jumps"]
    words = page.evaluate("document.querySelector('#cues > li').cue.words")
    assert [(word[1], word[4]) for word in words if word[0].strip() == "fox"] == [(2000, "aligned")]
    assert "quick red fox" in (home / "inbox" / "odd.en.srt").read_text()
    chooser.value.set_files({**file, "buffer": b"no subtitles"})
    page.get_by_text("The file is not SRT, VTT or ASS").wait_for()
    assert "422" in page.problems.pop()


def test_the_style_guide_has_its_report_and_another_can_be_chosen(page):
    open_review(page, "strict.mp4")
    page.locator("#style summary").click()
    page.get_by_text("Style guide: netflix").wait_for()
    assert page.locator("#style-count").inner_text() in ("Every rule is kept", "1 rule is broken")
    assert page.locator("#profile option").count() == 6
    page.locator("#export-profile").select_option("shorts")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Download as SRT").click()
    cut = Path(begun.value.path()).read_text()
    assert cut.count("-->") > 4, "shorts have a few words each"
    for rule in page.locator("#style-rules li").all():
        rule.locator("button").first.click()
        assert page.locator("#cues li.current").count() == 1


def test_speech_without_words_is_listed_with_its_reason_and_played(page):
    open_review(page, "strict.mp4")
    page.locator("#wordless summary").click()
    assert page.locator("#wordless-title").inner_text() == "Speech without words: 1 place, 0.5 s"
    assert "A breath, a hesitation" in page.locator("#wordless-reasons li").inner_text()
    end_ms = page.evaluate("document.querySelector('#cues > li:last-child').cue.words.at(-1)[2]")
    page.locator("#wordless-reasons button").click()
    until(page, f"Math.abs({NOW} * 1000 - {end_ms} - 100) < 60")


@pytest.mark.skipif(not SCREENSHOTS, reason="it is a film for the README: make pictures")
def test_a_video_is_corrected_as_the_readme_shows_it(page):
    page.set_viewport_size({"width": 1120, "height": 700})
    open_review(page, KEY)
    page.evaluate("document.querySelector('video').currentTime = 0.5")
    with Film(page, "review") as film:
        film.play(4.5)
        field = edit(page, 1)
        field.press("End")
        film.take(0.6)
        for letter in " Come early!":
            page.keyboard.type(letter)
            film.take(0)
        film.take(0.4)
        page.keyboard.press("Control+Enter")
        film.take(0.5)
        first, second, *_ = cues_of(page)
        (start, y), (end, _) = place_of(page, second[0] + 15), place_of(page, first[1] + 200)
        page.mouse.move(start, y)
        page.mouse.down()
        for step in range(1, 7):
            page.mouse.move(start + (end - start) * step / 6, y)
            film.take(0.12)
        page.mouse.up()
        film.take(0.8)
        page.keyboard.press("Control+s")
        page.get_by_text("Saved as version").wait_for()
        film.take(1.4)
