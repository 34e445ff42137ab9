import dagster as dg

from tests.make_history import record_stage
from yivideo_pipeline.history.samples import failed_sample, made_sample
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.samples import RunOrigin

RUN = RunOrigin("run", "root")
NOON = 1_795_348_800.0


def test_what_is_null_stays_unknown():
    metadata = {"wall_s": 1.0, "gpu_memory_peak_mb": dg.MetadataValue.null()}
    assert made_sample(RUN, "audio", "a.mp4", NOON, metadata).gpu_memory_peak_mb is None


def test_the_length_of_the_sound_follows_from_the_speed_where_it_is_not_named():
    metadata = {"wall_s": 2.0, "rtfx": 30.0}
    assert made_sample(RUN, "alignment", "a.mp4", NOON, metadata).duration_s == 60.0


def test_warnings_are_lines():
    metadata = {"wall_s": 2.0, "warnings": dg.MetadataValue.json(["one", "two"])}
    assert made_sample(RUN, "audio", "a.mp4", NOON, metadata).warnings == "one\ntwo"


def test_a_failure_without_a_kind_is_unknown():
    sample = failed_sample(RUN, "audio", "a.mp4", NOON, {"message": "It failed"})
    assert (sample.success, sample.kind, sample.message) == (False, "unknown", "It failed")


def test_samples_can_be_read_from_a_time_on(tmp_path):
    ledger = open_ledger(tmp_path)
    record_stage(ledger, "run 1", "audio", "old.mp4", NOON - 1)
    record_stage(ledger, "run 2", "audio", "new.mp4", NOON)
    assert ledger.samples.samples(since=NOON)["key"] == ["new.mp4"]


def test_a_ledger_that_is_opened_again_has_its_samples(tmp_path):
    record_stage(open_ledger(tmp_path), "run", "audio", "a.mp4", NOON)
    assert open_ledger(tmp_path).samples.samples()["key"] == ["a.mp4"]


def test_a_stage_that_ends_twice_in_a_run_has_one_sample(tmp_path):
    ledger = open_ledger(tmp_path)
    for at in (NOON, NOON + 1):
        record_stage(ledger, "run", "audio", "a.mp4", at)
    assert ledger.samples.samples()["at"] == [NOON]
