"""The settings page in Chromium: what it writes into config.yml, what it refuses, and what it never shows."""

import pytest
import yaml

from tests.browser import NEEDS_CHROMIUM, barriers, keep_picture, watch
from tests.notices.servers import WebhookReceiver, serve_webhook
from tests.service.pages.html_page import HtmlPage
from tests.service.server import KEY, run_server

pytestmark = NEEDS_CHROMIUM

SECRET = "http://127.0.0.1:9/a-secret-path"
CONFIG = f"""# the settings of this house
whisperx_service:
  model_name: tiny.en   # small is enough
notices:
  webhook_url: {SECRET}   # the chat
library:
  roots:
    inbox: inbox   # where the phone uploads
"""
REFUSED = "Failed to load resource"


@pytest.fixture(scope="module")
def server(tmp_path_factory, model_dir, tiny_weights):
    """A service whose style guide is set by the environment."""
    home = tmp_path_factory.mktemp("settings")
    (home / "inbox").mkdir()
    (home / "config.yml").write_text(CONFIG)
    with run_server(
        home,
        model_dir,
        YIVIDEO_SERVICE__API_KEY=KEY,
        YIVIDEO_SPEECH__MODEL_NAME="",
        YIVIDEO_SUBTITLES__PROFILE="bbc",
    ) as running:
        yield running


@pytest.fixture
def page(browser, server):
    (server.home / "config.yml").write_text(CONFIG)
    context = browser.new_context(
        base_url=server.url,
        locale="en-GB",
        extra_http_headers={"X-API-Key": KEY},
        viewport={"width": 390, "height": 900},
    )
    opened = context.new_page()
    problems = watch(opened, server.url, expected=REFUSED)
    opened.goto("/settings")
    yield opened
    context.close()
    assert not problems


def config_of(server) -> str:
    return (server.home / "config.yml").read_text()


def save(page, outcome: str) -> None:
    page.get_by_role("button", name="Save").click()
    page.locator("#outcome").get_by_text(outcome).wait_for()


def test_what_is_changed_is_written_and_all_else_stays(page, server):
    films = server.home / "films"
    page.get_by_label("Receivers").fill("me@here.org, you@there.org")
    page.get_by_label("Mail server").fill("mail.here.org")
    page.get_by_label("Sender").fill("yivideo@here.org")
    page.get_by_role("button", name="Add a folder").click()
    page.keyboard.type("no")
    page.keyboard.press("Tab")
    page.keyboard.type(str(films))
    save(page, "There is no such folder yet: no")
    assert page.get_by_role("button", name="Save").is_disabled()
    changed = config_of(server)
    for kept in CONFIG.splitlines():
        assert kept in changed, "comments and other values stay"
    roots = yaml.safe_load(changed)["library"]["roots"]
    assert roots == {"inbox": "inbox", "no": str(films)}
    with server.client(headers={"X-API-Key": KEY}) as client:
        assert str(films) in client.get("/settings").text, "it is in force, too"


def test_a_value_that_is_not_allowed_is_refused_in_one_line_and_nothing_is_written(page, server):
    page.get_by_label("Port").fill("99999")
    save(page, "notices.smtp_port: 99999 is not allowed")
    assert config_of(server) == CONFIG
    page.get_by_label("Port").fill("587")
    page.get_by_label("Whisper model").fill("no-such-model")
    page.get_by_role("button", name="Save").click()
    page.locator("#outcome.bad").wait_for()
    assert config_of(server) == CONFIG


@pytest.mark.parametrize("value", ["/films", None, {"films": ""}])
def test_roots_without_names_or_places_are_refused_in_one_line(page, server, value):
    version = page.locator("#settings").get_attribute("data-version")
    body = {"version": version, "values": {"library.roots": value}}
    with server.client(headers={"X-API-Key": KEY}) as client:
        answer = client.put("/settings", json=body)
    assert answer.status_code == 422
    assert "library.roots" in answer.json()["error"]["message"]
    assert config_of(server) == CONFIG


