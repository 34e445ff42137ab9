import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from conftest import SAMPLE
from dagster._core.definitions.job_base import InMemoryJob

from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.instance import close_abandoned_runs, open_instance
from yivideo_pipeline.defs.processing import Processor
from yivideo_pipeline.defs.stages import JOB, LOCATION

TESTS = Path(__file__).resolve().parents[1]
WORK = """
import sys, time
from pathlib import Path
from uuid import uuid4
from shutil import copyfile
sys.path.insert(0, sys.argv[1])
from fakes import FakeEngine, FakeSpeech
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.processing import Processor
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


def test_a_run_belongs_to_the_job_that_the_ui_shows(bench, home):
    bench.add("talk.mp4")
    with open_instance(home) as instance:
        done = Processor(instance, bench.resources).process("talk.mp4")
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
        job = build_definitions(bench.resources).get_repository_def().get_job(JOB)
        assert run.job_snapshot_id == InMemoryJob(job).get_definition().get_job_snapshot_id()


def test_a_killed_process_leaves_no_run_open_and_no_place_taken(working, home):
    with open_instance(home) as instance:
        assert close_abandoned_runs(instance) == [], "it is alive"
        (run,) = instance.get_runs()
        again = launch_again(instance, run)
        working.kill()
        working.wait()
        assert close_abandoned_runs(instance) == [run.run_id]
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(again.run_id).status == dg.DagsterRunStatus.STARTED
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0


def launch_again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    """As the UI does it: the tags are the parent's, the worker is another."""
    return instance.add_run(
        dg.DagsterRun(
            job_name=JOB,
            run_id=str(uuid4()),
            status=dg.DagsterRunStatus.STARTED,
            tags={**run.tags, "dagster/parent_run_id": run.run_id},
            parent_run_id=run.run_id,
            root_run_id=run.run_id,
        )
    )


def test_an_interrupted_run_is_closed_and_its_place_is_free(working, home):
    working.send_signal(signal.SIGINT)
    working.wait(60)
    assert working.returncode != 0, "the interruption arrives at the caller"
    with open_instance(home) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.CANCELED
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0
        assert instance.get_materialized_partitions(dg.AssetKey("audio")) == {"talk.mp4"}
