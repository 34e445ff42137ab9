"""The sensors report failed runs and quarantined videos, each once, and say so in their ticks."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from yivideo_pipeline.defs.dagster_internals import REPOSITORY, job_origin
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.defs.sensors.notices import WILL_RETRY_TAG, build_notice_sensors
from yivideo_pipeline.errors.tree import DiskFull
from yivideo_pipeline.settings.sections import NoticeSettings
from yivideo_pipeline.stages import JOB

ORIGIN = job_origin(JOB)


@pytest.fixture
def received():
    """What a webhook on a real socket received; its address is in `url`."""

    class Received(list):
        url = ""

    notices = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notices.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on stderr."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    notices.url = f"http://127.0.0.1:{server.server_address[1]}/geheim"
    yield notices
    server.shutdown()
    thread.join()
    server.server_close()


class Watch:
    """The sensors of a pipeline, ticking one after the other with their cursors."""

    def __init__(self, pipeline, notices: NoticeSettings) -> None:
        settings = pipeline.settings.model_copy(update={"notices": notices})
        self._launch = build_resources(settings, pipeline.speech)["launch"]
        self.sensors = {sensor.name: sensor for sensor in build_notice_sensors(notices)}
        self.instance = pipeline.instance
        self._ledger = pipeline.resources["ledger"]
        self._cursors = {}

    def tick(self, name: str):
        # As the daemon does: a sensor looks at the runs of its own code location.
        with dg.SensorEvaluationContext(
            instance_ref=None,
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=self._cursors.get(name),
            repository_name=REPOSITORY,
            code_location_origin=ORIGIN.repository_origin.code_location_origin,
            instance=self.instance,
            resources={
                "launch": self._launch.get_resource_definition(),
                "ledger": dg.ResourceDefinition.hardcoded_resource(self._ledger),
            },
        ) as context:
            done = self.sensors[name].evaluate_tick(context)
        self._cursors[name] = done.cursor
        assert not any(reaction.error for reaction in done.dagster_run_reactions or ())
        return done


@pytest.fixture
def watch(pipeline, received):
    watch = Watch(pipeline, NoticeSettings.model_validate({"webhook_url": received.url}))
    watch.tick("tell_run_failures")  # what failed before the first tick is not reported
    return watch


def subjects(received) -> list[str]:
    return [one["subject"] for one in received]


def test_a_failed_run_is_reported_once_with_its_reason(pipeline, watch, received):
    (pipeline.inbox / "talk.mp4").write_bytes(b"no video at all")
    done = pipeline.run("talk.mp4")
    assert not done.success
    (reaction,) = watch.tick("tell_run_failures").dagster_run_reactions
    assert reaction.dagster_run.run_id == done.run_id
    assert watch.tick("send_notices").skip_message == "webhook: 1 sent"
    (notice,) = received
    assert notice["subject"].startswith("talk.mp4 failed at video: ")
    assert done.failure.message in notice["body"][2]
    assert notice["url"] == f"http://127.0.0.1:3000/runs/{done.run_id}"
    watch.tick("tell_run_failures")
    assert watch.tick("send_notices").skip_message == "webhook: 0 sent"


def test_the_same_trouble_of_another_run_is_held_back(pipeline, watch, received):
    for name in ("a.mp4", "b.mp4"):
        pipeline.add(name)
        pipeline.speech.fail_with = [DiskFull("The disk is full", "Make room")] * 3
        assert not pipeline.run(name).success
    watch.tick("tell_run_failures")
    watch.tick("send_notices")
    assert subjects(received) == ["a.mp4 failed at transcript: The disk is full"]


def test_a_run_that_died_before_it_could_record_anything_is_reported_too(pipeline, watch, received):
    run = start_run(pipeline)
    pipeline.instance.report_run_failed(run, "The process that ran it is gone")
    watch.tick("tell_run_failures")
    watch.tick("send_notices")
    assert subjects(received) == ["talk.mp4 failed: The process that ran it is gone"]


def test_a_run_that_dagster_retries_is_not_reported_before_its_last_attempt(pipeline, received):
    retries = {"run_retries": {"enabled": True, "max_retries": 1}}
    with dg.DagsterInstance.ephemeral(settings=retries) as pipeline.instance:
        watch = Watch(pipeline, NoticeSettings.model_validate({"webhook_url": received.url}))
        watch.tick("tell_run_failures")
        runs = [start_run(pipeline, **{"dagster/max_retries": left}) for left in ("1", "0")]
        for run in runs:
            pipeline.instance.report_run_failed(run, "The process that ran it is gone")
        tags = [pipeline.instance.get_run_by_id(run.run_id).tags[WILL_RETRY_TAG] for run in runs]
        assert tags == ["true", "false"]
        watch.tick("tell_run_failures")
        watch.tick("send_notices")
    assert [one["url"].rpartition("/")[2] for one in received] == [runs[1].run_id]


def test_quarantined_videos_are_reported_once(pipeline, watch, received):
    failures = pipeline.resources["ledger"].failures
    for key in ("a.mp4", "b.mp4"):
        failed = failures.note_failure(key, "audio", "root", DiskFull("The disk is full"), 3)
        failures.quarantine(key, failed, 10, 20)
    assert watch.tick("tell_quarantined").skip_message == "Queued: 2 videos quarantined"
    assert watch.tick("tell_quarantined").skip_message == "No further video was quarantined"
    watch.tick("send_notices")
    assert subjects(received) == ["2 videos quarantined"]


def test_a_dead_channel_is_reported_in_the_tick_without_its_address(pipeline, watch):
    dead = Watch(pipeline, NoticeSettings.model_validate({"webhook_url": "http://127.0.0.1:1/geheim"}))
    pipeline.instance.report_run_failed(start_run(pipeline), "gone")
    watch.tick("tell_run_failures")
    message = dead.tick("send_notices").skip_message
    assert message.startswith("webhook: 0 sent, 1 failed (The webhook does not answer")
    assert "geheim" not in message


def test_without_a_channel_the_sensors_stand_still_and_say_so(pipeline):
    watch = Watch(pipeline, NoticeSettings.model_validate({}))
    assert {sensor.default_status for sensor in watch.sensors.values()} == {dg.DefaultSensorStatus.STOPPED}
    watch.tick("tell_run_failures")
    pipeline.instance.report_run_failed(start_run(pipeline), "gone")
    for name in watch.sensors:
        assert watch.tick(name).skip_message.startswith("There is no channel: set notices.webhook_url")
    assert pipeline.resources["ledger"].outbox.waiting("webhook", time.time()) == []


def test_with_a_channel_the_sensors_run_by_themselves(watch):
    assert set(watch.sensors) == {"tell_run_failures", "tell_quarantined", "send_notices"}
    assert {sensor.default_status for sensor in watch.sensors.values()} == {dg.DefaultSensorStatus.RUNNING}


def start_run(pipeline, **tags) -> dg.DagsterRun:
    job = pipeline.job
    return pipeline.instance.create_run_for_job(
        job,
        tags={"dagster/partition": "talk.mp4", **tags},
        status=dg.DagsterRunStatus.STARTED,
        remote_job_origin=ORIGIN,
    )
