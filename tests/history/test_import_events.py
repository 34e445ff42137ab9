"""What the first schema version had not copied from Dagster's event log is imported once."""

import json
import time
from uuid import uuid4

import dagster as dg
import pytest

from tests.make_history import log_stage, log_video, record_video
from yivideo_pipeline.history.import_events import FLAG, PAGE, import_events
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.stages import JOB, STAGES

NOON = 1_795_348_800.0  # 2026-11-22 12:00 UTC


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def ledger(tmp_path):
    """A ledger that was just migrated from a version that had copied nothing."""
    ledger = open_ledger(tmp_path)
    migrate(ledger)
    return ledger


def migrate(ledger, **places: str) -> None:
    ledger.flags.replace(FLAG, json.dumps({name.replace("_", " "): value for name, value in places.items()}))


def test_an_empty_log_gives_an_empty_history(instance, ledger):
    import_events(instance, ledger)
    assert ledger.samples.samples()["at"] == []
    assert ledger.flags.get(FLAG) is None


def test_every_number_of_a_materialization_is_kept(instance, ledger):
    metadata = {
        "wall_s": 4.0, "cpu_s": 7.5, "rtfx": 15.0, "rss_peak_mb": 800.5, "gpu_memory_peak_mb": 3100.0,
        "gpu_utilization_mean_pct": 78.0, "duration_s": 60.0, "attempts": 2, "batch_size": 4, "words": 90,
        "low_confidence_words": 3, "reused": False, "model": "large-v2", "compute_type": "float16",
        "device": "cuda", "language": "zh",
    }  # fmt: skip
    warnings = {"warnings": dg.MetadataValue.json(["one", "two"])}
    log_stage(instance, "run", "transcript", "课/一.mp4", NOON, **metadata, **warnings)
    import_events(instance, ledger)
    kept = {name: values[0] for name, values in ledger.samples.samples().items()}
    assert {name: kept[name] for name in metadata} == metadata
    assert (kept["run_id"], kept["stage"], kept["key"]) == ("run", "transcript", "课/一.mp4")
    assert (kept["at"], kept["success"], kept["warnings"]) == (NOON, 1, "one\ntwo")
    assert kept["score"] is None and kept["kind"] is None


def test_what_a_user_reported_by_hand_is_no_work(instance, ledger):
    instance.report_runless_asset_event(dg.AssetMaterialization("audio", partition="a.mp4"))
    log_stage(instance, "run", "audio", "b.mp4", NOON)
    import_events(instance, ledger)
    assert ledger.samples.samples()["key"] == ["b.mp4"]


def test_the_failure_of_one_video_among_others_is_kept(instance, ledger):
    metadata = {"kind": "memory", "message": "Memory ran out", "hint": "Lower the batch", "attempts": 3}
    seen = dg.AssetObservation("transcript", partition="a.mp4", metadata=metadata)
    instance.report_runless_asset_event(seen)
    migrate(ledger)
    import_events(instance, ledger)
    kept = {name: values[0] for name, values in ledger.samples.samples().items()}
    assert {name: kept[name] for name in metadata} == metadata
    assert (kept["stage"], kept["key"], kept["success"]) == ("transcript", "a.mp4", 0)


def test_a_sample_says_what_is_known_of_its_run(instance, ledger):
    root = str(uuid4())
    tags = {"yivideo/trigger": "sensor", "yivideo/model": "small", "dagster/backfill": "b1"}
    again = dg.DagsterRun(JOB, run_id=str(uuid4()), root_run_id=root, parent_run_id=root, tags=tags)
    instance.add_run(dg.DagsterRun(JOB, run_id=root))
    instance.add_run(again)
    log_stage(instance, again.run_id, "audio", "a.mp4", NOON)
    import_events(instance, ledger)
    kept = {name: values[0] for name, values in ledger.samples.samples().items()}
    assert (kept["run_id"], kept["root_id"], kept["job"]) == (again.run_id, root, JOB)
    assert (kept["trigger"], kept["run_model"], kept["backfill_id"]) == ("sensor", "small", "b1")


def test_only_what_was_not_copied_before_is_read(instance, ledger, monkeypatch):
    log_video(instance, "a.mp4", NOON)
    last = {
        f"materializations of {stage}": f"{record.storage_id} {record.run_id} {record.timestamp}"
        for stage in STAGES
        for record in instance.fetch_materializations(dg.AssetKey(stage), limit=1).records
    }
    migrate(ledger, **last)
    log_video(instance, "b.mp4", NOON + 60)
    import_events(instance, ledger)
    assert ledger.samples.samples()["key"] == ["b.mp4"] * 5


def test_it_is_done_once(instance, ledger, tmp_path):
    log_video(instance, "a.mp4", NOON)
    import_events(instance, ledger)
    log_video(instance, "b.mp4", NOON + 60)
    import_events(instance, ledger)
    import_events(instance, open_ledger(tmp_path))
    assert ledger.samples.samples()["key"] == ["a.mp4"] * 5


def test_what_happened_since_the_migration_has_recorded_itself(instance, ledger):
    log_video(instance, "a.mp4", time.time() + 60)
    import_events(instance, ledger)
    assert ledger.samples.samples()["key"] == []


def test_what_the_user_had_forgotten_does_not_come_back(instance, ledger):
    migrate(ledger, cleared=repr(NOON + 1))
    log_video(instance, "a.mp4", NOON)
    log_video(instance, "b.mp4", NOON + 60)
    import_events(instance, ledger)
    assert ledger.samples.samples()["key"] == ["b.mp4"] * 5


def test_samples_that_are_there_stay_as_they_are(instance, ledger):
    record_video(ledger, "a.mp4", NOON - 60)
    log_video(instance, "b.mp4", NOON)
    import_events(instance, ledger)
    assert ledger.samples.samples()["key"] == ["a.mp4"] * 5 + ["b.mp4"] * 5


def test_more_than_a_page_is_read_to_its_end(instance, ledger):
    for number in range(PAGE + 3):
        log_stage(instance, f"run {number}", "audio", f"{number}.mp4", NOON + number)
    import_events(instance, ledger)
    assert ledger.samples.samples()["key"] == [f"{number}.mp4" for number in range(PAGE + 3)]


def test_an_import_that_was_ended_begins_anew_and_keeps_nothing_twice(instance, ledger):
    for number in range(3):
        log_video(instance, f"{number}.mp4", NOON)

    class Ended(Exception):
        pass

    def end() -> None:
        if len(ledger.samples.samples()["at"]) == 6:
            raise Ended

    with pytest.raises(Ended):
        import_events(instance, ledger, end)
    assert len(ledger.samples.samples()["at"]) == 6, "two stages are read"
    import_events(instance, ledger)
    assert len(ledger.samples.samples()["at"]) == 15
