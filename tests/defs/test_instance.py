import signal
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

from tests.defs.pipeline import SAMPLE
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import (
    SERVED,
    WORKER_TAG,
    close_abandoned_runs,
    has_older_defaults,
    limit_models,
    open_instance,
)
from yivideo_pipeline.defs.runner import Processor
from yivideo_pipeline.errors.tree import ConfigError, DiskError
from yivideo_pipeline.history.instance import is_paused, set_paused
from yivideo_pipeline.ledger.alive import worker_of_this_process
from yivideo_pipeline.stages import JOB, LOCATION

STARTED, CANCELING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING
LAUNCHED = ".dagster/grpc_info"
"""Tag by which Dagster's own launcher marks what it handed to a code server."""
DEAD_WORKER = f"{socket.gethostname()}:{2**22}:0.00"
TESTS = Path(__file__).resolve().parents[1]
WORK = """
import sys, time
from pathlib import Path
from uuid import uuid4
from shutil import copyfile
sys.path.insert(0, sys.argv[1])
from fake_speech import FakeEngine, FakeSpeech
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.runner import Processor
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.settings.load import load_settings

def wait(*args, **kwargs):
    print("working", flush=True)
    time.sleep(600)

FakeEngine.transcribe = wait
settings = load_settings()
inbox = settings.library.roots["inbox"]
inbox.mkdir(parents=True)
copyfile(sys.argv[2], inbox / "talk.mp4")
Processor(open_instance(settings.home), build_resources(settings, FakeSpeech())).process("talk.mp4")
"""


