import numpy as np
import pytest

from tests.make_history import record_stage, record_video
from yivideo_pipeline.history.tables import by_weeks, day_table, sample_table, video_table, with_days
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.stages import STAGES

NOON = 1_795_348_800.0  # Sunday, 2026-11-22 12:00 UTC
DAY_S = 86_400


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path)


@pytest.fixture
def videos(ledger):
    return lambda: video_table(sample_table(ledger.samples))


def test_the_stages_of_a_video_are_one_piece_of_work(ledger, videos):
    record_video(ledger, "a.mp4", NOON, audio_s=120.0, wall_s=10.0, model="small", attempts=2, score=80.0)
    (video,) = videos().to_dict("records")
    assert video["outcome"] == "finished"
    assert video["ended_at"] == NOON
    assert (video["audio_s"], video["wall_s"], video["cpu_s"]) == (120.0, 10.0, 5.0)
    assert video["rtfx"] == 12.0
    assert video["retries"] == 3, "transcript, alignment and subtitles took two attempts each"
    assert (video["model"], video["device"], video["language"]) == ("small", "cpu", "en")
    assert (video["score"], video["words"], video["low_confidence_words"]) == (80.0, 100, 5)


def test_a_reused_transcript_tells_no_speed(ledger, videos):
    record_video(ledger, "a.mp4", NOON, reused=True)
    (video,) = videos().to_dict("records")
    assert video["outcome"] == "finished"
    assert not video["transcribed"]
    assert np.isnan(video["rtfx"])


def test_a_stage_alone_is_work_in_part(ledger, videos):
    record_stage(ledger, "run", "audio", "a.mp4", NOON)
    assert videos()["outcome"].tolist() == ["partly"]


def test_the_same_video_twice_is_two_pieces_of_work(ledger, videos):
    record_video(ledger, "a.mp4", NOON)
    record_video(ledger, "a.mp4", NOON + 60)
    assert videos()["ended_at"].tolist() == [NOON, NOON + 60]


def test_videos_of_one_run_are_told_apart(ledger, videos):
    for key in ("a.mp4", "b.mp4"):
        for stage in STAGES:
            record_stage(ledger, "run", stage, key, NOON, model="base")
    assert sorted(videos()["key"]) == ["a.mp4", "b.mp4"]


def test_days_are_those_of_the_time_zone(ledger, videos):
    record_video(ledger, "a.mp4", NOON + 5 * 3600)  # 17:00 UTC is one o'clock of the next day in Shanghai
    table = videos()
    assert [str(day.date()) for day in with_days(table, None)["day"]] == ["2026-11-22"]
    assert [str(day.date()) for day in with_days(table, "Asia/Shanghai")["day"]] == ["2026-11-23"]


def test_a_day_is_summed_up_by_model_and_device(ledger, videos):
    for number in range(1, 5):  # 60 s of sound in 10, 20, 30, 40 s
        record_video(ledger, f"{number}.mp4", NOON + number, audio_s=60.0, wall_s=10.0 * number)
    record_video(ledger, "gpu.mp4", NOON, wall_s=5.0, device="cuda", gpu_memory_peak_mb=3100.0)
    record_video(ledger, "later.mp4", NOON + DAY_S)
    table = day_table(with_days(videos(), None))
    assert [tuple(row) for row in table[["model", "device", "videos"]].to_numpy()] == [
        ("base", "cpu", 4),
        ("base", "cuda", 1),
        ("base", "cpu", 1),
    ]
    first, gpu, _ = table.to_dict("records")
    assert first["audio_h"] == pytest.approx(240 / 3600)
    assert first["work_h"] == pytest.approx(100 / 3600)
    assert first["rtfx_mean"] == pytest.approx(2.4), "all sound by all work"
    assert first["rtfx_p50"] == pytest.approx((3 + 2) / 2), "of 6, 3, 2 and 1.5"
    assert first["wall_p50_s"] == pytest.approx(25)
    assert first["wall_p95_s"] == pytest.approx(30 + 0.85 * 10)
    assert first["wall_p99_s"] == pytest.approx(30 + 0.97 * 10)
    assert first["rss_peak_mb"] == 500
    assert np.isnan(first["gpu_memory_peak_mb"]), "null without a GPU, not nought"
    assert gpu["gpu_memory_peak_mb"] == 3100


def test_a_week_begins_on_its_monday(ledger, videos):
    record_video(ledger, "sunday.mp4", NOON)
    record_video(ledger, "monday.mp4", NOON + DAY_S)
    weeks = by_weeks(with_days(videos(), None))["day"]
    assert [str(day.date()) for day in weeks] == ["2026-11-16", "2026-11-23"]


def test_no_video_gives_tables_without_rows(videos):
    table = day_table(with_days(videos(), "Europe/Berlin"))
    assert table.empty
    assert {"day", "model", "device", "videos", "rtfx_p95", "wall_p99_s"} <= set(table.columns)
