"""Statistics over errors: counts, trends, the last ones, callbacks."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from yivideo_pipeline.errors.statistics import ErrorStatistics
from yivideo_pipeline.errors.tree import (
    DiskFull,
    ErrorType,
    MediaError,
    NoAudioStream,
    Severity,
    SystemFault,
    TaskCancelled,
    YivideoError,
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_errors_are_counted_by_kind_and_severity():
    statistics = ErrorStatistics()
    for error in (
        DiskFull("a"),
        OSError(28, "No space left on device"),
        NoAudioStream("b"),
        TaskCancelled("c"),
    ):
        statistics.record(error)
    assert statistics.by_kind() == {"disk": 2, "media_no_audio": 1, "task_cancelled": 1}
    assert statistics.by_severity() == {Severity.CRITICAL: 2, Severity.MEDIUM: 1, Severity.LOW: 1}


def test_only_the_last_errors_are_kept_in_full():
    clock = Clock()
    statistics = ErrorStatistics(recent=2, clock=clock)
    for n in range(3):
        clock.now += 1
        statistics.record(MediaError(f"number {n}").within(video=f"{n}.mp4"))
    assert [(e.message, e.context.video, e.time_s) for e in statistics.recent()] == [
        ("number 1", "1.mp4", 1_000_002.0),
        ("number 2", "2.mp4", 1_000_003.0),
    ]


def test_a_trend_compares_the_last_window_with_the_one_before():
    clock = Clock()
    statistics = ErrorStatistics(window_s=600, clock=clock)
    statistics.record(DiskFull("old"))
    clock.now += 600
    for _ in range(3):
        statistics.record(DiskFull("new"))
    statistics.record(MediaError("new"))
    trend = statistics.trend()
    assert (trend.current, trend.previous, trend.change) == (4, 1, 3)
    disk = statistics.trend("disk")
    assert (disk.current, disk.previous) == (3, 1)
    clock.now += 1200
    assert statistics.trend().change == 0
    assert statistics.by_kind()["disk"] == 4


def test_old_slices_are_forgotten_so_that_memory_stays_bounded():
    clock = Clock()
    statistics = ErrorStatistics(window_s=60, clock=clock)
    for _ in range(1000):
        clock.now += 1
        statistics.record(MediaError("x"))
    assert len(statistics._buckets) <= 120
    assert statistics.trend().current == statistics.trend().previous == 60


def test_callbacks_are_chosen_by_kind_by_class_and_by_the_librarys_class():
    statistics = ErrorStatistics()
    called: list[tuple[str, str]] = []

    def note(name):
        return lambda error: called.append((name, error.kind))

    statistics.on("disk", note("kind"))
    statistics.on(SystemFault, note("class"))
    statistics.on(OSError, note("library"))
    statistics.record(OSError(28, "No space left on device"))
    statistics.record(MediaError("not asked for"))
    assert called == [("kind", "disk"), ("class", "disk"), ("library", "disk")]


def test_a_callback_that_raises_is_logged_and_affects_no_other(caplog):
    statistics = ErrorStatistics()
    called: list[YivideoError] = []

    def broken(error):
        raise RuntimeError("my own fault")

    statistics.on(MediaError, broken)
    statistics.on(MediaError, called.append)
    found = statistics.record(MediaError("x"))
    assert called == [found]
    assert "my own fault" in caplog.text


def test_a_callback_may_use_the_statistics_itself():
    statistics = ErrorStatistics()
    seen: list[int] = []
    statistics.on("media", lambda error: seen.append(statistics.by_kind()["media"]))
    statistics.record(MediaError("x"))
    assert seen == [1]


def test_callbacks_are_chosen_by_the_contracts_type():
    statistics = ErrorStatistics()
    called: list[YivideoError] = []
    statistics.on(ErrorType.DISK, called.append)
    found = statistics.record(DiskFull("a"))
    assert called == [found]
    assert statistics.by_kind()[ErrorType.DISK] == 1


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="media_no_audio"):
        ErrorStatistics().on("weather", print)


def test_many_threads_lose_no_error():
    statistics = ErrorStatistics()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: statistics.record(MediaError("x")), range(400)))
    assert statistics.by_kind() == {"media": 400}
    assert statistics.trend().current == 400
