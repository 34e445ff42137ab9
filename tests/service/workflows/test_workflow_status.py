"""The status of a workflow, from runs as Dagster reports them."""

import time

from yivideo_pipeline.ledger.workers import AtWork
from yivideo_pipeline.service.workflows.runs import WORKFLOW_TAG, RunFailure, RunStep, WorkflowRun
from yivideo_pipeline.service.workflows.status import describe, state_of
from yivideo_pipeline.stages import PARTITION_TAG
from yivideo_pipeline.storage.artifacts import Storage


def test_a_failed_run_is_final_only_once_dagster_has_said_so():
    def run(status, ended_s_ago, **tags):
        at = time.time() - ended_s_ago
        return WorkflowRun(
            "run", status, None, tags, ("video",), at, at, at, failure=RunFailure(None, "system", "", "")
        )

    assert state_of([run("FAILURE", 0)]) == "running"
    assert state_of([run("FAILURE", 60)]) == "failed"
    assert state_of([run("FAILURE", 0, **{"dagster/will_retry": "true"})]) == "retrying"
    assert state_of([run("FAILURE", 0, **{"dagster/will_retry": "false"})]) == "failed"
    assert state_of([run("FAILURE", 9, **{"dagster/will_retry": "true"}), run("QUEUED", 0)]) == "queued"


def test_the_progress_of_a_workflow_grows_inside_a_stage(home):
    steps = (
        RunStep("video", "SUCCESS", 1, 1.0, 2.0, None),
        RunStep("audio", "IN_PROGRESS", 1, 2.0, None, None),
    )
    asked = ("video", "audio")
    run = WorkflowRun(
        "run", "STARTED", None, {WORKFLOW_TAG: "w", PARTITION_TAG: "a"}, asked, 0.0, 1.0, None, steps
    )
    storage = Storage(home / "artifacts")

    def progress(at_work=None):
        status = describe([run], storage, "http://127.0.0.1:3000", at_work)
        return status.progress, [stage.progress for stage in status.stages]

    def at_work(fraction, run_id="run"):
        return AtWork(
            key="a", worker="w", stage="audio", run_id=run_id, root_id=run_id, since=2.0, fraction=fraction
        )

    assert progress() == (0.5, [1.0, 0.0])
    assert progress(at_work(0.5)) == (0.75, [1.0, 0.5])
    assert progress(at_work(None)) == (0.5, [1.0, 0.0])
    assert progress(at_work(0.5, run_id="of somebody else")) == (0.5, [1.0, 0.0])
