"""The history in memory, and the test of the trend, without a service around them."""

from itertools import combinations

import dagster as dg
import numpy as np
import pytest
from yivideo_pipeline.history.collect import collect

from tests.make_history import STAGES, log_stage, log_video
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger import samples as requests_module
from yivideo_pipeline.ledger.samples import RunEntry
from yivideo_pipeline.ledger.service_samples import RequestSample
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.performance.history import History
from yivideo_pipeline.service.performance.insights import compare

NOON = 1_795_348_800.0


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
    history = History(home, lambda: ledger, lambda new: seen.extend(new["key"]))
    yield history
    history.close()


def operations(history, name=None) -> list[dict]:
    with history.tables() as tables:
        return tables.operations(name).to_dict("records")


def test_each_sample_is_read_once(history, instance, seen):
    log_video(instance, "a.mp4", NOON)
    assert [one["key"] for one in operations(history)] == ["a.mp4"]
    assert seen == ["a.mp4"] * 5
    log_video(instance, "b.mp4", NOON + 60)
    assert [one["key"] for one in operations(history)] == ["a.mp4", "b.mp4"]
    operations(history)
    assert seen == ["a.mp4"] * 5 + ["b.mp4"] * 5


def test_another_process_may_have_read_it_first(history, instance, ledger):
    operations(history)
    log_video(instance, "a.mp4", NOON)
    collect(instance, ledger.samples, STAGES)
    assert [one["key"] for one in operations(history)] == ["a.mp4"]


def test_a_log_that_was_wiped_leaves_nothing_of_the_old_one(history, instance, ledger):
    log_video(instance, "a.mp4", NOON)
    operations(history)
    ledger.samples.forget()
    with dg.DagsterInstance.ephemeral() as other:
        log_video(other, "b.mp4", NOON)
        collect(other, ledger.samples, STAGES)
        history._instance = other
        assert [one["key"] for one in operations(history)] == ["b.mp4"]
        history._instance = instance


def test_work_under_way_is_no_operation_yet_but_its_stages_are(history, instance):
    for stage in ("video", "audio", "transcript"):
        log_stage(instance, "run", stage, "a.mp4", NOON)
    assert operations(history) == []
    assert operations(history, "whisperx.generate_subtitles") == []
    assert len(operations(history, "transcript")) == 1


def test_runs_launched_again_are_one_operation_with_a_retry(history, instance, ledger):
    for run, stages in (("first", ("video", "audio")), ("second", ("transcript", "alignment", "subtitles"))):
        ledger.samples.add_runs([RunEntry(run, "first", "process_video", "SUCCESS", NOON)], [])
        for stage in stages:
            log_stage(instance, run, stage, "a.mp4", NOON, duration_s=60.0, wall_s=2.0)
    [work] = operations(history)
    assert (work["duration_s"], work["audio_s"], work["retries"]) == (10.0, 60.0, 1)


def test_nothing_is_said_of_the_speed_of_what_was_reused(history, instance):
    for stage in STAGES:
        log_stage(instance, "run", stage, "a.mp4", NOON, duration_s=60.0, reused=stage == "transcript")
    [work] = operations(history)
    assert work["success"] and np.isnan(work["audio_s"])


def test_a_history_that_is_being_read_for_long_is_not_waited_for(history):
    with history.tables(), pytest.raises(Refused) as refused, history.tables(0.01):
        pass
    assert refused.value.status == 503


def test_requests_are_kept_up_to_a_bound(ledger, monkeypatch):
    monkeypatch.setattr(requests_module, "KEPT", 3)
    for number in range(5):
        ledger.requests.add(RequestSample("api.asr", NOON + number, True, 1.0))
    assert [number for number, _ in ledger.requests.added()] == [3, 4, 5]
    assert [number for number, _ in ledger.requests.added(4)] == [5]
    assert ledger.requests.clear() == 3
    ledger.requests.add(RequestSample("api.asr", NOON, True, 1.0))
    assert [number for number, _ in ledger.requests.added(5)] == [6], "no number is given twice"


def test_what_ended_before_the_clearing_is_not_kept_again(instance, ledger):
    log_video(instance, "a.mp4", NOON)
    collect(instance, ledger.samples, STAGES)
    assert ledger.samples.clear(NOON + 1) == 5
    ledger.samples.forget()  # as when Dagster's log is another one
    log_video(instance, "b.mp4", NOON + 60)
    collect(instance, ledger.samples, STAGES)
    assert set(ledger.samples.samples()["key"]) == {"b.mp4"}


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


def test_equal_values_are_no_trend_and_few_say_nothing():
    same = np.full(20, 3.0)
    assert compare(same, same).p_value == 1.0
    assert compare(same, same[:7]) is None
