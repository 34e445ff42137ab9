"""What would grow for ever is removed after its time, and nothing else."""

import os
import time

import dagster as dg
import pytest

from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.sensors.clean_up import remove_run_logs, remove_sound
from yivideo_pipeline.defs.ticks import Tick
from yivideo_pipeline.ledger.samples import RunOrigin
from yivideo_pipeline.settings.sections import RetentionSettings
from yivideo_pipeline.stages import STAGES

DAY_S = 86_400


@pytest.fixture
def tick(pipeline) -> Tick:
    kept = RetentionSettings(run_logs_days=30, sound_days=30)
    settings = pipeline.settings.model_copy(update={"retention": kept})
    return Tick(settings, pipeline.resources["ledger"], is_dry=False)


@dg.asset
def made() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"words": 3})


def test_the_log_of_an_old_run_is_removed_and_what_it_made_stays(tick, home):
    with open_instance(home) as instance:
        old, new = (dg.materialize([made], instance=instance).run_id for _ in range(2))
        runs, printed = home / "dagster" / "history" / "runs", home / "dagster" / "storage" / old
        (printed / "compute_logs").mkdir(parents=True)
        long_ago = time.time() - 31 * DAY_S
        for path in (runs / f"{old}.db", printed):
            os.utime(path, (long_ago, long_ago))
        assert remove_run_logs(tick, time.time()) == 1
        assert not printed.exists()
        assert [file.name for file in runs.glob("*-*-*-*-*.db")] == [f"{new}.db"]
        assert {run.run_id for run in instance.get_runs()} == {old, new}
        events = instance.fetch_materializations(dg.AssetKey("made"), limit=5).records
        assert [event.run_id for event in events] == [new, old]
        assert remove_run_logs(tick, time.time()) == 0


def test_old_sound_is_removed_once_and_made_again_where_it_is_needed(tick, pipeline):
    pipeline.add("talk.mp4")
    storage = pipeline.resources["storage"]
    assert pipeline.run().failure is None
    assert remove_sound(tick, storage, time.time()) == 0, "it is new"
    later = time.time() + 31 * DAY_S
    workers = tick.ledger.workers
    workers.begin("talk.mp4", "transcript", RunOrigin("a-run", "a-run"))
    assert remove_sound(tick, storage, later) == 0, "somebody reads it"
    workers.end("talk.mp4")
    assert remove_sound(tick, storage, later) == 1
    left = {stage for stage in STAGES if storage.find_latest("talk.mp4", stage)}
    assert left == {*STAGES} - {"audio"}
    assert remove_sound(tick, storage, later) == 0
    again = pipeline.run()
    assert again.failure is None
    assert storage.find_latest("talk.mp4", "audio")
    assert pipeline.metadata("transcript")["reused"].value is True
