import dagster as dg
import pytest
from make_history import STAGES, log_stage, log_video

from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.history.collect import PAGE, collect
from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.samples import SampleLedger

NOON = 1_795_348_800.0  # 2026-11-22 12:00 UTC


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def ledger(tmp_path):
    return SampleLedger(open_ledger(tmp_path))


def test_an_empty_log_gives_an_empty_history(instance, ledger):
    collect(instance, ledger, STAGES)
    assert ledger.samples()["at"] == []
    assert ledger.runs()["run_id"] == []


def test_every_number_of_a_materialization_is_kept(instance, ledger):
    told = {
        "wall_s": 4.0, "cpu_s": 7.5, "rtfx": 15.0, "rss_peak_mb": 800.5, "gpu_memory_peak_mb": 3100.0,
        "gpu_utilization_mean_pct": 78.0, "duration_s": 60.0, "attempts": 2, "batch_size": 4, "words": 90,
        "low_confidence_words": 3, "reused": False, "model": "large-v2", "compute_type": "float16",
        "device": "cuda", "language": "zh",
    }  # fmt: skip
    warnings = {"warnings": dg.MetadataValue.json(["one", "two"])}
    log_stage(instance, "run", "transcript", "课/一.mp4", NOON, **told, **warnings)
    collect(instance, ledger, STAGES)
    kept = {name: values[0] for name, values in ledger.samples().items()}
    assert {name: kept[name] for name in told} == told
    assert (kept["run_id"], kept["stage"], kept["key"]) == ("run", "transcript", "课/一.mp4")
    assert (kept["at"], kept["success"], kept["warnings"]) == (NOON, 1, "one\ntwo")
    assert kept["score"] is None and kept["kind"] is None


def test_what_is_null_stays_unknown(instance, ledger):
    log_stage(instance, "run", "audio", "a.mp4", NOON, gpu_memory_peak_mb=dg.MetadataValue.null())
    collect(instance, ledger, STAGES)
    assert ledger.samples()["gpu_memory_peak_mb"] == [None]


def test_the_length_of_the_sound_follows_from_the_speed_where_it_is_not_named(instance, ledger):
    log_stage(instance, "run", "alignment", "a.mp4", NOON, wall_s=2.0, rtfx=30.0)
    collect(instance, ledger, STAGES)
    assert ledger.samples()["duration_s"] == [60.0]


def test_what_a_person_reported_by_hand_is_no_work(instance, ledger):
    instance.report_runless_asset_event(dg.AssetMaterialization("audio", partition="a.mp4"))
    log_stage(instance, "run", "audio", "b.mp4", NOON)
    collect(instance, ledger, STAGES)
    assert ledger.samples()["key"] == ["b.mp4"]


@pytest.fixture
def reads(instance, monkeypatch):
    """The videos of the materializations that are read from now on."""
    read, fetch = [], instance.fetch_materializations

    def note(*args, **kwargs):
        page = fetch(*args, **kwargs)
        read.extend(record.partition_key for record in page.records)
        return page

    monkeypatch.setattr(instance, "fetch_materializations", note)
    return read


def test_only_what_is_new_is_read_again(instance, ledger, reads):
    log_video(instance, "a.mp4", NOON)
    log_video(instance, "b.mp4", NOON + 60)
    collect(instance, ledger, STAGES)
    log_video(instance, "c.mp4", NOON + 120)
    reads.clear()
    collect(instance, ledger, STAGES)
    assert sorted(reads) == ["b.mp4"] * 5 + ["c.mp4"] * 5, "the last known one, and the new one"
    assert sorted(ledger.samples()["key"]) == [f"{name}.mp4" for name in "abc" for _ in STAGES]


def test_another_process_goes_on_where_the_last_one_ended(instance, ledger, reads, tmp_path):
    log_video(instance, "a.mp4", NOON)
    collect(instance, ledger, STAGES)
    reads.clear()
    collect(instance, SampleLedger(open_ledger(tmp_path)), STAGES)
    assert reads == ["a.mp4"] * 5
    assert len(ledger.samples()["at"]) == 5


def test_an_instance_on_disk_is_read_on_after_a_restart(ledger, tmp_path):
    with open_instance(tmp_path / "home") as instance:
        log_video(instance, "a.mp4", NOON)
        collect(instance, ledger, STAGES)
    with open_instance(tmp_path / "home") as instance:
        log_video(instance, "b.mp4", NOON + 60)
        collect(instance, ledger, STAGES)
    assert ledger.samples()["key"] == ["a.mp4"] * 5 + ["b.mp4"] * 5


def test_a_deleted_ledger_is_filled_again(instance, ledger, tmp_path):
    log_video(instance, "a.mp4", NOON)
    collect(instance, ledger, STAGES)
    before = ledger.samples()
    for file in tmp_path.glob("library.db*"):
        file.unlink()
    again = SampleLedger(open_ledger(tmp_path))
    collect(instance, again, STAGES)
    assert again.samples() == before


def test_more_than_a_page_is_read_to_its_end(instance, ledger):
    for number in range(PAGE + 3):
        log_stage(instance, f"run {number}", "audio", f"{number}.mp4", NOON + number)
    collect(instance, ledger, ("audio",))
    assert ledger.samples()["key"] == [f"{number}.mp4" for number in range(PAGE + 3)]
    collect(instance, ledger, ("audio",))
    assert len(ledger.samples()["key"]) == PAGE + 3


def test_another_event_log_is_read_from_its_beginning(instance, ledger):
    log_video(instance, "old.mp4", NOON)
    collect(instance, ledger, STAGES)
    with dg.DagsterInstance.ephemeral() as fresh:
        log_video(fresh, "new.mp4", NOON)
        log_video(fresh, "newer.mp4", NOON)
        collect(fresh, ledger, STAGES)
    assert set(ledger.samples()["key"]) == {"new.mp4", "newer.mp4"}


def test_wiped_events_are_no_history_any_more(instance, ledger):
    log_video(instance, "a.mp4", NOON)
    collect(instance, ledger, STAGES)
    instance.wipe_assets([dg.AssetKey(stage) for stage in STAGES])
    collect(instance, ledger, STAGES)
    assert ledger.samples()["key"] == []


def test_samples_can_be_asked_for_from_a_time_on(instance, ledger):
    log_stage(instance, "run 1", "audio", "old.mp4", NOON - 1)
    log_stage(instance, "run 2", "audio", "new.mp4", NOON)
    collect(instance, ledger, STAGES)
    assert ledger.samples(since=NOON)["key"] == ["new.mp4"]
