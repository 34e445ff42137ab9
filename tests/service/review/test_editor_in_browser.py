"""Editing in the review page in Chromium: undo, keys, the waveform, many cues at once."""

from contextlib import suppress

import pytest
from playwright.sync_api import Error

from tests.browser import NEEDS_CHROMIUM, keep_picture
from tests.service.review.fake_pipeline import FakePipeline
from tests.service.review.review_browser import (
    FOCUS,
    NOW,
    cues_of,
    drag,
    edit,
    open_review,
    place_of,
    texts_of,
    until,
)
from tests.service.server import run_server

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def server(tmp_path_factory, model_dir):
    home = tmp_path_factory.mktemp("editor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YIVIDEO_HOME", str(home))
        pipeline = FakePipeline()
    for name in ("undo.mp4", "keys.mp4", "waves.mp4", "many.mp4"):
        pipeline.add(name)
        pipeline.run(name)
    with run_server(home, model_dir) as server:
        yield server
    pipeline.instance.dispose()


def test_all_that_is_typed_is_undone_and_done_again(page):
    open_review(page, "undo.mp4")
    before = texts_of(page)
    field = edit(page, 1)
    field.press_sequentially(" More")
    assert texts_of(page)[1] == f"{before[1]} More"
    page.keyboard.press("Control+z")
    assert field.input_value() == before[1]
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+y")
    assert field.input_value() == f"{before[1]} More"
    page.keyboard.press("Escape")
    assert texts_of(page) == before
    page.keyboard.press("Control+z")
    assert texts_of(page)[1] == f"{before[1]} More"
    page.get_by_text("1 unsaved change").wait_for()
    page.keyboard.press("Control+z")
    assert texts_of(page) == before
    page.get_by_text("All changes saved").wait_for()
    page.keyboard.press("Control+z")
    page.get_by_text("Nothing to undo").wait_for()
    assert page.evaluate(FOCUS) != "nothing"


def test_what_was_typed_is_back_after_the_tab_crashed(server, browser):
    context = browser.new_context(base_url=server.url, locale="en-US")
    page = context.new_page()
    open_review(page, "undo.mp4")
    before = texts_of(page)
    edit(page, 1).fill("")
    kept, typed = "localStorage.getItem('yivideo.draft:undo.mp4')", ""
    for letter in 20 * "typed without a pause ":
        page.keyboard.type(letter)
        typed += letter
        if "typed" in (page.evaluate(kept) or ""):
            break
    crash(page)

    again = context.new_page()
    open_review(again, "undo.mp4")
    again.get_by_text("Your unsaved changes of").wait_for()
    first, back, *others = texts_of(again)
    assert (first, others) == (before[0], before[2:])
    assert back.startswith("typed")
    assert typed.startswith(back)
    again.get_by_role("button", name="Keep", exact=True).click()
    again.keyboard.press("Control+z")
    assert texts_of(again) == before
    context.close()


def crash(page) -> None:
    """Let the process that draws the page crash."""
    with page.expect_event("crash"), suppress(Error):
        page.goto("chrome://crash")  # it can't answer any more


def test_a_video_is_corrected_by_the_keyboard_alone(page):
    open_review(page, "keys.mp4")
    press = page.keyboard.press
    press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    press("Enter")
    press("Tab")
    assert page.evaluate("document.activeElement.closest('#cues > li:first-child') !== null")
    spoken = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert spoken == "0:00 The quick brown fox jumps over the lazy dog. (Uncertain: The, lazy)"
    press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('#cues > li:nth-child(2)') !== null")
    press("ArrowUp")
    press("Enter")
    press("Alt+k")
    until(page, f"{NOW} > 1")
    press("Alt+k")
    until(page, "document.getElementById('video').paused")
    press("Alt+i")
    now_ms = round(page.evaluate(NOW) * 1000)
    assert cues_of(page)[0][0] == pytest.approx(now_ms, abs=2)
    press("Alt+[")
    press("Shift+Alt+]")  # a frame: this video has 10 a second
    press("Alt+;")
    assert cues_of(page)[0][:2] == [pytest.approx(now_ms, abs=2), 4817]
    page.get_by_label("Text").evaluate("field => field.setSelectionRange(9, 9)")
    press("Alt+Enter")
    assert texts_of(page)[:2] == ["The quick", "brown fox jumps over the lazy dog."]
    press("Alt+ArrowUp")
    press("Alt+m")
    assert texts_of(page)[0] == "The quick brown fox\njumps over the lazy dog."
    press("Alt+ArrowDown")
    page.keyboard.type("!")
    press("Control+Enter")
    assert texts_of(page)[1].endswith("dog.!")
    press("u")
    assert page.evaluate(NOW) == pytest.approx(11.0, abs=0.01)
    press(">")
    assert page.evaluate("document.getElementById('video').playbackRate") == 1.25
    press("r")
    assert page.get_by_role("button", name="Loop the cue").get_attribute("aria-pressed") == "true"
    press("r")
    press("Space")
    press("ArrowDown")
    press("Alt+Delete")
    assert len(cues_of(page)) == 3
    assert page.evaluate(FOCUS) != "nothing"
    press("F1")
    page.get_by_role("dialog").get_by_text("Next uncertain word").wait_for()


