"""The dashboard and the library in Chromium."""

from pathlib import Path

import pytest

from tests.browser import NEEDS_CHROMIUM, barriers, keep_picture, watch
from tests.service.pages.filled_library import BROKEN, CHINESE, GOOD, ODD, TALK
from tests.service.server import SAMPLES, run_server
from tests.waiting import TIMEOUT_S

pytestmark = NEEDS_CHROMIUM

PATIENCE_MS = 1000 * TIMEOUT_S
KEY = "a long enough key"
REFUSED = "Failed to load resource"
"""Chromium's own line for any answer that is an error."""


@pytest.fixture
def open_page(browser):
    """Opens pages that must send requests to their own server only, and cause no error."""
    opened, problems = [], []

    def open_one(address: str, path: str, width: int = 1280, expected: str = "", **options):
        context = browser.new_context(
            base_url=address, viewport={"width": width, "height": 900}, locale="en-GB", **options
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        problems.append(watch(page, address, expected=expected))
        opened.append(context)
        page.goto(path)
        return page

    yield open_one
    for context in opened:
        context.close()
    assert not any(problems), problems


def row(page, name: str):
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


# Dashboard


def test_the_dashboard_shows_what_was_really_processed(filled, open_page):
    page = open_page(filled.url, "/")
    tiles = page.locator("#tiles")
    tiles.get_by_text("none failed · 1 unusable").wait_for()
    done = tiles.locator("div").filter(has=page.get_by_text("Done", exact=True)).locator(".value").first
    assert done.inner_text() == str(len(GOOD))
    assert page.locator("#health").inner_text() == "Health: good", "a broken file is no fault of ours"
    assert page.locator("#stages tbody tr").count() == 5
    assert page.locator("#failures").get_by_text("No failures in this period").count() == 1
    unusable = page.locator("#failures").get_by_role("table")
    assert "breaks off" in unusable.inner_text()
    assert page.locator("[data-chart=gpu]").is_hidden(), "there is no GPU here"
    for name in ("Throughput", "Processing time per video", "Operations", "Memory and CPU"):
        chart = page.get_by_role("img", name=name)
        chart.wait_for()
        assert ":" in chart.get_attribute("aria-label"), "it says the latest figures"
        assert chart.locator("canvas").evaluate("one => one.width > 100 && one.height > 100")
    keep_picture(page, "dashboard")
    unusable.get_by_role("link", name=BROKEN).click()
    row(page, BROKEN).get_by_text("Quarantined").wait_for()
    assert page.locator("#rows tr").count() == 1


def test_behind_each_chart_there_is_a_table(filled, open_page):
    page = open_page(filled.url, "/?since=1h")
    figure = page.locator("[data-chart=success]")
    figure.get_by_text("Show as table").click()
    cells = figure.locator("tbody td:nth-child(2)")
    cells.first.wait_for()
    assert sum(int(text) for text in cells.all_inner_texts()) == len(GOOD) + 1


def test_the_dashboard_of_nothing_says_what_to_do_after_the_key_was_given(
    tmp_path, model_dir, browser, open_page
):
    with run_server(tmp_path, model_dir, YIVIDEO_SERVICE__API_KEY=KEY) as server:
        page = open_page(server.url, "/", expected=REFUSED)
        page.get_by_label("Key").fill("another")
        page.keyboard.press("Enter")
        page.get_by_role("alert").wait_for()
        assert barriers(page) == []
        page.get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        page.get_by_text("Nothing was processed in this period").wait_for()
        assert str(tmp_path / "inbox") in page.locator("#empty").inner_text()
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Key").wait_for()
        assert page.context.cookies() == []


def hide(page, hidden: bool) -> None:
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_figures_are_loaded_again_only_while_the_page_is_visible(filled, open_page):
    page = open_page(filled.url, "/library")
    page.clock.install()
    page.goto("/")
    page.locator("#figures").wait_for()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    hide(page, True)
    page.clock.run_for(60_000)
    assert asked == []
    with page.expect_response("**/api/v1/performance/dashboard*"):
        hide(page, False)
    with page.expect_response("**/api/v1/performance/dashboard*"):
        page.clock.run_for(11_000)


# Both


@pytest.mark.parametrize("path", ["/", "/library", "/docs", "/nothing"])
@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "zh")])
def test_a_page_has_no_barriers_and_is_no_wider_than_a_small_phone(filled, open_page, path, scheme, language):
    expected = REFUSED if path == "/nothing" else ""
    page = open_page(
        filled.url, "/login", width=360, expected=expected, color_scheme=scheme, reduced_motion="reduce"
    )
    page.set_extra_http_headers({"Accept": "text/html"})
    page.goto(f"{path}?lang={language}")
    page.locator("#figures, #rows, .opblock-summary, .error-page").first.wait_for()
    if path == "/docs":
        send_a_request(page)
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def send_a_request(page) -> None:
    """Open an operation in the description of the API, and let it answer."""
    operation = page.locator("#operations-performance-summary_api_v1_performance_summary_get")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    operation.locator(".live-responses-table").wait_for()


