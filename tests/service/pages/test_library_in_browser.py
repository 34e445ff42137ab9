"""The library page over a real Dagster in Chromium: uploads, the queue, what is done with several videos."""

import zipfile
from uuid import uuid4

import dagster as dg
import pytest

from tests.browser import NEEDS_CHROMIUM, barriers, keep_picture, watch
from tests.service.server import SAMPLES
from tests.service.workflow_stack import run_stack
from tests.waiting import TIMEOUT_S
from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.errors.tree import UnreadableMedia
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.stages import FIRST_STAGE, JOB, RANGE_TAGS, STAGES

pytestmark = NEEDS_CHROMIUM

PATIENCE_MS = 1000 * TIMEOUT_S
VIDEO = (SAMPLES / "harbour-15s.mp4").read_bytes()
NAMES = ("one.mp4", "two.mp4", "three.mp4")
RUNS = "{ runsOrError { ... on Runs { results { status tags { key value } } } } }"
LEFT = ("QUEUED", "CANCELED")
BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { partitionNames } } } }"
PARTITIONS = '{ assetNodes(assetKeys: [{path: ["subtitles"]}]) { partitionKeys } }'


@pytest.fixture(scope="module")
def stack(tmp_path_factory, model_dir, base_weights):
    home = tmp_path_factory.mktemp("library")
    with run_stack(home, model_dir, YIVIDEO_SPEECH__MODEL_NAME="base") as running:
        yield running


@pytest.fixture
def page(browser, stack):
    """The library page, which must cause no error and send requests to its own server only."""
    context = browser.new_context(base_url=stack.server.url, locale="en-GB", accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    problems = watch(opened, stack.server.url)
    opened.goto("/library")
    yield opened
    context.close()  # an open page goes on sending requests
    assert not problems


def row(page, name: str):
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


def upload(page, *names: str) -> None:
    for name in names:
        file = {"name": name, "mimeType": "video/mp4", "buffer": VIDEO}
        page.get_by_label("Choose files").set_input_files([file])
        page.locator("#uploads").get_by_text(f"{name} is in the library").wait_for()


def wait_until_ready(page, name: str) -> None:
    """Wait for what the page says at the end of a workflow; no other end is taken."""
    said = page.locator("#toast").filter(has_text=f"{name}: ")
    said.wait_for()
    assert said.text_content() == f"{name}: the subtitles are ready."


def tick(page, name: str):
    return page.get_by_role("checkbox", name=f"Select {name}")


def begun(stack) -> set[str]:
    """The videos that a run was begun for."""
    runs = stack.graphql(RUNS)["runsOrError"]["results"]
    tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in runs if run["status"] not in LEFT]
    return {tag["dagster/partition"] for tag in tags}


def test_a_video_is_uploaded_with_choices_and_a_wrong_language_is_corrected_by_two_clicks(page, stack):
    page.get_by_text("There are no videos yet").wait_for()
    page.get_by_role("button", name="Choices").click()
    page.get_by_label("Language", exact=True).select_option("en")
    page.get_by_role("button", name="Another language").click()
    page.get_by_label("Another language", exact=True).select_option("Chinese")
    page.get_by_role("button", name="Use these").click()
    page.get_by_text("Language: English, Chinese").wait_for()
    page.get_by_role("button", name="Choices").click()
    assert page.get_by_label("Another language", exact=True).input_value() == "zh"
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Reset").click()

    page.get_by_role("button", name="Choices").click()
    assert page.get_by_label("Language", exact=True).input_value() == ""
    page.get_by_label("Style guide").select_option("netflix")
    page.get_by_label("Names and terms").fill("old town\nfishing boats")
    assert barriers(page) == []
    page.get_by_role("button", name="Use these").click()
    page.get_by_text("fishing boats · Style guide: netflix").wait_for()
    page.get_by_label("Choose files").set_input_files(SAMPLES / "harbour-15s.mp4")
    page.get_by_text("harbour-15s.mp4 is in the library").first.wait_for()
    wait_until_ready(page, "harbour-15s.mp4")
    line = row(page, "harbour-15s.mp4")
    line.get_by_text("Done").wait_for()
    line.get_by_role("link", name="Review").click()
    page.wait_for_url("**/review/*")  # loaded: no script listens before
    page.get_by_text("Style guide: netflix").wait_for()
    page.get_by_role("button", name="English").click()
    page.get_by_role("button", name="Chinese").click()
    page.get_by_role("progressbar").wait_for()
    page.get_by_text("The new subtitles are here").wait_for()
    page.get_by_role("button", name="Chinese").wait_for()
    assert (stack.home / "inbox" / "harbour-15s.zh.srt").is_file()


