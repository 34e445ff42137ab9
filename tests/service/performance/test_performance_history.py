"""The history as tables, and the test of the trend, without a service around them."""

from itertools import combinations

import dagster as dg
import numpy as np
import pytest

from tests.make_history import log_video, record_stage, record_video
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.history.samples import failed_sample
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger import samples as service_samples
from yivideo_pipeline.ledger.operation_queries import Window
from yivideo_pipeline.ledger.samples import RequestSample, RunOrigin
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.performance.history import History, Tables
from yivideo_pipeline.service.performance.insights import (
    Situation,
    compare,
    failures_of,
    health_of,
    recommend,
)
from yivideo_pipeline.service.performance.summary import series_of, summarize
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.stages import STAGES

NOON = 1_795_348_800.0
ALWAYS = Window(0.0, 1e11)


@pytest.fixture
def ledger(home):
    return open_ledger(home)


@pytest.fixture
def instance(home):
    with open_instance(home) as instance:
        yield instance


@pytest.fixture
def seen():
    return []


@pytest.fixture
def history(home, ledger, seen):
    history = History(home, lambda: ledger, lambda new: seen.extend(new["stage"]))
    yield history
    history.close()


def operations(history, name=None, window=ALWAYS) -> list[dict]:
    with history.tables() as tables:
        return tables.operations(name, window).to_dict("records")


def test_each_sample_is_read_once(history, ledger, seen):
    record_video(ledger, "a.mp4", NOON)
    assert [one["key"] for one in operations(history)] == ["a.mp4"]
    assert seen == [*STAGES]
    record_video(ledger, "b.mp4", NOON + 60)
    assert [one["key"] for one in operations(history)] == ["a.mp4", "b.mp4"]
    operations(history)
    assert seen == [*STAGES] * 2


def test_another_process_may_have_cleared_it(history, ledger):
    record_video(ledger, "a.mp4", NOON)
    operations(history)
    ledger.samples.clear(NOON)
    assert operations(history) == []
    record_video(ledger, "b.mp4", NOON + 60)
    assert [one["key"] for one in operations(history)] == ["b.mp4"]


def test_what_dagster_forgets_stays(history, instance, ledger):
    log_video(instance, "a.mp4", NOON)
    record_video(ledger, "a.mp4", NOON)
    instance.wipe_assets([dg.AssetKey(stage) for stage in STAGES])
    assert [one["key"] for one in operations(history)] == ["a.mp4"]


def test_work_under_way_is_no_operation_yet_but_its_stages_are(history, ledger):
    for stage in ("video", "audio", "transcript"):
        record_stage(ledger, "run", stage, "a.mp4", NOON)
    assert operations(history) == []
    assert operations(history, "whisperx.generate_subtitles") == []
    assert len(operations(history, "transcript")) == 1


def test_an_operation_belongs_to_the_window_in_which_it_ended_and_is_whole_there(history, ledger):
    run_id = record_video(ledger, "a.mp4", NOON, wall_s=10.0)
    last = Window(NOON - 0.5, NOON + 60)
    [work] = operations(history, window=last)
    assert (work["duration_s"], work["retries"]) == (10.0, 0)
    assert operations(history, window=Window(NOON - 60, NOON - 0.5)) == []
    ledger.samples.record(failed_sample(RunOrigin(run_id, run_id), "subtitles", "a.mp4", NOON + 90, {}))
    assert operations(history, window=last) == [], "a check has refused it later"
    [work] = operations(history, window=Window(NOON + 60, NOON + 120))
    assert not work["success"]


def test_runs_launched_again_are_one_operation_with_a_retry(history, ledger):
    for run, stages in (("first", ("video", "audio")), ("second", ("transcript", "alignment", "subtitles"))):
        origin = RunOrigin(run, "first", "process_video")
        for stage in stages:
            record_stage(ledger, origin, stage, "a.mp4", NOON, duration_s=60.0, wall_s=2.0)
    [work] = operations(history)
    assert (work["duration_s"], work["audio_s"], work["retries"]) == (10.0, 60.0, 1)


def test_reused_results_have_no_speed(history, ledger):
    for stage in STAGES:
        record_stage(ledger, "run", stage, "a.mp4", NOON, duration_s=60.0, reused=stage == "transcript")
    [work] = operations(history)
    assert work["success"] and np.isnan(work["audio_s"])


def test_reused_results_have_no_cost_and_no_duration(history, ledger):
    for stage in STAGES:
        figures = {"wall_s": 3.0, "cpu_s": 6.0, "rss_peak_mb": 500.0, "duration_s": 60.0}
        record_stage(ledger, "first", stage, "a.mp4", NOON, **figures)
        record_stage(ledger, "again", stage, "a.mp4", NOON + 60, **figures, reused=True)
    made, found = operations(history)
    assert (made["duration_s"], made["memory_mb"], made["cpu_pct"]) == (15.0, 500.0, 200.0)
    assert found["success"]
    assert np.isnan([found[name] for name in ("duration_s", "audio_s", "memory_mb", "cpu_pct")]).all()
    made, found = operations(history, "transcript")
    assert (made["duration_s"], made["memory_mb"]) == (3.0, 500.0)
    assert np.isnan([found[name] for name in ("duration_s", "audio_s", "memory_mb", "cpu_pct")]).all()


