"""The pages as the real server answers them: what they say, who may see them, what they take."""

import re
import socket
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tests.service.pages.filled_library import BROKEN, CHINESE, GOOD, NO_DAGSTER, ODD, TALK
from tests.service.pages.html_page import HtmlPage
from tests.service.server import SAMPLES, run_server
from tests.waiting import wait_for
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.service.admission import WRONG_KEYS
from yivideo_pipeline.service.pages.uploads import clean_name

pytestmark = pytest.mark.model

KEY = "a long enough key"
HTML = {"Accept": "text/html"}
PAGES = ("/", "/library", f"/review/{quote(TALK)}")
VIDEO = (SAMPLES / "harbour-15s.mp4").read_bytes()


@pytest.fixture(scope="module")
def locked(tmp_path_factory, model_dir):
    """A service with a key, of an empty home, that takes no file over 1 MB; it was killed in an upload."""
    home = tmp_path_factory.mktemp("locked")
    (home / "inbox").mkdir()
    (home / "inbox" / ".yivideo-upload-0123456789abcdef.part").write_bytes(b"half")
    (home / "inbox" / ".yivideo-notes.part").write_bytes(b"somebody's")
    with run_server(
        home, model_dir, YIVIDEO_SERVICE__API_KEY=KEY, YIVIDEO_SERVICE__MAX_UPLOAD_MB="1"
    ) as server:
        yield server


@pytest.fixture
def client(filled):
    with filled.client() as client:
        yield client


@pytest.fixture
def stranger(locked):
    with locked.client() as client:
        yield client


@pytest.fixture
def owner(locked):
    with locked.client(headers={"X-API-Key": KEY}) as client:
        yield client


def rows(text: str) -> dict[str, str]:
    """The list's rows by the video's name, as text."""
    found = [element for element in HtmlPage(text).all("tr") if "data-key" in element.attributes]
    return {row.get("data-name"): re.sub(r"\s+", " ", row.text).strip() for row in found}


# What the pages say


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_is_whole_for_those_who_do_not_see_it(client, path, language):
    page = HtmlPage(client.get(path, params={"lang": language}).text)
    assert page.problems() == []
    assert page.all("html")[0].get("lang") == language


@pytest.mark.parametrize(
    ("path", "english", "chinese"),
    [
        ("/nothing-here", "Not Found", "没有这个页面"),
        ("/api/v1/review/%3Cb%3Ex.mp4", "There is no such video", "没有这个视频"),
    ],
)
def test_errors_are_a_page_for_browsers_json_for_scripts_and_in_the_language_of_each(
    client, path, english, chinese
):
    page = client.get(path, headers=HTML | {"Accept-Language": "zh"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "未找到" in page.text
    assert chinese in page.text
    assert "<b>x" not in page.text
    assert client.get(path).json()["error"]["message"] == english
    assert client.get(path, headers={"Accept-Language": "zh"}).json()["error"]["message"] == chinese


def test_why_a_file_failed_is_said_in_chinese_too(client):
    failed = rows(client.get("/library", params={"lang": "zh"}).text)[BROKEN]
    assert "文件不完整，没有可读取的内容 请重新复制、下载或录制" in failed


def test_the_library_lists_what_was_processed(client):
    found = rows(client.get("/library").text)
    assert len(found) == 5
    talk = found[TALK]
    assert "Done" in talk
    assert re.search(r"0:1\d en \d+ \d+% 20\d\d-", talk), talk
    assert "Quarantined" in found[BROKEN]
    assert "breaks off" in found[BROKEN]
    assert "record it again" in found[BROKEN], "it says what to do"


def test_the_review_of_a_broken_video_says_that_nothing_goes_on_by_itself(client):
    obstacle = client.get(f"/api/v1/review/{BROKEN}").json()["obstacle"]
    assert "breaks off" in obstacle["message"]
    assert "record it again" in obstacle["message"]
    assert client.get(f"/api/v1/review/{TALK}").json()["obstacle"] is None


def test_odd_names_are_shown_as_they_are_and_make_no_html(client):
    page = HtmlPage(client.get("/library").text)
    names = {element.get("data-name") for element in page.all("tr")}
    assert {TALK, ODD, CHINESE, "caf\ufffd.mp4"} <= names
    assert not page.all("b")


def test_the_subtitles_of_each_video_can_be_downloaded_by_its_links(client):
    page = HtmlPage(client.get("/library").text)
    links = [link.get("href") for link in page.all("a") if link.get("href").endswith(".srt")]
    assert len(links) == len(GOOD)
    for link in links:
        answer = client.get(link)
        assert answer.status_code == 200, link
        assert "-->" in answer.text


def test_the_link_to_dagster_names_the_partition(client):
    page = HtmlPage(client.get("/library", params={"q": "caf"}).text)
    (link,) = (link.get("href") for link in page.all("a") if "/assets/" in link.get("href"))
    assert link == f"{NO_DAGSTER}/assets/subtitles?view=partitions&partition=caf%25E9.mp4"


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"q": "HARBOUR"}, {TALK}),
        ({"q": "产品"}, {CHINESE}),
        ({"q": "<b>"}, {ODD}),
        ({"state": "quarantined"}, {BROKEN}),
        ({"state": "running"}, set()),
        (
            {"state": "no such", "page": "no number", "sort": "'"},
            {TALK, ODD, CHINESE, "caf\ufffd.mp4", BROKEN},
        ),
    ],
)
def test_the_list_is_searched_and_filtered(client, asked, names):
    assert set(rows(client.get("/library", params=asked).text)) == names
    assert set(rows(client.get("/library/videos", params=asked).text)) == names