@pytest.fixture
def working(home):
    """A process of its own in the middle of the transcript."""
    command = [sys.executable, "-c", WORK, str(TESTS), str(SAMPLE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "working\n", process.stderr.read()
            yield process
        finally:
            process.kill()


def test_the_configuration_is_written_once(home):
    with open_instance(home) as instance:
        assert instance.telemetry_enabled is False
        assert instance.nux_enabled is False
        assert instance.global_op_concurrency_default_limit == 1
    config = home / "dagster" / "dagster.yaml"
    config.write_text("telemetry: {enabled: true}\n")
    with open_instance(home) as instance:
        assert instance.telemetry_enabled is True


def test_a_configuration_of_an_earlier_version_is_known_as_such(home):
    open_instance(home).dispose()
    config = home / "dagster" / "dagster.yaml"
    assert not has_older_defaults(home)
    config.write_text(config.read_text().replace("Edition 5.", "Edition 1."))
    assert has_older_defaults(home)
    config.write_text("telemetry: {enabled: true}\n")
    assert has_older_defaults(home)


def test_dagster_reads_what_the_configuration_says(home):
    with open_instance(home) as instance:
        coordinator = instance.run_coordinator
        assert isinstance(coordinator, QueuedRunCoordinator)
        assert coordinator.dequeue_interval_seconds == 1
        queue = instance.get_concurrency_config().run_queue_config
        assert queue.max_concurrent_runs == 4
        assert [limit["key"] for limit in queue.tag_concurrency_limits] == [
            "yivideo/automatic",
            "dagster/backfill",
        ]
        assert queue.max_user_code_failure_retries * queue.user_code_failure_retry_delay == 500
        assert instance.run_monitoring_poll_interval_seconds == 5
        assert instance.get_sensor_settings()["use_threads"]
        assert instance.get_backfill_settings()["use_threads"]


def test_no_run_begins_while_the_queue_is_paused(home):
    with open_instance(home) as instance:
        for paused, limit in ((True, 0), (False, 4)):
            set_paused(instance, paused)
            assert is_paused(instance) is paused
            assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == limit


def test_the_settings_decide_how_many_steps_use_a_model(home):
    with open_instance(home) as instance:
        for slots in (2, 2, 1):
            limit_models(instance, slots)
            assert instance.event_log_storage.get_concurrency_info("gpu").slot_count == slots


def test_a_run_belongs_to_the_job_that_the_ui_shows(pipeline, home):
    pipeline.add("talk.mp4")
    with open_instance(home) as instance:
        done = Processor(instance, pipeline.resources).process("talk.mp4")
    with open_instance(home) as instance:
        run = instance.get_run_by_id(done.run_id)
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert run.job_name == JOB
        assert run.remote_job_origin.location_name == LOCATION
        assert run.tags[".dagster/repository"] == f"__repository__@{LOCATION}"
        assert run.tags["dagster/partition"] == "talk.mp4"
        assert run.asset_selection is None
        materialized = instance.get_materialized_partitions(dg.AssetKey("subtitles"))
        assert materialized == {"talk.mp4"}
        job = build_definitions(pipeline.resources).get_repository_def().get_job(JOB)
        assert run.job_snapshot_id == InMemoryJob(job).get_definition().get_job_snapshot_id()


def test_a_killed_process_leaves_no_run_open_and_no_place_taken(working, home):
    with open_instance(home) as instance:
        assert close_abandoned_runs(instance, alone=True) == [], "it is alive"
        (run,) = instance.get_runs()
        working.kill()
        working.wait()
        assert close_abandoned_runs(instance) == [run.run_id]
        closed = instance.get_run_by_id(run.run_id)
        assert closed.status == dg.DagsterRunStatus.FAILURE
        assert closed.tags["dagster/will_retry"] == "false", "a person started it, and can start it again"
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0


def add_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> str:
    run = dg.DagsterRun(
        job_name=JOB, run_id=str(uuid4()), status=status, tags=tags, remote_job_origin=job_origin(JOB)
    )
    return instance.add_run(run).run_id


def test_what_a_code_server_launched_is_its_own_affair_while_it_may_live(home):
    with open_instance(home) as instance:
        # A retry has its parent's tags until its own worker is at work.
        retry = add_run(instance, STARTED, **{LAUNCHED: "{}", WORKER_TAG: DEAD_WORKER})
        starting = add_run(instance, dg.DagsterRunStatus.STARTING)
        assert close_abandoned_runs(instance) == []
        assert set(close_abandoned_runs(instance, alone=True)) == {retry, starting}


def test_a_launched_run_is_closed_though_the_machine_has_another_name_now(home):
    with open_instance(home) as instance:
        launched = add_run(instance, STARTED, **{LAUNCHED: "{}", WORKER_TAG: "another-container:7:1.00"})
        add_run(instance, STARTED, **{WORKER_TAG: "another-container:8:1.00"})
        assert close_abandoned_runs(instance, alone=True) == [launched]


def test_a_closed_run_says_why_and_is_to_be_retried(home):
    with open_instance(home) as instance:
        launched = add_run(instance, STARTED, **{LAUNCHED: "{}"})
        close_abandoned_runs(instance, alone=True)
        (event,) = instance.all_logs(launched, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert "killed, or the machine went down" in str(event.dagster_event.message)
        assert instance.get_run_by_id(launched).tags["dagster/will_retry"] == "true"
        assert close_abandoned_runs(instance, alone=True) == [], "it is closed once"


def test_a_canceled_run_stays_cancelled_and_what_waits_stays_in_the_queue(home):
    with open_instance(home) as instance:
        canceling = add_run(instance, CANCELING, **{LAUNCHED: "{}"})
        queued = add_run(instance, dg.DagsterRunStatus.QUEUED)
        assert close_abandoned_runs(instance, alone=True) == [canceling]
        assert instance.get_run_by_id(canceling).status == dg.DagsterRunStatus.CANCELED
        assert instance.get_run_by_id(queued).status == dg.DagsterRunStatus.QUEUED


def test_a_living_worker_is_left_alone(home):
    with open_instance(home) as instance:
        add_run(instance, STARTED, **{LAUNCHED: "{}", WORKER_TAG: worker_of_this_process()})
        assert close_abandoned_runs(instance, alone=True) == []


def test_an_interrupted_run_is_closed_and_its_place_is_free(working, home):
    working.send_signal(signal.SIGINT)
    working.wait(60)
    assert working.returncode != 0, "the interruption arrives at the caller"
    with open_instance(home) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.CANCELED
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0
        assert instance.get_materialized_partitions(dg.AssetKey("audio")) == {"talk.mp4"}


def test_the_command_does_not_take_back_what_a_running_service_allows(home):
    with open_instance(home) as instance:
        limit_models(instance, SERVED)
        limit_models(instance, 1, raise_only=True)
        assert instance.event_log_storage.get_concurrency_info("gpu").slot_count == SERVED


@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_an_instance_with_a_database_that_is_none_is_refused_with_the_way_out(home, name):
    file = home / "dagster" / name
    file.parent.mkdir(parents=True)
    file.write_text("this is no database")
    with pytest.raises(DiskError, match=f"{name} is damaged") as refused:
        open_instance(home)
    assert refused.value.hint.startswith("Move it away")


@pytest.mark.parametrize("text", ["storage: [x", "no_such_section: true", "\x00\x01", "just words"])
def test_a_configuration_that_can_t_be_used_is_named(home, text):
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"Dagster can't use .*dagster\.yaml \(") as refused:
        open_instance(home)
    assert refused.value.hint.startswith("Correct it, or delete it")
