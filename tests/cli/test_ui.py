"""What a person sees in Chromium of what `yivideo up` serves."""

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from urllib.parse import urlsplit

import pytest
from command import SAMPLES, run, settings, start

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: uv pip install playwright"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.model,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
]

VIDEO = "harbour-15s.mp4"
STAGES = ("video", "audio", "transcript", "alignment", "subtitles")
PICTURES = {"video": "Poster", "audio": "Sound, with speech in green", "alignment": "Words in time"}
PATIENCE_MS = 60_000
ALONE = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
RUNS = "{ runsOrError { ... on Runs { results { runId status } } } }"


@pytest.fixture(scope="module")
def address(tmp_path_factory, model_dir, tiny_weights):
    """Where the UI answers, with one video processed by the command."""
    home = tmp_path_factory.mktemp("ui")
    environment = settings(home, model_dir)
    (home / "inbox").mkdir()
    shutil.copyfile(SAMPLES / VIDEO, home / "inbox" / VIDEO)
    processed = run(environment, "process", home / "inbox")
    assert processed.returncode == 0, processed.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = start(environment, "up", "--port", str(port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with program:
        said = next((line for line in program.stdout or () if "http://" in line), None)
        assert said, "`yivideo up` ended before the UI answered"
        yield f"http://127.0.0.1:{port}"
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=PATIENCE_MS / 1000)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        yield chromium
        chromium.close()


@pytest.fixture
def page(address, browser):
    """A page that must ask nobody but our own server, and meet no error in its scripts."""
    page = browser.new_page(viewport={"width": 1600, "height": 900}, base_url=address)
    page.set_default_timeout(PATIENCE_MS)
    hosts, errors = set(), []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("pageerror", lambda error: errors.append(error))  # Playwright takes no built-in
    yield page
    page.close()
    assert hosts - {""} == {urlsplit(address).netloc}  # pictures in the metadata have no host
    assert not errors


def list_runs(address: str) -> dict[str, str]:
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": RUNS}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        runs = json.load(answer)["data"]["runsOrError"]["results"]
    return {run["runId"]: run["status"] for run in runs}


def test_the_lineage_shows_the_five_assets(page):
    page.goto("/asset-groups")
    for stage in STAGES:
        page.get_by_text(stage, exact=True).first.wait_for()


def test_a_partition_is_launched_from_the_dialog(page, address):
    before = list_runs(address)
    page.goto("/asset-groups")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Select a partition or create one").click()
    page.keyboard.type(VIDEO)
    page.get_by_text("Select all (1)").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch").last.click()
    launched: dict[str, str] = {}
    deadline = time.monotonic() + 2 * PATIENCE_MS / 1000
    while not set(launched.values()) & {"SUCCESS", "FAILURE", "CANCELED"} and time.monotonic() < deadline:
        time.sleep(0.5)
        launched = {run: status for run, status in list_runs(address).items() if run not in before}
    assert list(launched.values()) == ["SUCCESS"]


@pytest.mark.parametrize(("asset", "title"), PICTURES.items())
def test_a_picture_is_shown(page, asset, title):
    page.goto(f"/assets/{asset}?view=partitions&partition={VIDEO}")
    page.get_by_text("[Show Markdown]").first.click()
    picture = page.get_by_alt_text(title)
    picture.wait_for()
    # An image that the browser can't read has no size of its own.
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") >= 320


def test_the_first_cues_and_the_quality_are_tables(page):
    page.goto(f"/assets/subtitles?view=partitions&partition={VIDEO}")
    for heading in ("from", "to", "text"):
        page.get_by_role("columnheader", name=heading, exact=True).wait_for()
    page.get_by_role("cell", name="speech covered share", exact=True).wait_for()