def test_what_is_searched_for_stands_in_the_field_and_in_the_links_and_makes_no_html(client):
    page = HtmlPage(client.get("/library", params={"q": '"><script>x', "sort": "name"}).text)
    (search,) = (element for element in page.all("input") if element.get("name") == "q")
    assert search.get("value") == '"><script>x'
    chips = [link.get("href") for link in page.all("a") if link.get("href").startswith("/library?")]
    assert chips == ["/library?q=%22%3E%3Cscript%3Ex&sort=name"]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr,en;q=0.5,zh;q=0.2", "en"),
        ("zh;q=0,en", "en"),
        ("", "en"),
        (";;q=x,", "en"),
    ],
)
def test_the_browsers_language_counts_where_none_was_chosen(client, header, language):
    page = HtmlPage(client.get("/library", headers={"Accept-Language": header}).text)
    assert page.all("html")[0].get("lang") == language


def test_a_language_that_was_chosen_is_remembered(client):
    client.get("/", params={"lang": "zh"})
    assert "视频库" in client.get("/library", headers={"Accept-Language": "en"}).text
    client.get("/", params={"lang": "en"})
    assert "Library" in client.get("/library", headers={"Accept-Language": "zh"}).text


def test_an_empty_library_says_what_to_do(owner, locked):
    text = owner.get("/library").text
    assert f"Drop a video into {locked.home / 'inbox'}" in text


# Headers for browsers


