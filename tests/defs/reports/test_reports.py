import base64
import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import dagster as dg
import pandas as pd
import pytest

from tests.defs.multi_runs import add_videos, run_again, run_range
from tests.defs.pipeline import SAMPLE
from tests.make_history import record_video
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.reports import charts
from yivideo_pipeline.defs.reports.assets import DAY_S, videos_so_far
from yivideo_pipeline.errors.tree import MemoryExhausted
from yivideo_pipeline.history import samples
from yivideo_pipeline.history.tables import with_days
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.stages import JOB, MODEL_TAG, STAGES, TRIGGER_TAG, VIDEOS

SAMPLE_60S = SAMPLE.with_name("lighthouse-60s.mkv")
REPORTS = ("library_report", "performance_report")
PICTURE = re.compile(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)")


@pytest.fixture
def report(pipeline):
    """Launch the daily reports; returns the metadata of each, as plain values."""

    def launch() -> dict[str, dict]:
        job = build_definitions(pipeline.resources).resolve_job_def("daily_report")
        done = job.execute_in_process(instance=pipeline.instance)
        assert done.success
        return {
            name: {
                key: value.value
                for key, value in done.asset_materializations_for_node(name)[0].metadata.items()
            }
            for name in REPORTS
        }

    return launch


@pytest.fixture
def now() -> float:
    return datetime.now(UTC).timestamp()


def svg_in(markdown: str) -> ElementTree.Element:
    found = PICTURE.search(markdown)
    assert found, markdown[:200]
    return ElementTree.fromstring(base64.b64decode(found[1]))


def texts_of(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter() if element.tag.endswith("}text")]


def report_files(pipeline, ending: str) -> list:
    return sorted((pipeline.settings.home / "reports").glob(f"*.{ending}"))


def table_of(pipeline, name: str) -> pd.DataFrame:
    (file,) = (file for file in report_files(pipeline, "csv") if file.name.startswith(name))
    return pd.read_csv(file)


def test_an_empty_history_is_a_report_that_says_so(report, pipeline):
    reported = report()
    assert "0 videos done, 0 failed, 0 in quarantine" in reported["library_report"]["report"]
    assert reported["library_report"]["rtfx"] is None
    assert reported["performance_report"]["speed"] == "*No video was processed yet.*"
    assert reported["performance_report"]["days"].records == []
    assert table_of(pipeline, "library").empty
    assert table_of(pipeline, "performance").empty


def test_what_the_pipeline_did_stands_in_the_library_report(report, pipeline):
    pipeline.add("talk.mp4")
    pipeline.add("课/一.mp4", SAMPLE_60S)
    pipeline.add("never.mp4")
    pipeline.instance.add_dynamic_partitions(VIDEOS, ["never.mp4"])
    (pipeline.inbox / "broken.mp4").write_text("this is no video")
    for key in ("talk.mp4", "课/一.mp4", "broken.mp4"):
        pipeline.run(key)
    reported = report()["library_report"]
    assert (reported["processed"], reported["failed_runs"], reported["retries"]) == (2, 1, 0)
    assert (reported["videos_finished"], reported["videos_quarantined"], reported["videos_missing"]) == (
        2,
        1,
        1,
    )
    assert reported["unfinished_runs"] == 0, "the report's own run does not count"
    assert reported["rtfx"] > 1
    assert "yivideo quarantine release" in reported["report"]
    assert "This is no video or audio file that can be read" in reported["report"]
    svg_in(reported["report"])
    table = table_of(pipeline, "library").set_index("video")
    assert table["state"].to_dict() == {
        "broken.mp4": "quarantined",
        "never.mp4": "missing",
        "talk.mp4": "finished",
        "课/一.mp4": "finished",
    }
    assert table.loc["talk.mp4", "score"] == pytest.approx(
        pipeline.metadata("subtitles")["readability"].value
    )
    assert table.loc["broken.mp4", "kind"] == "media_unreadable"
    (text,) = report_files(pipeline, "md")
    (picture,) = report_files(pipeline, "svg")
    assert f"]({picture.name})" in text.read_text(encoding="utf-8")


