"""Work whose end no stage recorded is a failure of its video all the same."""

from uuid import uuid4

import dagster as dg
import pytest

from tests.make_history import record_stage
from yivideo_pipeline.history.lost_work import record_lost_work
from yivideo_pipeline.history.samples import failed_sample, read_origin
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.stages import JOB

NOON = 1_795_348_800.0


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path)


def fail(instance: dg.DagsterInstance, **tags: str) -> str:
    """Have a run fail without a step; return its id."""
    run = dg.DagsterRun(JOB, run_id=str(uuid4()), tags={"dagster/partition": "a.mp4", **tags})
    instance.add_run(run)
    instance.report_run_failed(run, "The process that ran it is gone")
    return run.run_id


def failures(ledger) -> list[tuple]:
    samples = ledger.samples.samples()
    return list(zip(*(samples[name] for name in ("run_id", "stage", "key", "kind")), strict=True))


def test_a_run_that_failed_without_a_stage_is_recorded_once(instance, ledger):
    run_id = fail(instance)
    record_lost_work(ledger, instance)
    record_lost_work(ledger, instance)
    assert failures(ledger) == [(run_id, "", "a.mp4", "worker")]


def test_a_run_whose_stage_recorded_its_failure_is_not_recorded_again(instance, ledger):
    run_id = fail(instance)
    origin = read_origin(instance, run_id)
    ledger.samples.record(failed_sample(origin, "audio", "a.mp4", NOON, {"kind": "memory"}))
    record_lost_work(ledger, instance)
    assert failures(ledger) == [(run_id, "audio", "a.mp4", "memory")]


def test_a_run_that_was_lost_after_a_stage_is_recorded(instance, ledger):
    run_id = fail(instance)
    record_stage(ledger, read_origin(instance, run_id), "audio", "a.mp4", NOON)
    record_lost_work(ledger, instance)
    assert failures(ledger)[-1] == (run_id, "", "a.mp4", "worker")


def test_a_step_that_failed_outside_of_its_stage_says_why(instance, ledger):
    @dg.op
    def audio() -> None:
        raise ValueError("there is no input")

    @dg.job
    def broken() -> None:
        audio()

    done = broken.execute_in_process(
        instance=instance, raise_on_error=False, tags={"dagster/partition": "a.mp4"}
    )
    record_lost_work(ledger, instance)
    assert failures(ledger) == [(done.run_id, "audio", "a.mp4", "unknown")]
    assert "Error occurred while executing op" in ledger.samples.samples()["message"][0]


def test_what_was_cleared_does_not_come_back(instance, ledger):
    fail(instance)
    record_lost_work(ledger, instance)
    assert ledger.samples.clear(2e9) == 1
    record_lost_work(ledger, instance)
    assert failures(ledger) == []


def test_runs_of_several_videos_say_themselves_what_failed(instance, ledger):
    run = dg.DagsterRun(JOB, run_id=str(uuid4()))
    instance.add_run(run)
    instance.report_run_failed(run, "2 of 5 videos failed")
    record_lost_work(ledger, instance)
    assert failures(ledger) == []
