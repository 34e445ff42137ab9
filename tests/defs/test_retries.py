"""Retries in a run of one video: what the UI and the metadata say of them."""

import dagster as dg

from tests import fake_speech
from yivideo_pipeline.errors.tree import DeviceLost, MemoryExhausted, ServiceUnreachable

RETRY_TAG = "dagster/retry_on_asset_or_op_failure"


def allow_run_retries(pipeline, retries: int) -> None:
    pipeline.instance._settings["run_retries"] = {"enabled": True, "max_retries": retries}


def test_a_materialization_says_what_failed_before_it(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full"), ServiceUnreachable("No answer")]
    assert pipeline.run().success
    metadata = pipeline.metadata("transcript")
    assert metadata["attempts"].value == 3
    attempts = [record.data for record in metadata["earlier_attempts"].records]
    assert [(one["attempt"], one["kind"], one["message"]) for one in attempts] == [
        (1, "memory", "The GPU is full"),
        (2, "service", "No answer"),
    ]
    assert all(one["waited_s"] >= 0 for one in attempts)


def test_the_next_run_knows_nothing_of_them(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full")]
    pipeline.run()
    pipeline.run()
    assert pipeline.metadata("transcript")["attempts"].value == 1
    assert "earlier_attempts" not in pipeline.metadata("transcript")


def test_the_event_of_a_retry_says_why_in_words(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full")]
    done = pipeline.run()
    (event,) = pipeline.instance.all_logs(done.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
    error = event.dagster_event.step_retry_data.error
    assert "Attempt 1 of 3 failed: The GPU is full" in error.message
    assert "The GPU is full" in error.cause.message


def test_a_lost_gpu_is_not_tried_again_in_the_same_process(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [DeviceLost("The GPU fell off the bus")]
    done = pipeline.run()
    assert done.failure.kind == "device_lost"
    assert pipeline.speech.loads == 1
    assert RETRY_TAG not in pipeline.instance.get_run_by_id(done.run_id).tags, "the command waits: no retry"


def test_a_blocking_check_fails_the_run_with_words_that_help(pipeline, monkeypatch):
    pipeline.add("talk.mp4")
    monkeypatch.setattr(
        fake_speech, "shift_word", lambda word: word.model_copy(update={"start_s": 900.0, "end_s": 901.0})
    )
    done = pipeline.run()
    assert (done.failure.stage, done.failure.kind) == ("alignment", "check_failed")
    assert "words_are_timed_and_in_order" in done.failure.message
    assert pipeline.metadata("alignment")["failed_checks"].value >= 1, "what was made can be looked at"
    assert not done.files
    assert pipeline.resources["ledger"].failures.last("talk.mp4").kind == "check_failed"