def test_cues_are_moved_in_the_waveform(page):
    open_review(page, "waves.mp4")
    drag(page, 4885, 4418)  # near the end of "lazy" at 4450, to which it snaps
    assert cues_of(page)[0][:2] == [500, 4450]
    drag(page, 5030, 4530)  # to the gap after the first cue
    assert cues_of(page)[1][:2] == [pytest.approx(4500, abs=40), 9417]
    drag(page, 15_000, 15_500)  # a whole cue, which the end of the video stops
    start_ms, end_ms, _ = cues_of(page)[3]
    assert (start_ms > 14_000, end_ms - start_ms) == (True, 2450)
    page.mouse.click(*place_of(page, 1500))
    assert page.evaluate(NOW) == pytest.approx(1.5, abs=0.05)
    page.keyboard.down("Shift")
    page.mouse.click(*place_of(page, 1000))
    page.keyboard.up("Shift")
    assert cues_of(page)[0][0] == pytest.approx(1000, abs=30)
    for _ in range(4):
        page.keyboard.press("Control+z")
    page.get_by_text("All changes saved").wait_for()
    width = page.locator("#waveform [part=wrapper]").bounding_box()["width"]
    page.get_by_role("button", name="Waveform: closer").click()
    assert page.locator("#waveform [part=wrapper]").bounding_box()["width"] > 1.4 * width
    keep_picture(page, "editor-waveform")


def test_many_cues_are_corrected_at_once(page):
    open_review(page, "many.mp4")
    page.keyboard.press("Control+h")
    page.keyboard.type("the")
    page.get_by_role("button", name="Whole words only").click()
    page.get_by_role("button", name="Match case").click()
    page.get_by_text("1 of 3").wait_for()
    page.get_by_label("Search the transcript").focus()
    page.keyboard.press("Tab")
    page.keyboard.type("a")
    page.get_by_role("button", name="Replace all").click()
    assert texts_of(page)[0] == "The quick brown fox jumps\nover a lazy dog."
    page.get_by_role("button", name="Regular expression").click()
    page.get_by_label("Search the transcript").fill(r"(quick) (brown)")
    page.get_by_text("1 of 4").wait_for()
    page.get_by_label("Replace with").fill("$2, $1")
    page.get_by_role("button", name="Replace", exact=True).click()
    page.get_by_text("1 of 3").wait_for()
    assert texts_of(page)[0].startswith("The brown, quick fox")
    edit(page, 1).fill("This one is far too long for a single line of text that anybody reads at home")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="1 cue with problems").wait_for()
    page.locator("#cues > li").nth(1).get_by_text("a line is longer than 42").wait_for()
    keep_picture(page, "editor-findings")
    page.get_by_role("button", name="1 cue with problems").click()
    page.get_by_role("button", name="Fix all").click()
    page.get_by_role("dialog").get_by_text("No problems").wait_for()
    page.keyboard.press("Escape")
    assert [len(line) < 43 for line in texts_of(page)[1].split("\n")] == [True, True]
    starts = [cue[0] for cue in cues_of(page)]
    page.locator("#cues > li").nth(2).locator(".at").click()
    page.get_by_role("button", name="Times").click()
    page.get_by_label("By (s").fill("-0.05")
    page.get_by_label("From cue 3 on").check()
    page.get_by_role("button", name="Shift").click()
    assert [cue[0] for cue in cues_of(page)] == [*starts[:2], starts[2] - 50, starts[3] - 50]
    page.keyboard.press("Control+z")
    page.get_by_role("button", name="Times").click()
    page.get_by_label("should start at").nth(0).fill("0:01")
    page.get_by_label("should start at").nth(1).fill("0:13")
    page.get_by_role("button", name="Stretch").click()
    first, *_, last = cues_of(page)
    assert (first[0], last[0]) == (1000, 13_000)
    page.locator("#cues > li").first.locator(".at").click()
    page.keyboard.press("m")
    page.keyboard.press("m")
    assert fix_all(page, "Too long") > 0
    assert all(end - start <= 7000 and text for start, end, text in cues_of(page))
    mixed = [[4000, 6000, "second"], [3500, 1000, "first"], [5500, 9000, "third"]]
    draft = [dict(zip(("start_ms", "end_ms", "text"), cue, strict=True)) for cue in mixed]
    page.goto("/library")
    page.evaluate(
        "(draft) => localStorage.setItem('yivideo.draft:many.mp4', JSON.stringify(draft))",
        {"version": 1, "kept_at": 0, "cues": draft},
    )
    page.goto("/review/many.mp4")
    page.get_by_text("Your unsaved changes of").wait_for()
    assert fix_all(page, "Overlaps the next cue") > 0
    assert cues_of(page) == [
        [1000, 3500, "first"],
        [4000, 5417, "second"],
        [5500, 9000, "third"],
    ]


def fix_all(page, rule: str) -> int:
    """Fix all cues that break a rule; return how many did."""
    page.locator("#show-problems").click()
    line = page.locator("#rules > div").filter(has_text=rule)
    broken = int(line.locator("span").inner_text().rpartition(" ")[2])
    line.get_by_role("button", name="Fix all").click()
    line.wait_for(state="detached")
    page.keyboard.press("Escape")
    return broken
