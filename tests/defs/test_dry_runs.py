"""A sensor or schedule that a user only tries changes nothing, and says what it would do."""

import time
from datetime import UTC, datetime

import dagster as dg
import pytest

from yivideo_pipeline.defs.automation import SENSOR
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.dagster_internals import REPOSITORY, job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.defs.schedules import NIGHTLY, WEEKLY
from yivideo_pipeline.defs.ticks import THROWN_AWAY
from yivideo_pipeline.errors.tree import ConfigError, DiskFull
from yivideo_pipeline.ledger.database import Base
from yivideo_pipeline.stages import JOB, VIDEOS

NIGHT = datetime(2026, 11, 22, 23, tzinfo=UTC)


class Tried:
    """Sensors and schedules as `Test sensor` and `Test schedule` evaluate them: without a tick's number."""

    def __init__(self, pipeline, instance, read_settings=None, **changes) -> None:
        self.instance = instance
        self.settings = pipeline.settings.model_copy(update=changes)
        self.resources = build_resources(self.settings, pipeline.speech, read_settings=read_settings)
        self.ledger = self.resources["ledger"]
        self.repository = build_definitions(self.resources).get_repository_def()

    def sensor(self, name: str, number: str | None = None, cursor: str | None = None):
        """Evaluate a sensor; with a number as the daemon does."""
        sensor = self.repository.get_sensor_def(name)
        with dg.SensorEvaluationContext(
            instance_ref=self.instance.get_ref(),
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=cursor,
            log_key=[REPOSITORY, name, number] if number else None,
            repository_name=REPOSITORY,
            repository_def=self.repository,
            sensor_name=name,
            code_location_origin=job_origin(JOB).repository_origin.code_location_origin,
            resources=dict(self.repository.get_top_level_resources()),
        ) as context:
            return sensor.evaluate_tick(context)

    def schedule(self, name: str, number: str | None = None):
        schedule = self.repository.get_schedule_def(name)
        with dg.ScheduleEvaluationContext(
            instance_ref=self.instance.get_ref(),
            scheduled_execution_time=NIGHT,
            repository_name=REPOSITORY,
            schedule_name=name,
            log_key=[REPOSITORY, name, number] if number else None,
            repository_def=self.repository,
            resources=dict(self.repository.get_top_level_resources()),
        ) as context:
            return schedule.evaluate_tick(context).skip_message

    def rows(self) -> dict[str, list]:
        """All rows of the ledger, by table."""
        with self.ledger.engine.connect() as connection:
            return {
                table.name: sorted(map(str, connection.execute(table.select())))
                for table in Base.metadata.sorted_tables
            }


@pytest.fixture
def kept(home):
    with open_instance(home) as instance:
        yield instance


def test_a_schedule_that_is_tried_launches_nothing_and_says_what_it_would(pipeline, kept):
    tried = Tried(pipeline, kept)
    kept.add_dynamic_partitions(VIDEOS, [pipeline.add("talk.mp4")])
    before = tried.rows()
    would = "Dry run: it would submit backfill nightly-20261122-2300 of 1 video (1 missing)"
    assert tried.schedule(NIGHTLY) == would
    assert kept.get_backfills() == [] and tried.rows() == before
    assert tried.schedule(NIGHTLY, number="7") == would.replace("Dry run: it would submit", "Submitted")
    assert len(kept.get_backfills()) == 1


def test_what_is_only_tried_asks_nobody(pipeline, kept):
    pipeline.instance.dispose()
    pipeline.instance = kept
    pipeline.use_speech(pipeline.speech)
    for name in ("one.mp4", "two.mp4"):
        assert pipeline.run(pipeline.add(name)).success
    pipeline.speech.weights = "fake-2"
    runs = pipeline.settings.runs.model_copy(update={"ask_above": 1})
    profile = pipeline.settings.subtitles.model_copy(update={"max_lines": 1})
    tried = Tried(pipeline, kept, runs=runs, subtitles=profile)
    assert tried.schedule(WEEKLY).startswith("2 videos are stale, more than 1")
    tried.sensor(SENSOR)
    assert tried.ledger.outbox.waiting("mail", time.time()) == []
    tried.schedule(WEEKLY, number="7")
    assert len(tried.ledger.outbox.waiting("mail", time.time())) == 1
    tried.sensor(SENSOR, number="8")
    assert len(tried.ledger.outbox.waiting("mail", time.time())) == 2


def test_the_watch_that_is_tried_remembers_nothing_of_what_it_saw(pipeline, kept):
    library = pipeline.settings.library.model_copy(update={"settle_s": 0.0})
    tried = Tried(pipeline, kept, library=library)
    pipeline.add("talk.mp4")
    before = tried.rows()
    tried.sensor("new_videos")
    assert tried.rows() == before
    tried.sensor("new_videos", number="7")
    assert tried.rows() != before


def test_notices_are_not_written_or_sent_by_a_sensor_that_is_tried(pipeline, kept):
    notices = type(pipeline.settings.notices).model_validate({"webhook_url": "http://127.0.0.1:1/"})
    tried = Tried(pipeline, kept, notices=notices)
    failed = tried.ledger.failures.note_failure("a.mp4", "audio", "root", DiskFull("The disk is full"), 3)
    tried.ledger.failures.quarantine("a.mp4", failed, 10, 20)
    before = tried.rows()
    tried.sensor("tell_quarantined")
    assert tried.rows() == before
    tried.sensor("tell_quarantined", number="7")
    written = tried.rows()
    assert written != before
    assert tried.sensor("send_notices").skip_message.startswith("Dry run: nothing is sent")
    assert tried.rows() == written


def test_a_failed_run_is_not_reported_by_a_sensor_that_is_tried(pipeline, kept):
    notices = type(pipeline.settings.notices).model_validate({"webhook_url": "http://127.0.0.1:1/"})
    tried = Tried(pipeline, kept, notices=notices)
    cursor = tried.sensor("tell_run_failures", number="6").cursor
    job = tried.repository.get_job(JOB)
    tags = {"dagster/partition": "a.mp4", "dagster/max_retries": "0"}
    run = kept.create_run_for_job(job, tags=tags, remote_job_origin=job_origin(JOB))
    kept.report_run_failed(run, "gone")
    before = tried.rows()
    assert tried.sensor("tell_run_failures", cursor=cursor).dagster_run_reactions
    assert tried.rows() == before
    tried.sensor("tell_run_failures", number="7", cursor=cursor)
    assert tried.rows() != before


def test_an_instance_that_is_thrown_away_does_nothing_by_itself(pipeline, tmp_path):
    folder = tmp_path / f"{THROWN_AWAY}x1"
    folder.mkdir()
    pipeline.add("talk.mp4")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        tried = Tried(pipeline, instance)
        before = tried.rows()
        for said in (
            tried.sensor("new_videos", number="7").skip_message,
            tried.schedule(NIGHTLY, number="7"),
        ):
            assert said.startswith("This instance is thrown away at the end")
        assert tried.rows() == before


def test_nothing_is_done_while_the_settings_are_wrong(pipeline, kept):
    def read():
        raise ConfigError("config.yml line 3: expected ','", "Correct the YAML there")

    tried = Tried(pipeline, kept, read_settings=read)
    for said in (tried.sensor("new_videos", number="7").skip_message, tried.schedule(WEEKLY, number="7")):
        assert said.startswith("Nothing is done while the settings are wrong: config.yml line 3")
    tried.sensor(SENSOR, number="7")
