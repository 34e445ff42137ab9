"""What the automation condition of the subtitles asks for, on a thousand videos that have all stages."""

import time
from collections.abc import Mapping

import dagster as dg
import pytest

from yivideo_pipeline import stages
from yivideo_pipeline.defs.automation import SENSOR
from yivideo_pipeline.defs.cache_keys import cache_keys
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.ledger.database import upsert
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.stages import STAGES, VIDEOS

SUBTITLES = dg.AssetKey("subtitles")
KEYS = [f"talk {number:04}.mp4" for number in range(1000)]
LIMIT = 100


class Shelf:
    """A thousand videos whose stages were all made by the settings as they were, and the sensor's ticks."""

    def __init__(self, settings: Settings) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions(VIDEOS, KEYS)
        self._cursor = None
        self.use(settings)
        self.note(KEYS, self.keys)

    def use(self, settings: Settings) -> None:
        """Load the code location with these settings."""
        self.now = settings
        resources = build_resources(settings, read_settings=lambda: self.now)
        self.ledger = resources["ledger"]
        self.definitions = build_definitions(resources)
        self.keys = cache_keys(settings.speech.options, settings.subtitles, revision="weights")

    def note(
        self, keys: list[str], made_by: Mapping[str, str], *, chosen: bool = False, made_at: float = 1.0
    ) -> None:
        rows = [
            Materialization(
                key, stage, "stage-key", made_by[stage], chosen, "hash", made_at, "run", reused=False
            )
            for key in keys
            for stage in STAGES
        ]
        with self.ledger.engine.begin() as connection:
            upsert(connection, rows)

    def tick(self) -> dict[str, set[str | None]]:
        """Look at the conditions of all assets once, as the sensor does; returns what is requested."""
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, dg.AssetSelection.all(), cursor=self._cursor
        )
        self._cursor = result.cursor
        asked = {stage: set(result.get_requested_partitions(dg.AssetKey(stage))) for stage in STAGES}
        return {stage: keys for stage, keys in asked.items() if keys}

    def questions(self) -> list[str]:
        return [waiting.notice.subject for waiting in self.ledger.outbox.waiting("mail", now=time.time())]


@pytest.fixture
def settings(home) -> Settings:
    return load_settings()


@pytest.fixture
def shelf(settings):
    shelf = Shelf(settings)
    yield shelf
    shelf.instance.dispose()


def with_profile(settings: Settings, **changes) -> Settings:
    subtitles = settings.subtitles.model_copy(update=changes)
    return settings.model_copy(update={"subtitles": subtitles})


def test_nothing_is_asked_for_while_all_is_as_the_settings_say(shelf):
    assert shelf.tick() == {}
    assert shelf.questions() == []


def test_a_new_transcript_version_asks_for_nothing_of_a_thousand_videos(shelf, settings, raise_version):
    shelf.tick()
    raise_version("transcript")
    shelf.use(settings)
    assert shelf.tick() == {}
    assert shelf.questions() == []


def test_another_model_asks_for_nothing(shelf, settings):
    options = settings.speech.options.model_copy(update={"beam_size": 2})
    speech = settings.speech.model_copy(update={"options": options})
    shelf.use(settings.model_copy(update={"speech": speech}))
    assert shelf.tick() == {}


def test_a_new_profile_of_many_videos_asks_once_and_requests_none(shelf, settings):
    shelf.tick()
    shelf.use(with_profile(settings, max_chars_per_line=30))
    assert shelf.tick() == {}
    assert shelf.tick() == {}
    assert shelf.questions() == ["Subtitles of 1000 videos were made by another profile"]


def test_a_new_version_of_the_subtitles_of_many_videos_asks_too(shelf, settings, raise_version):
    shelf.tick()
    raise_version("subtitles")
    shelf.use(settings)
    assert shelf.tick() == {}
    assert shelf.questions() == ["Subtitles of 1000 videos were made by another profile"]


@pytest.mark.parametrize(("count", "requested"), [(LIMIT, LIMIT), (LIMIT + 1, 0)])
def test_as_many_as_the_limit_are_made_again_and_one_more_asks(shelf, settings, count, requested):
    old = shelf.keys
    shelf.use(with_profile(settings, max_lines=1))
    shelf.note(KEYS, shelf.keys)
    shelf.note(KEYS[:count], old)
    assert shelf.tick() == ({"subtitles": set(KEYS[:count])} if requested else {})
    assert len(shelf.questions()) == (0 if requested else 1)


@pytest.fixture
def few(shelf, settings):
    """Three videos were made by another profile."""
    old = shelf.keys
    shelf.use(with_profile(settings, max_lines=1))
    shelf.note(KEYS, shelf.keys)
    shelf.note(KEYS[:3], old)
    return shelf


def test_what_a_user_chose_otherwise_is_left_as_it_is(few):
    other = {**few.keys, "subtitles": f"{stages.STAGES['subtitles'].code_version}.chosen"}
    few.note(KEYS[:1], other, chosen=True)
    assert few.tick() == {"subtitles": set(KEYS[1:3])}


def test_a_video_that_was_taken_out_is_not_asked_for(few):
    few.instance.delete_dynamic_partition(VIDEOS, KEYS[0])
    assert few.tick() == {"subtitles": set(KEYS[1:3])}


def test_a_quarantined_video_is_not_asked_for(few):
    failed = StageFailure(KEYS[0], "subtitles", "run", "disk", "No room", "", attempts=3, at=1.0)
    few.ledger.failures.quarantine(KEYS[0], failed, size_bytes=1, mtime_ns=1)
    assert few.tick() == {"subtitles": set(KEYS[1:3])}


def run_of(shelf: Shelf, key: str) -> dg.DagsterRun:
    """A run of the subtitles of a video that is at work."""
    job = shelf.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={SUBTITLES})
    run = shelf.instance.create_run_for_job(job, tags={"dagster/partition": key})
    shelf.instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job.name), run_id=run.run_id
    )
    return run


def test_a_video_is_not_asked_for_again_while_a_run_is_at_it(few):
    assert few.tick() == {"subtitles": set(KEYS[:3])}
    for key in KEYS[:3]:
        run_of(few, key)
    assert few.tick() == {}


def test_a_video_is_not_asked_for_again_once_it_is_made(few):
    few.tick()
    few.note(KEYS[:3], few.keys)
    assert few.tick() == {}


def test_a_video_that_fails_is_not_asked_for_again_and_again(few):
    few.tick()
    few.instance.report_run_failed(run_of(few, KEYS[0]))
    few.note(KEYS[1:3], few.keys)
    assert few.tick() == {}
    assert few.tick() == {}


def test_the_sensor_is_off_until_a_user_switches_it_on(shelf):
    sensor = shelf.definitions.get_repository_def().get_sensor_def(SENSOR)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED


def test_a_tick_judges_by_the_settings_of_the_moment(shelf, settings):
    assert shelf.tick() == {}
    shelf.now = with_profile(settings, max_lines=1)  # the code location is not loaded again
    assert shelf.tick() == {}
    assert shelf.questions() == ["Subtitles of 1000 videos were made by another profile"]
    shelf.note(KEYS, cache_keys(shelf.now.speech.options, shelf.now.subtitles, revision="weights"))
    assert shelf.tick() == {}


def test_what_newer_code_makes_is_requested_once(few):
    assert few.tick() == {"subtitles": set(KEYS[:3])}
    few.note(KEYS[:3], {**few.keys, "subtitles": "newer.made"}, made_at=time.time() + 1)
    assert few.tick() == {}
    assert few.tick() == {}