def test_files_that_can_not_be_used_are_counted_apart(history, ledger):
    record_video(ledger, "a.mp4", NOON)
    run = RunOrigin("second", "second")
    for kind, names in (("media_unreadable", "bcd"), ("memory", "e")):
        failure = {"kind": kind, "message": "It fails", "hint": "Mend it", "attempts": 1}
        ledger.samples.record(*(failed_sample(run, "video", f"{name}.mp4", NOON, failure) for name in names))
    window = Window(0.0, NOON + 60)
    with history.tables() as tables:
        summary = summarize(tables, None, window, None, 0)
        series = series_of(tables.operations(None, ALWAYS), [], Window(NOON - 60, NOON + 60))
        chosen = tables.operations(None, window)
    assert (summary.count, summary.succeeded, summary.failed, summary.unusable) == (5, 1, 1, 3)
    assert summary.success_rate == 0.5
    assert (sum(series.failed), sum(series.unusable)) == (1, 3)
    assert max(rate for rate in series.success_rate if rate is not None) == 0.5
    causes = {cause.kind: cause.is_unusable for cause in failures_of(chosen)}
    assert causes == {"media_unreadable": True, "memory": False}
    assert health_of(summary, [], None) == ("good", [])
    advice = list(recommend(Situation(summary, chosen, SpeechOptions(), None, {}, [])))
    assert [one.name for one in advice] == ["save_memory"], "none for the files"


def test_a_rendering_costs_what_was_made_in_it(history, ledger):
    for stage in STAGES:
        record_stage(ledger, "run", stage, "a.mp4", NOON, wall_s=3.0, reused=stage != "subtitles")
    [work] = operations(history)
    assert work["duration_s"] == 3.0
    assert np.isnan(work["audio_s"])


def test_a_history_that_is_being_read_for_long_is_not_waited_for(history):
    with history.tables(), pytest.raises(Refused) as refused, history.tables(0.01):
        pass
    assert refused.value.status == 503


def test_requests_are_kept_up_to_a_bound(ledger, monkeypatch):
    monkeypatch.setattr(service_samples, "KEPT", 3)
    for number in range(5):
        ledger.requests.add(RequestSample("api.asr", NOON + number, True, 1.0))
    assert [one.id for one in ledger.requests.added()] == [3, 4, 5]
    assert [one.id for one in ledger.requests.added(4)] == [5]
    assert ledger.requests.clear(NOON + 4) == 3
    ledger.requests.add(RequestSample("api.asr", NOON, True, 1.0))
    assert [one.id for one in ledger.requests.added(5)] == [6], "no number is given twice"


def test_what_ended_before_the_clearing_is_forgotten_for_good(history, instance, ledger):
    log_video(instance, "a.mp4", NOON)
    record_video(ledger, "a.mp4", NOON)
    ledger.requests.add(RequestSample("api.asr", NOON, True, 1.0))
    ledger.requests.add(RequestSample("api.asr", NOON + 2, True, 1.0))
    assert history.clear(NOON + 1) == 6
    assert [one.at for one in ledger.requests.added()] == [NOON + 2]
    record_video(ledger, "b.mp4", NOON + 60)
    assert [one["operation"] for one in operations(history)] == ["api.asr", "process_video"]
    assert set(ledger.samples.samples()["key"]) == {"b.mp4"}


def test_nothing_is_forgotten_that_could_not_be_kept_elsewhere(history, ledger):
    def fail(_tables: Tables) -> None:
        raise OSError("No space left on device")

    record_video(ledger, "a.mp4", NOON)
    with pytest.raises(OSError, match="No space"):
        history.clear(NOON + 1, fail)
    assert [one["key"] for one in operations(history)] == ["a.mp4"]


def test_the_p_value_is_close_to_the_exact_one():
    earlier = np.array([1.2, 2.5, 3.1, 3.9, 4.4, 5.0, 6.2, 7.7])
    later = np.array([2.9, 4.1, 5.3, 6.6, 7.1, 8.3, 9.0, 9.6])
    test = compare(earlier, later)
    assert test.u == sum((b > a) + 0.5 * (b == a) for a in earlier for b in later)
    ranks = np.argsort(np.argsort(np.concatenate([later, earlier]))) + 1
    distance = abs(ranks[:8].sum() - 68)
    sums = np.array([sum(chosen) for chosen in combinations(range(1, 17), 8)])
    exact = (abs(sums - 68) >= distance).mean()
    assert test.p_value == pytest.approx(exact, abs=0.003)


def test_equal_values_are_no_trend_and_few_values_are_not_tested():
    same = np.full(20, 3.0)
    assert compare(same, same).p_value == 1.0
    assert compare(same, same[:7]) is None
