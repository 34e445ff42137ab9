"""What a person sees in Chromium of what `yivideo up` serves."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from command import SAMPLES, run, settings, start
from playwright import sync_api as playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.model,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
]

VIDEO = "harbour-15s.mp4"
STAGES = ("video", "audio", "transcript", "alignment", "subtitles")
PICTURES = {"video": "Poster", "audio": "Sound, with speech in green", "alignment": "Words in time"}
LINEAGE = "/locations/yivideo_pipeline/asset-groups/subtitles/lineage"
PATIENCE_S = 180
ALONE = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
SCREENSHOTS = os.environ.get("SCREENSHOTS")
"""Folder that pictures for the documentation are written to (`make pictures`)."""

RUNS = "{ runsOrError { ... on Runs { results { runId status } } } }"
MATERIALIZED = """query ($key: [String!]) { assetNodeOrError(assetKey: {path: ["subtitles"]}) {
  ... on AssetNode { latestMaterializationByPartition(partitions: $key) { runId } } } }"""
ADD = """mutation ($key: String!) { addDynamicPartition(partitionKey: $key, partitionsDefName: "videos",
  repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "yivideo_pipeline"}) {
  __typename } }"""
BACKFILLS = """{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status
  assetBackfillData { assetBackfillStatuses { ... on AssetPartitionsStatusCounts {
    assetKey { path } numPartitionsMaterialized numPartitionsFailed } } } } } } }"""
RUNS_OF = """query ($backfill: String!) {
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $backfill}]}) {
    ... on Runs { results { runId status } } } }"""


class Ui:
    """Dagster's UI of a running `yivideo up`: its address, its home, and GraphQL as the page asks it."""

    def __init__(self, address: str, home: Path) -> None:
        self.address = address
        self.home = home

    def ask(self, query: str, **variables: object) -> dict:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.address}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = json.load(answer)
        assert "errors" not in told, told
        return told["data"]

    def runs(self) -> dict[str, str]:
        listed = self.ask(RUNS)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in listed}

    def backfills(self) -> dict[str, dict]:
        listed = self.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
        return {backfill["id"]: backfill for backfill in listed}

    def is_materialized(self, key: str) -> bool:
        (latest,) = self.ask(MATERIALIZED, key=[key])["assetNodeOrError"]["latestMaterializationByPartition"]
        return latest is not None


def wait_for(condition):
    """Return what the condition gives as soon as it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def ui(tmp_path_factory, model_dir, tiny_weights):
    """The UI, with one video processed by the command."""
    home = tmp_path_factory.mktemp("ui")
    # The watch leaves the folder of the backfill alone.
    environment = settings(home, model_dir, YIVIDEO_LIBRARY__IGNORE="trio/**")
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
        yield Ui(f"http://127.0.0.1:{port}", home)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        yield chromium
        chromium.close()


@pytest.fixture
def page(ui, browser):
    """A page that must ask nobody but our own server, and meet no error in its scripts."""
    page = browser.new_page(viewport={"width": 1600, "height": 900}, base_url=ui.address)
    page.set_default_timeout(PATIENCE_S * 1000)
    hosts, errors = set(), []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("pageerror", lambda error: errors.append(error))  # Playwright takes no built-in
    yield page
    page.close()
    assert hosts - {""} == {urlsplit(ui.address).netloc}  # pictures in the metadata have no host
    assert not errors


def keep_picture(page, name: str) -> None:
    if SCREENSHOTS:
        page.wait_for_timeout(1500)  # what moves comes to rest
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def choose_partitions(page, text: str, count: int) -> None:
    """Open the dialog, and choose the partitions that have a text in their names."""
    page.goto(LINEAGE)
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Select a partition or create one").click()
    page.keyboard.type(text)
    page.get_by_text(f"Select all ({count})").click()
    page.keyboard.press("Escape")


def test_the_lineage_shows_the_five_assets_and_their_checks(page):
    page.goto(LINEAGE)
    for stage in STAGES:
        page.get_by_text(stage, exact=True).first.wait_for()
    page.get_by_text("4 / 4 Passed").wait_for()
    page.get_by_text("1 / 1 Passed").wait_for()
    keep_picture(page, "lineage")


def test_a_partition_is_launched_from_the_dialog(page, ui):
    before = ui.runs()
    choose_partitions(page, VIDEO, 1)
    page.get_by_role("button", name="Launch").last.click()

    def ended() -> set[str]:
        launched = {status for run, status in ui.runs().items() if run not in before}
        return launched & {"SUCCESS", "FAILURE", "CANCELED"}

    assert wait_for(ended) == {"SUCCESS"}


def test_a_file_dropped_into_the_inbox_is_taken_without_a_click(page, ui):
    name = "dropped in.mp4"
    shutil.copyfile(SAMPLES / "lighthouse-60s.mkv", ui.home / "inbox" / name)
    wait_for(lambda: ui.is_materialized(name))
    assert (ui.home / "inbox" / "dropped in.en.srt").is_file()
    page.goto(f"/assets/subtitles?view=partitions&partition={quote(name)}")
    page.get_by_text("Materialized", exact=True).first.wait_for()
    page.goto("/locations/yivideo_pipeline/sensors/new_videos")
    page.get_by_text("1 run requested").first.wait_for()


def test_of_a_backfill_of_three_the_broken_one_fails_alone(page, ui):
    folder = ui.home / "inbox" / "trio"
    folder.mkdir()
    for name in ("first.mp4", "third.mp4"):
        shutil.copyfile(SAMPLES / VIDEO, folder / name)
    (folder / "second.mp4").write_bytes((SAMPLES / VIDEO).read_bytes()[:2000])
    for name in ("first.mp4", "second.mp4", "third.mp4"):
        ui.ask(ADD, key=f"trio/{name}")
    before = ui.backfills()
    choose_partitions(page, "trio", 3)
    page.get_by_role("button", name="Launch").last.click()

    def ended() -> list[dict]:
        return [
            backfill
            for backfill in ui.backfills().values()
            if backfill["id"] not in before and backfill["status"].startswith("COMPLETED")
        ]

    (backfill,) = wait_for(ended)
    counts = backfill["assetBackfillData"]["assetBackfillStatuses"]
    assert len(counts) == len(STAGES)
    assert {(one["numPartitionsMaterialized"], one["numPartitionsFailed"]) for one in counts} == {(2, 1)}
    assert sorted(path.name for path in folder.glob("*.srt")) == ["first.en.srt", "third.en.srt"]
    page.goto(f"/runs/b/{backfill['id']}")
    page.get_by_text("subtitles", exact=True).first.wait_for()
    keep_picture(page, "backfill")
    runs = ui.ask(RUNS_OF, backfill=backfill["id"])["runsOrError"]["results"]
    assert [run["status"] for run in runs] == ["FAILURE"], "all three share one run"
    page.goto(f"/runs/{runs[0]['runId']}")
    page.get_by_text("second.mp4").first.wait_for()
    page.get_by_text("breaks off").first.wait_for()


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
    keep_picture(page, "materialization")
