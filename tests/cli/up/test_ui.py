"""What the user sees in Chromium of Dagster's UI, as `yivideo up` serves it."""

import shutil
from urllib.parse import quote

import pytest

from tests.browser import NEEDS_CHROMIUM, keep_picture, watch
from tests.cli.command import SAMPLES, run, settings
from tests.cli.up.running_services import RunningServices
from tests.waiting import TIMEOUT_S, wait_for
from yivideo_pipeline.stages import STAGES

pytestmark = NEEDS_CHROMIUM

VIDEO = "harbour-15s.mp4"
PICTURES = {"video": "Poster", "audio": "Sound, with speech in green", "alignment": "Words in time"}
LINEAGE = "/asset-groups"
SUBTITLES_AND_UPSTREAM = "/asset-groups~%2Bkey%3A%22subtitles%22"

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


class DagsterUi:
    """Dagster's UI of a running `yivideo up`, and what its page would ask by GraphQL."""

    def __init__(self, services: RunningServices) -> None:
        self.url = services.url
        self.home = services.home
        self.ask = services.ask

    def statuses(self) -> dict[str, str]:
        """Return the status of each run."""
        listed = self.ask(RUNS)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in listed}

    def backfills(self) -> dict[str, dict]:
        listed = self.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
        return {backfill["id"]: backfill for backfill in listed}

    def is_materialized(self, key: str) -> bool:
        (latest,) = self.ask(MATERIALIZED, key=[key])["assetNodeOrError"]["latestMaterializationByPartition"]
        return latest is not None


@pytest.fixture(scope="module")
def ui(tmp_path_factory, model_dir, tiny_weights):
    """The UI, with one video processed by the command."""
    home = tmp_path_factory.mktemp("ui")
    # The watch does not take the folder of the backfill.
    environment = settings(home, model_dir, YIVIDEO_LIBRARY__IGNORE="trio/**")
    (home / "inbox").mkdir()
    shutil.copyfile(SAMPLES / VIDEO, home / "inbox" / VIDEO)
    processed = run(environment, "process", home / "inbox")
    assert processed.returncode == 0, processed.stderr
    with RunningServices(environment) as services:
        yield DagsterUi(services)


@pytest.fixture
def page(ui, browser):
    """A page that must send requests to its own server only, and meet no error in its scripts."""
    page = browser.new_page(viewport={"width": 1600, "height": 900}, base_url=ui.url)
    page.set_default_timeout(TIMEOUT_S * 1000)
    problems = watch(page, ui.url, console=())
    yield page
    page.close()
    assert problems == []


def choose_partitions(page, text: str, count: int) -> None:
    """Open the dialog, and choose the partitions that have a text in their names."""
    page.goto(SUBTITLES_AND_UPSTREAM)
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Select a partition or create one").click()
    page.keyboard.type(text)
    page.get_by_text(f"Select all ({count})").click()
    page.keyboard.press("Escape")


def test_the_lineage_opens_with_the_five_assets_and_their_checks(page):
    page.set_viewport_size({"width": 2200, "height": 900})  # room for what each asset says of itself
    page.goto(LINEAGE)
    for stage in STAGES:
        page.get_by_text(stage, exact=True).first.wait_for()
    page.get_by_text("4 / 4 Passed").wait_for()
    page.get_by_text("1 / 1 Passed").wait_for()
    keep_picture(page, "lineage")


def test_a_partition_is_launched_from_the_dialog(page, ui):
    before = ui.statuses()
    choose_partitions(page, VIDEO, 1)
    page.get_by_role("button", name="Launch").last.click()

    def ended() -> set[str]:
        launched = {status for run, status in ui.statuses().items() if run not in before}
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
def test_a_picture_is_shown_without_a_click(page, asset, title):
    page.goto(f"/assets/{asset}?view=partitions&partition={VIDEO}")
    picture = page.get_by_alt_text(title)
    picture.wait_for()
    # An image that the browser can't read has no size of its own.
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") >= 320


def test_the_first_cues_and_their_readability_are_tables(page):
    page.goto(f"/assets/subtitles?view=partitions&partition={VIDEO}")
    for heading in ("from", "to", "text"):
        page.get_by_role("columnheader", name=heading, exact=True).wait_for()
    page.get_by_role("cell", name="speech covered share", exact=True).wait_for()
    keep_picture(page, "materialization")
