"""A run that waits for the model: it leaves the processor to the run at work, and begins soon after it."""

from threading import Timer

import dagster as dg
import pytest
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from yivideo_pipeline.defs.instance import open_instance

MODEL = "model"
HELD_FOR_S = 1.5


@dg.op(pool=MODEL)
def uses_the_model() -> None: ...


@dg.job
def waits() -> None:
    uses_the_model()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue("postgres").make_database() if request.param == "postgres" else None


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