def test_videos_that_shared_a_run_are_counted_one_by_one(report, pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4", "c.mp4", broken=["b.mp4"])
    run_range(pipeline, "a.mp4", "c.mp4")
    reported = report()
    assert (reported["library_report"]["processed"], reported["library_report"]["failed_runs"]) == (2, 1)
    assert reported["library_report"]["videos_quarantined"] == 1
    assert reported["performance_report"]["success_rate"] == pytest.approx(2 / 3, abs=0.001)


def test_attempts_that_failed_are_counted(report, pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full")]
    pipeline.run()
    assert report()["library_report"]["retries"] == 1


def test_a_run_that_was_launched_again_is_one_piece_of_work(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full")] * 3
    failed = pipeline.instance.get_run_by_id(pipeline.run().run_id)
    run_again(pipeline, failed, ["transcript", "alignment", "subtitles"])
    (video,) = videos_so_far(pipeline.instance, pipeline.resources["ledger"]).to_dict("records")
    assert video["outcome"] == "finished"
    assert video["retries"] == 3, "two attempts more in the first run, and a second run"
    assert video["audio_s"] > 14


def test_a_failure_is_put_down_to_the_model_of_its_run(report, pipeline):
    (pipeline.inbox / "broken.mp4").write_text("this is no video")
    pipeline.run("broken.mp4", speech={"model_name": "small"})
    (row,) = report()["performance_report"]["days"].records
    assert (row.data["model"], row.data["failures"], row.data["videos"]) == ("small", 1, 0)


def test_a_run_whose_process_died_is_a_failure_of_its_video(pipeline):
    run = pipeline.instance.create_run_for_job(
        build_definitions(pipeline.resources).resolve_job_def(JOB), tags={"dagster/partition": "talk.mp4"}
    )
    pipeline.instance.report_run_failed(run, "The process that ran it is gone")
    (video,) = videos_so_far(pipeline.instance, pipeline.resources["ledger"]).to_dict("records")
    assert (video["key"], video["outcome"], video["kind"]) == ("talk.mp4", "failed", "worker")


def test_the_last_day_is_reported_and_all_days_are_summed_up(report, pipeline, now):
    record_video(pipeline.resources["ledger"], "today.mp4", now - 60, audio_s=3600, wall_s=360, score=70.0)
    record_video(pipeline.resources["ledger"], "slow.mp4", now - 30, audio_s=3600, wall_s=900)
    record_video(pipeline.resources["ledger"], "old.mp4", now - 3 * DAY_S, audio_s=7200, wall_s=100)
    reported = report()
    library, performance = reported["library_report"], reported["performance_report"]
    assert (library["processed"], library["audio_h"]) == (2, 2.0)
    assert library["rtfx"] == pytest.approx(7200 / 1260, abs=0.001)
    lowest = library["report"].split("## Lowest readability scores")[1].split("##")[0]
    assert re.findall(r"\| (\w+\.mp4) \| ([\d.]+) \|", lowest) == [
        ("today.mp4", "70.0"),
        ("slow.mp4", "90.0"),
    ]
    slowest = library["report"].split("## Slowest")[1]
    assert re.findall(r"\| (\w+\.mp4) \| ([\d.]+) \|", slowest) == [
        ("slow.mp4", "4.0"),
        ("today.mp4", "10.0"),
    ]
    assert (performance["videos"], performance["videos_in_all"]) == (2, 3)
    assert performance["audio_h_in_all"] == 4
    assert performance["wall_p50_s"] == pytest.approx((360 + 900) / 2)
    assert performance["gpu_memory_peak_mb"] is None
    days = table_of(pipeline, "performance")
    assert days["videos"].sum() == 3
    assert days.loc[0, "rtfx_mean"] == pytest.approx(72)


def test_the_digest_is_posted_once_a_day(report, pipeline, now):
    record_video(pipeline.resources["ledger"], "a.mp4", now - 60)
    report()
    report()
    waiting = pipeline.resources["ledger"].outbox.waiting("mail", now + 60)
    (digest,) = [one.notice for one in waiting if one.notice.kind == "digest"]
    assert "1 video done" in digest.subject
    assert any(line.startswith("× real time") for line in digest.body)


def test_a_second_report_of_the_day_replaces_the_first(report, pipeline):
    report()
    pipeline.add("talk.mp4")
    pipeline.run()
    report()
    assert len(report_files(pipeline, "csv")) == 2
    assert table_of(pipeline, "library")["video"].tolist() == ["talk.mp4"]
    assert not [file for file in (pipeline.settings.home / "reports" / "tmp").iterdir() if file.is_file()]


def test_a_name_is_text_in_the_report_whatever_it_holds(report, pipeline, now):
    key = "a|b *bold* <script> [x](y).mp4"
    record_video(pipeline.resources["ledger"], key, now - 60)
    text = report()["library_report"]["report"]
    assert "<script>" not in text
    assert r"a\|b \*bold\* \<script\> \[x\]\(y\).mp4" in text


@pytest.mark.parametrize("days", [1, 2, 45, 400])
def test_charts_of_any_length_are_small_and_readable(pipeline, now, days):
    for number in range(days):
        # As many videos as days would be slow to log: five long gaps do as well.
        if number % max(1, days // 20) == 0:
            record_video(
                pipeline.resources["ledger"],
                f"{number}.mp4",
                now - number * DAY_S,
                model="大模型" if number % 2 else "base",
            )
    videos = with_days(videos_so_far(pipeline.instance, pipeline.resources["ledger"]), "Asia/Shanghai")
    today = str(videos["day"].max().date())
    for draw, unit in (
        (charts.draw_speed, "× real time"),
        (charts.draw_throughput, "hours of video"),
        (charts.draw_latency, "seconds"),
        (lambda table: charts.draw_digest(table, today), "hours of video"),
    ):
        data = draw(videos)
        assert len(data) < 60_000
        texts = texts_of(ElementTree.fromstring(data))
        assert unit in texts
        assert {"day", "week"} & set(texts)
    assert draw(videos) == data, "the same figures give the same picture"


def test_a_chart_names_models_in_letters_of_any_language(pipeline, now):
    record_video(pipeline.resources["ledger"], "a.mp4", now, model="大模型 $x$")
    videos = with_days(videos_so_far(pipeline.instance, pipeline.resources["ledger"]), None)
    assert "大模型 $x$, cpu" in texts_of(ElementTree.fromstring(charts.draw_speed(videos)))


def test_failures_alone_can_be_drawn(pipeline):
    (pipeline.inbox / "broken.mp4").write_text("this is no video")
    pipeline.run("broken.mp4")
    videos = with_days(videos_so_far(pipeline.instance, pipeline.resources["ledger"]), None)
    assert "nothing yet" in texts_of(ElementTree.fromstring(charts.draw_speed(videos)))
    assert "failures" in texts_of(ElementTree.fromstring(charts.draw_throughput(videos)))
    assert "nothing yet" in texts_of(ElementTree.fromstring(charts.draw_latency(videos)))


def test_days_end_at_midnight_of_the_settings_time_zone(pipeline):
    zoned = pipeline.settings.backfills.model_copy(update={"time_zone": "Pacific/Kiritimati"})
    settings: Settings = pipeline.settings.model_copy(update={"backfills": zoned})
    pipeline.resources["launch"] = pipeline.resources["launch"].model_copy(update={"settings": settings})
    job = build_definitions(pipeline.resources).resolve_job_def("daily_report")
    assert job.execute_in_process(instance=pipeline.instance).success
    there = pd.Timestamp.now("Pacific/Kiritimati").date().isoformat()
    assert [file.stem for file in report_files(pipeline, "md")] == [f"library-{there}"]


def test_no_video_s_run_makes_a_report(pipeline):
    definitions = build_definitions(pipeline.resources)
    nodes = {node.name for node in definitions.resolve_job_def(JOB).graph.node_defs}
    assert nodes == set(STAGES)


def test_reports_are_made_by_the_schedule_or_a_user_alone(pipeline):
    definitions = build_definitions(pipeline.resources)
    schedule = definitions.resolve_schedule_def("daily_report")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    graph = definitions.resolve_asset_graph()
    assert all(graph.get(dg.AssetKey(name)).automation_condition is None for name in REPORTS)


def test_the_history_reads_the_tags_that_runs_are_given():
    assert (samples.MODEL_TAG, samples.TRIGGER_TAG) == (MODEL_TAG, TRIGGER_TAG)
