"""A run that waits for the model: it leaves the processor to the run at work, and begins soon after it."""

import os
import signal
from threading import Timer

import dagster as dg
import pytest
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.stages import TRIGGER_TAG

MODEL = "model"
HELD_FOR_S = 1.5


@dg.op(pool=MODEL)
def uses_the_model() -> None: ...


@dg.job
def waits() -> None:
    uses_the_model()


def test_a_run_that_waits_for_a_slot_asks_now_and_then(home, url, monkeypatch):
    asked = []
    claim = InstanceConcurrencyContext.claim

    def counted(self, *arguments, **named):
        asked.append(claim(self, *arguments, **named))
        return asked[-1]

    monkeypatch.setattr(InstanceConcurrencyContext, "claim", counted)
    with open_instance(home, url) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots(MODEL, 1)
        assert storage.claim_concurrency_slot(MODEL, "another run", "its step").is_claimed
        freeing = Timer(HELD_FOR_S, storage.free_concurrency_slot_for_step, ("another run", "its step"))
        freeing.start()
        assert waits.execute_in_process(instance=instance).success
        freeing.join()
    assert asked[-1] is True
    assert 1 < len(asked) < 100, "Dagster by itself asks tens of thousands of times"


@pytest.mark.parametrize("trigger", ["ui", "cli"])
def test_a_run_that_is_cancelled_while_it_waits_ends_and_gives_up_its_place(home, trigger):
    """By Dagster, which changes its state and sends a signal; or by Ctrl-C, a signal alone."""
    with open_instance(home) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots(MODEL, 1)
        storage.claim_concurrency_slot(MODEL, "another run", "its step")

        def cancel() -> None:
            if trigger != "cli":
                instance.report_run_canceling(instance.get_runs()[0])
            os.kill(os.getpid(), signal.SIGINT)

        cancelling = Timer(HELD_FOR_S, cancel)
        cancelling.start()
        with pytest.raises(dg.DagsterExecutionInterruptedError):
            waits.execute_in_process(instance=instance, tags={TRIGGER_TAG: trigger})
        cancelling.join()
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.CANCELED
        places = storage.get_concurrency_info(MODEL)
        assert {place.run_id for place in places.pending_steps} == {"another run"}