def test_light_or_dark_is_remembered(filled, open_page):
    page = open_page(filled.url, "/library", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.get_by_role("button", name="Switch between light and dark").click()
    after = page.evaluate(ground)
    assert after != before
    page.goto("/")
    assert page.evaluate(ground) == after


def test_the_language_can_be_switched_and_keeps_the_search(filled, open_page):
    page = open_page(filled.url, "/library?q=harbour")
    page.get_by_role("link", name="中文").click()
    page.get_by_role("heading", name="视频库").wait_for()
    assert page.get_by_label("按名称搜索").input_value() == "harbour"
    assert page.locator("#rows tr").count() == 1
    page.goto("/")
    page.get_by_text("中位耗时").wait_for()


def test_the_keyboard_reaches_the_content_at_once_and_the_menus(filled, open_page):
    page = open_page(filled.url, "/library")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    menu = row(page, TALK).locator("summary")
    menu.focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="SRT").wait_for()
    assert barriers(page) == []
    page.keyboard.press("Escape")
    assert page.get_by_role("link", name="SRT").count() == 0
    assert menu.evaluate("one => one === document.activeElement")


# Library


def test_the_library_shows_odd_names_and_why_one_failed(filled, open_page):
    page = open_page(filled.url, "/library")
    for name in (TALK, ODD, CHINESE):
        row(page, name).get_by_text("Done").wait_for()
    row(page, BROKEN).get_by_text("breaks off").wait_for()
    assert page.locator("#rows b").count() == 0
    keep_picture(page, "library")
    page.goto(f"/review/{BROKEN}")
    page.get_by_text("breaks off").wait_for()
    assert page.locator("#stages").count() == 0, "no stage waits for anything"


def test_subtitles_are_downloaded_from_the_menu(filled, open_page):
    page = open_page(filled.url, "/library")
    row(page, CHINESE).locator("summary").click()
    with page.expect_download() as begun:
        page.get_by_role("link", name="SRT").click()
    assert begun.value.suggested_filename == CHINESE.replace(".mp4", ".en.srt")
    assert "-->" in Path(begun.value.path()).read_text()


def test_a_file_is_uploaded_while_dagster_is_down_and_the_page_says_so(filled, open_page):
    page = open_page(filled.url, "/library", expected=REFUSED)
    page.get_by_label("Choose files").set_input_files(SAMPLES / "harbour-15s.mp4")
    status = page.locator("#uploads .status")
    page.get_by_text("but was not started: Dagster does not answer").first.wait_for()
    assert "yivideo up" in status.inner_text()
    assert barriers(page) == []
    sent = filled.home / "inbox" / "harbour-15s.mp4"
    assert sent.read_bytes() == (SAMPLES / "harbour-15s.mp4").read_bytes()