def test_the_queue_is_paused_ordered_and_cut_and_goes_on(page, stack):
    page.get_by_role("button", name="Pause the queue").click()
    page.get_by_text("The queue is paused").wait_for()
    upload(page, *NAMES)
    row(page, "three.mp4").get_by_text("place 3").wait_for()
    tick(page, "three.mp4").focus()
    page.keyboard.press("Space")
    page.get_by_text("1 selected").wait_for()
    page.get_by_role("button", name="Move to the front").click()
    row(page, "three.mp4").get_by_text("place 1").wait_for()
    assert tick(page, "three.mp4").is_checked(), "it stays selected while its row is replaced"
    row(page, "one.mp4").get_by_role("button", name="Cancel").click()
    row(page, "one.mp4").get_by_text("cancelled on the library page").wait_for()
    row(page, "two.mp4").get_by_text("place 2").wait_for()
    keep_picture(page, "queue")
    assert begun(stack) == {"harbour-15s.mp4"}, "nothing begins while the queue is paused"

    page.get_by_role("button", name="Let the queue go on").click()
    for name in ("two.mp4", "three.mp4"):
        row(page, name).get_by_text("Done").wait_for()
    assert "one.mp4" not in begun(stack)


def test_several_videos_are_selected_downloaded_and_forgotten(page, stack):
    page.get_by_role("checkbox", name="Select all shown").check()
    page.get_by_text("4 selected").wait_for()
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download subtitles as zip").click()
    with zipfile.ZipFile(begun.value.path()) as archive:
        assert sorted(archive.namelist()) == ["harbour-15s.zh.srt", "three.en.srt", "two.en.srt"]
        assert b"-->" in archive.read("two.en.srt")

    page.keyboard.press("Escape")
    page.get_by_role("checkbox", name="Select one.mp4").check()
    tick(page, "two.mp4").check()
    page.locator("#actions").get_by_role("button", name="Forget").click()
    dialog = page.get_by_role("dialog")
    assert barriers(page) == []
    dialog.get_by_role("button", name="Keep").click()
    assert tick(page, "two.mp4").is_checked()
    page.locator("#actions").get_by_role("button", name="Forget").click()
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Forget").click()
    page.get_by_text("2 videos forgotten").wait_for()
    page.get_by_role("link", name="Forgotten").wait_for()
    assert page.locator("#rows tr").count() == 2
    partitions = stack.graphql(PARTITIONS)["assetNodes"][0]["partitionKeys"]
    assert sorted(partitions) == ["harbour-15s.mp4", "three.mp4"]

    page.get_by_role("link", name="Forgotten").click()
    page.wait_for_url("**/library?state=forgotten")  # loaded: no script listens before
    row(page, "two.mp4").get_by_role("button", name="Process").click()
    wait_until_ready(page, "two.mp4")
    row(page, "two.mp4").wait_for(state="detached")
    assert (stack.home / "inbox" / "one.mp4").is_file()


def add_shared_run(stack, keys: list[str]) -> str:
    """Add a waiting run as the daemon makes one of a backfill; returns its id."""
    with open_instance(stack.home) as instance:
        run = dg.DagsterRun(
            JOB,
            run_id=str(uuid4()),
            status=dg.DagsterRunStatus.QUEUED,
            tags=dict(zip(RANGE_TAGS, (keys[0], keys[-1]), strict=True)),
            asset_selection=frozenset(map(dg.AssetKey, STAGES)),
            remote_job_origin=job_origin(JOB),
        )
        instance.add_run(run)
    return run.run_id


def backfills(stack) -> list[set[str]]:
    """The videos of each backfill, the latest first."""
    found = stack.graphql(BACKFILLS)["partitionBackfillsOrError"]["results"]
    return [set(one["partitionNames"]) for one in found]


def test_all_that_were_found_are_processed_at_once_and_one_of_a_shared_run_is_cancelled(page, stack):
    page.get_by_role("button", name="Pause the queue").click()
    keys = [f"asked/{number:02}.mp4" for number in range(52)]
    ledger = open_ledger(stack.home)
    for key in keys:
        (stack.home / "inbox" / key).write_bytes(b"no video")
        ledger.failures.note_failure(key, FIRST_STAGE, "run", UnreadableMedia("It was broken"), 1)
    page.goto("/library?q=asked&sort=name")
    page.get_by_role("checkbox", name="Select all shown").check()
    page.get_by_text("50 selected").wait_for()
    page.get_by_role("button", name="Select all 52 found").click()
    page.get_by_text("52 selected").wait_for()
    assert barriers(page) == []
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    page.locator("#actions").get_by_role("button", name="Process").click()
    assert barriers(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Process").click()
    page.get_by_text("52 videos wait for their turn").wait_for()
    assert len(asked) == 1
    assert backfills(stack) == [set(keys)]

    shared = add_shared_run(stack, keys[:3])
    page.goto("/library?q=asked/0&sort=name")
    row(page, "01.mp4").get_by_text("shared by 3 videos").wait_for()
    assert "Waiting\nWaits for its next try · In the queue: place" in row(page, "01.mp4").inner_text()
    assert "The last try failed: " in row(page, "01.mp4").inner_text()
    row(page, "01.mp4").get_by_role("button", name="Cancel").click()
    row(page, "01.mp4").get_by_text("cancelled on the library page").wait_for()
    assert backfills(stack)[0] == {keys[0], keys[2]}, "what shared its run is not lost"
    with open_instance(stack.home) as instance:
        assert instance.get_run_by_id(shared).status == dg.DagsterRunStatus.CANCELED