@pytest.mark.parametrize("path", [*PAGES, "/static/frame.css", "/no/such", "/health"])
def test_browsers_load_files_of_this_service_only_and_embed_its_pages_nowhere(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_the_description_of_the_api_may_style_its_elements_and_no_more(client):
    policy = client.get("/docs").headers["content-security-policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert policy.count("unsafe") == 1


@pytest.mark.parametrize("path", [*PAGES, "/docs"])
def test_pages_name_no_other_host(client, filled, path):
    page = HtmlPage(client.get(path).text)
    named = {element.get("src") for element in page.all("script", "img")}
    named |= {one.get("href") for one in page.all("link")}
    assert {urlsplit(address).netloc for address in named} <= {"", urlsplit(filled.url).netloc}


# Log in


def test_without_the_key_a_browser_is_redirected_to_the_login_and_sees_nothing_else(stranger):
    for path in PAGES:
        answer = stranger.get(path, headers=HTML)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert stranger.get("/library/videos").status_code == 401
    assert stranger.put("/library/upload", params={"name": "a.mp4"}, content=VIDEO).status_code == 401
    assert stranger.get("/static/frame.css").status_code == 200
    page = HtmlPage(stranger.get("/login").text)
    assert page.problems() == []
    assert not page.all("nav")


def test_the_right_key_lets_a_browser_in_until_it_logs_out(stranger, locked):
    answer = stranger.post("/login", data={"key": f" {KEY} "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert KEY not in cookie
    assert stranger.get("/library").status_code == 200
    assert "Log out" in stranger.get("/library").text
    assert stranger.post("/logout").headers["location"] == "/login"
    assert stranger.get("/library").status_code == 401


def test_a_made_up_cookie_is_refused(stranger):
    stranger.cookies.set("yivideo_session", "0" * 64)
    assert stranger.get("/library").status_code == 401


def test_a_login_form_of_another_site_is_refused(stranger):
    answer = stranger.post("/login", data={"key": KEY}, headers={"Origin": "http://elsewhere.example"})
    assert answer.status_code == 403


def test_who_guesses_keys_is_refused_and_the_owner_gets_in(locked):
    with locked.client(headers={"X-Forwarded-For": "192.0.2.1"}) as client:
        answers = [client.post("/login", data={"key": f"guess {number}"}) for number in range(WRONG_KEYS + 2)]
        assert [answer.status_code for answer in answers] == [401] * WRONG_KEYS + [429] * 2
        assert "Too many wrong keys" in answers[-1].text
        assert "set-cookie" not in answers[-1].headers
        assert client.get("/library", headers={"X-API-Key": "guess"}).status_code == 429
        assert client.get("/library", headers={"X-API-Key": KEY}).status_code == 200
        assert client.post("/login", data={"key": KEY}).status_code == 303
    with locked.client(headers={"X-Forwarded-For": "192.0.2.2"}) as other:
        assert other.post("/login", data={"key": "typo"}).status_code == 401


def test_without_a_key_there_is_no_login(client):
    assert client.get("/login").headers["location"] == "/"
    assert client.post("/login", data={"key": "x"}).status_code == 404


# Release


def test_a_quarantined_video_is_released_once(filled, client):
    ledger = open_ledger(filled.home)
    before = ledger.failures.find_quarantined(BROKEN)
    assert before
    assert client.post("/library/release", json={"key": BROKEN}).json() == {"key": BROKEN}
    assert ledger.failures.find_quarantined(BROKEN) is None
    assert client.post("/library/release", json={"key": BROKEN}).status_code == 404
    ledger.failures.quarantine(BROKEN, before.failure, before.size_bytes, before.mtime_ns)
    assert client.post("/library/release", json={"key": TALK}).status_code == 404


def test_pages_of_other_sites_can_neither_release_nor_upload(client):
    elsewhere = {"Origin": "http://elsewhere.example"}
    assert client.post("/library/release", json={"key": BROKEN}, headers=elsewhere).status_code == 403
    sent = client.put("/library/upload", params={"name": "a.mp4"}, content=VIDEO, headers=elsewhere)
    assert sent.status_code == 403


# Upload


def inbox(server) -> Path:
    return server.home / "inbox"


def names(server) -> set[str]:
    return {path.name for path in inbox(server).iterdir()}


def test_an_uploaded_file_is_stored_unchanged_in_the_library(owner, locked):
    answer = owner.put("/library/upload", params={"name": "C:\\films\\我的 film.mp4"}, content=VIDEO)
    assert (answer.status_code, answer.json()) == (201, {"key": "我的 film.mp4"})
    assert (inbox(locked) / "我的 film.mp4").read_bytes() == VIDEO


def test_an_existing_file_is_never_overwritten(owner, locked):
    (inbox(locked) / "mine.mp4").write_bytes(b"mine")
    (inbox(locked) / "broken link.mp4").symlink_to("nowhere")
    before = names(locked)
    for name in ("mine.mp4", "broken link.mp4", "../inbox/mine.mp4"):
        answer = owner.put("/library/upload", params={"name": name}, content=VIDEO)
        assert answer.status_code == 409, name
        assert "another name" in answer.json()["error"]["hint"]
    assert (inbox(locked) / "mine.mp4").read_bytes() == b"mine"
    assert names(locked) == before


def test_a_file_that_is_too_large_leaves_nothing_whether_or_not_it_says_so(owner, locked):
    before = names(locked)
    large = b"\0" * (2 * 1024 * 1024)
    pieces = (large[at : at + 65_536] for at in range(0, len(large), 65_536))
    for content in (large, pieces):
        answer = owner.put("/library/upload", params={"name": "large.mp4"}, content=content)
        assert answer.status_code == 413
    assert names(locked) == before


def test_a_client_that_goes_away_leaves_nothing(locked):
    before = names(locked)
    url = urlsplit(locked.url)
    head = f"PUT /library/upload?name=half.mp4 HTTP/1.1\r\nHost: {url.netloc}\r\nX-API-Key: {KEY}\r\n"
    with socket.create_connection((url.hostname, url.port)) as line:
        line.sendall(head.encode() + b"Content-Length: 500000\r\n\r\n" + b"\0" * 100_000)
        (part,) = wait_for(lambda: names(locked) - before, poll_s=0.02)
        assert part.startswith("."), "the watch skips it"
    wait_for(lambda: names(locked) == before, poll_s=0.02)


def test_what_a_killed_service_left_is_removed_and_nothing_else(locked):
    assert ".yivideo-upload-0123456789abcdef.part" not in names(locked)
    assert ".yivideo-notes.part" in names(locked)


@pytest.mark.parametrize("name", ["notes.txt", "film", ".mp4", "", "film.mp4/", "x" * 300 + ".mp4"])
def test_a_name_that_is_not_a_videos_is_refused(owner, locked, name):
    before = names(locked)
    answer = owner.put("/library/upload", params={"name": name}, content=VIDEO)
    assert answer.status_code == 422
    assert names(locked) == before


def test_a_library_whose_folder_is_gone_says_so(locked, owner):
    inbox(locked).rename(locked.home / "away")
    try:
        answer = owner.put("/library/upload", params={"name": "a.mp4"}, content=VIDEO)
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "The library's folder does not exist"
    finally:
        (locked.home / "away").rename(inbox(locked))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("film.MP4", "film.MP4"),
        ("/etc/../film.mp4", "film.mp4"),
        ("..film.mp4", "film.mp4"),
        ("a\nb\x00c\u202e.mp4", "a_b_c_.mp4"),
        ('<b>"?*|:.mp4', "_b______.mp4"),
        ("cafe\u0301.mp4", "caf\u00e9.mp4"),
        ("  film .mp4 ", "film .mp4"),
        ("it's 100% & more.mp4", "it's 100% & more.mp4"),
    ],
)
def test_a_name_is_cleaned_of_what_file_names_may_not_have(given, kept):
    assert clean_name(given, (".mp4",)) == kept