def test_secrets_are_replaced_and_removed_and_never_shown(page, server):
    assert SECRET not in page.content()
    assert KEY not in page.content()
    assert page.get_by_label("Access key").is_disabled(), "the environment sets it"
    assert "YIVIDEO_SERVICE__API_KEY" in page.locator("[data-name='service.api_key']").inner_text()
    page.get_by_label("Password").fill("a password: with #signs")
    save(page, "Saved.")
    assert yaml.safe_load(config_of(server))["notices"]["smtp_password"] == "a password: with #signs"
    assert page.get_by_label("Password").input_value() == ""
    page.locator("[data-name='notices.webhook_url']").get_by_label("Remove it").check()
    save(page, "Saved.")
    assert yaml.safe_load(config_of(server))["notices"]["webhook_url"] is None


def test_a_test_notice_is_sent_by_what_is_saved(page, server):
    with serve_webhook(WebhookReceiver()) as hook:
        page.get_by_label("Webhook address").fill(hook.url)
        page.get_by_role("button", name="Send a test").click()
        page.get_by_text("Save the changes first").wait_for()
        save(page, "Saved.")
        page.get_by_role("button", name="Send a test").click()
        page.get_by_text("webhook: sent").wait_for()
        assert barriers(page) == []
    assert len(hook.requests) == 1


def test_a_file_that_somebody_changed_meanwhile_is_not_written_over(page, server):
    (server.home / "config.yml").write_text(CONFIG + "# an editor was here\n")
    page.get_by_label("Sender").fill("me@here.org")
    save(page, "has changed meanwhile")
    assert config_of(server).endswith("# an editor was here\n")


def test_a_file_that_is_wrong_is_shown_with_its_fault_and_not_changed(page, server):
    (server.home / "config.yml").write_text(CONFIG + "speech: {beam_size: 99}\n")
    page.goto("/settings?lang=zh")
    page.get_by_text("beam_size").first.wait_for()
    assert page.get_by_label("邮件服务器").is_disabled()
    assert page.get_by_role("button", name="保存").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_barriers_and_fits_a_phone(page, scheme):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.get_by_text("All settings").click()
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    keep_picture(page, f"settings-{scheme}")


def test_settings_are_no_business_of_machines_that_need_no_key(tmp_path, model_dir):
    (tmp_path / "config.yml").write_text(CONFIG)
    with (
        run_server(
            tmp_path, model_dir, options=["--insecure"], YIVIDEO_SERVICE__HOST="0.0.0.0"
        ) as open_server,
        open_server.client() as client,
    ):
        assert client.get("/settings").status_code == 403
        body = {"version": "", "values": {"library.roots": {"all": "/"}}}
        assert client.put("/settings", json=body).status_code == 403
        assert client.post("/settings/test-notice").status_code == 403
    assert (tmp_path / "config.yml").read_text() == CONFIG


def test_a_new_key_holds_at_once_and_who_sets_it_goes_on(tmp_path, model_dir):
    new = "another key of enough characters"
    (tmp_path / "config.yml").write_text(f"service: {{api_key: {KEY}, host: 0.0.0.0}}\n")
    with (
        run_server(tmp_path, model_dir) as server,
        server.client() as person,
        server.client(headers={"X-API-Key": KEY}) as program,
    ):
        person.post("/login", data={"key": KEY})

        def set_key(key: str | None):
            version = HtmlPage(person.get("/settings").text).all("form")[-1].get("data-version")
            return person.put("/settings", json={"version": version, "values": {"service.api_key": key}})

        assert program.get("/settings").status_code == 200
        assert set_key(new).json()["needs_restart"] == []
        assert program.get("/settings").status_code == 401
        assert person.get("/settings").status_code == 200
        removed = set_key(None)
        assert removed.status_code == 422
        assert "can't be removed while other machines" in removed.json()["error"]["message"]
        assert program.get("/settings", headers={"X-API-Key": new}).status_code == 200


def test_pages_of_other_sites_change_nothing(server):
    with server.client(headers={"X-API-Key": KEY, "Origin": "https://elsewhere.org"}) as client:
        assert (
            client.put("/settings", json={"version": "", "values": {"speech.model_name": "x"}}).status_code
            == 403
        )
