"""Performance over HTTP: the real service over a history whose figures were worked out by hand."""

import csv
import io
import json
import time
from pathlib import Path

import dagster as dg
import pytest
from pyarrow import parquet

from tests.service.recorded_work import HINT, record_failures, record_videos
from tests.service.server import SAMPLES, run_server
from tests.waiting import wait_for
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.media.probe import probe
from yivideo_pipeline.service.performance import operations
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.telemetry.measure import PerformanceMetrics

HOUR_S = 3600.0
SAMPLE = SAMPLES / "harbour-15s.mp4"
API = "/api/v1/performance"


@pytest.fixture(scope="module")
def client(tmp_path_factory, model_dir):
    """Ten videos in the last hours, slower than the ten of the day before; then two that failed."""
    home = tmp_path_factory.mktemp("performance")
    record_videos(home, [f"old-{n}.mp4" for n in range(10)], 36 * HOUR_S, [6.0 + n / 10 for n in range(10)])
    record_videos(home, [f"new-{n}.mp4" for n in range(10)], 2 * HOUR_S, [10.0 + n for n in range(10)])
    record_failures(home, ["a.mp4", "b.mp4"])
    with run_server(home, model_dir) as server, server.client() as client:
        yield client


def summary(client, **query) -> dict:
    answer = client.get(f"{API}/summary", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_stages_are_those_of_the_pipeline():
    assert set(STAGES) <= set(operations.OPERATIONS)
    assert operations.OPERATIONS["process_video"].stages[:-1] == tuple(STAGES)


def test_videos_are_summed_up(client):
    body = summary(client, since="24h")
    assert (body["count"], body["succeeded"], body["failed"]) == (12, 10, 2)
    assert body["success_rate"] == pytest.approx(10 / 12)
    assert body["error_rates"] == {"memory": pytest.approx(2 / 12, abs=1e-6)}
    # 10, 11 … 19 s of work.
    assert body["duration_s"] == {"mean": 14.5, "p50": 14.5, "p95": 18.55, "p99": 18.91, "max": 19.0}
    assert body["times_real_time"] == pytest.approx(600 / 145, abs=1e-6)
    assert body["audio_minutes"] == 10
    assert body["throughput"] == pytest.approx(10 / (24 * 60), abs=1e-6)
    assert body["retries"] == {"total": 4, "mean": pytest.approx(4 / 12, abs=1e-6)}
    assert body["memory_mb"] == {"peak": 500.0, "mean": 500.0}
    assert body["gpu_memory_mb"] == {"peak": None, "mean": None}
    assert body["queue"]["queued"] == 0


def test_without_a_time_everything_is_summed_up(client):
    assert summary(client)["count"] == 22
    assert summary(client)["since"] is None


def test_the_owners_subtitles_are_three_of_our_stages(client):
    body = summary(client, operation="whisperx.generate_subtitles", since="24h")
    assert (body["count"], body["failed"]) == (12, 2)
    assert body["duration_s"]["mean"] == 14.5 - 2, "without the looks at the video and the sound"


def test_the_owners_sound_is_our_stage_audio(client):
    alias, ours = (summary(client, operation=name) for name in ("ffmpeg.extract_audio", "audio"))
    assert alias["count"] == ours["count"] == 20
    assert alias["duration_s"] == ours["duration_s"]


def test_an_operation_that_never_ran_has_no_figures(client):
    body = summary(client, operation="api.translations")
    assert (body["count"], body["success_rate"], body["duration_s"]["p99"]) == (0, None, None)


def test_an_unknown_operation_is_refused_with_the_known_ones(client):
    answer = client.get(f"{API}/summary", params={"operation": "ffmpeg.crop"})
    assert answer.status_code == 422
    assert "whisperx.generate_subtitles" in answer.json()["error"]["hint"]


@pytest.mark.parametrize("since", ["yesterday", "0h", "-3h", "2999-01-01", "NaN", "9999999999d", "24h\n1"])
def test_an_invalid_time_is_refused(client, since):
    answer = client.get(f"{API}/summary", params={"since": since})
    assert answer.status_code == 422
    assert "7d" in answer.json()["error"]["hint"]


def test_a_slowdown_is_found_and_tested(client):
    trend = client.get(f"{API}/insights", params={"since": "24h"}).json()["trend"]
    assert (trend["now"]["count"], trend["before"]["count"]) == (12, 10)
    assert trend["verdict"] == "slower"
    assert trend["share_slower"] == 1.0, "each of the later ones is slower than each of the earlier"
    assert trend["u"] == 100
    assert trend["p_value"] < 0.001
    assert "Mann" in trend["test"]


def test_too_few_operations_give_no_trend(client):
    trend = client.get(f"{API}/insights", params={"since": "10m"}).json()["trend"]
    assert (trend["verdict"], trend["p_value"]) == ("unknown", None)


def test_failures_and_recommendations_are_based_on_figures(client):
    body = client.get(f"{API}/insights", params={"since": "24h"}).json()
    [failure] = body["failures"]
    assert (failure["kind"], failure["count"], failure["hint"]) == ("memory", 2, HINT)
    advice = {one["name"]: one for one in body["recommendations"]}
    assert advice["save_memory"]["figures"]["failed_for_memory"] == 2
    assert HINT in advice["mend_most_frequent"]["advice"]


def test_a_kind_of_error_beyond_its_threshold_is_one_alert_and_poor_health(client):
    def look() -> dict | None:
        body = client.get(f"{API}/insights", params={"since": "24h"}).json()
        return body if body["alerts"] else None

    body = wait_for(look)
    assert body["overall_health"] == "poor"
    figures = {alert["name"]: (alert["value"], alert["threshold"]) for alert in body["alerts"]}
    assert figures == {"errors": (16.67, 10)}, "the lower success has the same cause"


def test_the_dashboard_holds_all_in_steps(client):
    def look() -> dict | None:
        body = client.get(f"{API}/dashboard", params={"since": "24h"}).json()
        return body if any(body["series"]["memory_pct"]) else None

    body = wait_for(look)  # the service looks at the machine itself, some seconds after its start
    series = body["series"]
    assert {len(values) for name, values in series.items() if name != "step_s"} == {len(series["at"])}
    assert sum(series["count"]) == 12
    assert sum(series["failed"]) == 2
    assert sum(series["audio_minutes"]) == pytest.approx(10)
    assert max(value for value in series["p99_s"] if value) <= 19.0
    assert set(body["stages"]) == set(STAGES)
    assert body["stages"]["transcript"]["failed"] == 2
    assert body["insights"]["summary"]["count"] == 12


def test_the_system_health_says_what_is_unknown(client):
    body = client.get(f"{API}/system-health").json()
    assert body["memory"]["total_mb"] > body["memory"]["available_mb"] > 0
    assert body["disks"]["home"]["free_mb"] > 0
    assert body["queue"] == {
        "queued": 0,
        "running": 0,
        "failed_today": 0,
        "waiting_s": 0.0,
        "is_paused": False,
    }
    assert body["daemons"] is None
    assert "yivideo up" in body["reasons"]["daemons"]
    assert (body["gpu"] is None) == ("gpu" in body["reasons"])


def test_samples_are_exported_as_performance_samples(client):
    rows = client.post(f"{API}/export", json={"format": "json"}).json()
    assert len(rows) == 20 * len(STAGES) + 2
    names = PerformanceMetrics.model_fields
    done = [row for row in rows if row["success"]]
    for row in done:
        PerformanceMetrics.model_validate({name: row[name] for name in names})
    assert sum(row["duration"] for row in done if row["operation"] == "transcript") == pytest.approx(
        sum(6 + n / 10 - 4 for n in range(10)) + sum(10 + n - 4 for n in range(10))
    )


def test_a_table_is_exported_of_one_operation(client):
    answer = client.post(
        f"{API}/export", json={"format": "csv", "operation": "whisperx.generate_subtitles", "since": "24h"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    assert ".csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sorted(float(row["duration"]) for row in rows if row["success"] == "True") == [
        8.0 + n for n in range(10)
    ]
    assert [row["error"] for row in rows if row["success"] == "False"] == ["memory", "memory"]


def test_parquet_has_the_rows_of_the_other_formats_with_their_types(client):
    asked = {"operation": "whisperx.generate_subtitles", "since": "24h"}
    answer = client.post(f"{API}/export", json={"format": "parquet", **asked})
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    table = parquet.read_table(io.BytesIO(answer.content))
    rows = client.post(f"{API}/export", json={"format": "json", **asked}).json()
    assert table.column_names == list(rows[0])
    assert table["duration"].to_pylist() == [row["duration"] for row in rows]
    assert [str(table.schema.field(name).type) for name in ("duration", "batch_size", "success")] == [
        "double",
        "int64",
        "bool",
    ]


def test_an_unknown_format_is_refused(client):
    assert client.post(f"{API}/export", json={"format": "xlsx"}).status_code == 422


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", ""])
def test_json_is_understood_whatever_the_client_calls_it(client, kind):
    # `curl -d` calls it a form, `fetch` text, and some libraries nothing.
    wanted = client.post(f"{API}/export", json={"format": "csv"})
    answer = client.post(f"{API}/export", content=b'{"format": "csv"}', headers={"Content-Type": kind})
    assert (answer.status_code, answer.content) == (200, wanted.content)
    assert client.post(f"{API}/export", content=b"format=csv", headers={"Content-Type": kind}).is_client_error


@pytest.mark.parametrize("body", [{"confirm": "yes"}, {"confirm": True}, {"confirm": "clear", "also": 1}])
def test_nothing_is_cleared_with_another_word(client, body):
    assert client.post(f"{API}/clear", json=body).status_code == 422
    assert summary(client)["count"] == 22


def test_what_was_cleared_never_comes_back_and_dagsters_history_stays(tmp_path, model_dir):
    home = tmp_path / "home"
    record_videos(home, ["a.mp4", "b.mp4"], HOUR_S, [10.0, 10.0])
    with run_server(home, model_dir) as server, server.client() as client:
        assert summary(client)["count"] == 2
        rows = client.post(f"{API}/export").json()
        cleared = client.post(f"{API}/clear").json()
        assert cleared["samples"] == 2 * len(STAGES)
        assert json.loads(Path(cleared["exported_to"]).read_text()) == rows, "cleared without a confirmation"
        assert Path(cleared["exported_to"]).parent == home / "exports"
        assert summary(client)["count"] == 0
        confirmed = client.post(f"{API}/clear", json={"confirm": "clear"}).json()
        assert (confirmed["samples"], confirmed["exported_to"]) == (0, None)
        record_videos(home, ["c.mp4"], -10.0, [10.0])
        wait_for(lambda: summary(client, since="1h")["count"] == 1 or None)
    with run_server(home, model_dir) as server, server.client() as client:
        rows = client.post(f"{API}/export", json={"format": "json"}).json()
        assert {row["video"] for row in rows} == {"c.mp4"}
    with open_instance(home) as instance:
        kept = instance.get_materialized_partitions(dg.AssetKey("subtitles"))
    assert kept == {"a.mp4", "b.mp4", "c.mp4"}


def test_a_home_without_dagster_has_no_work_and_says_so(tmp_path, model_dir):
    with run_server(tmp_path / "home", model_dir) as server, server.client() as client:
        assert summary(client)["count"] == 0
        body = client.get(f"{API}/system-health").json()
        assert body["queue"] is None and "yivideo up" in body["reasons"]["queue"]
        assert client.get(f"{API}/dashboard").status_code == 200
        assert not (server.home / "dagster").exists(), "a reader makes no instance"


@pytest.mark.model
def test_recognitions_over_http_are_operations_too(tmp_path, model_dir, tiny_weights):
    length_s = probe(SAMPLE).duration_s or 0.0
    with run_server(tmp_path / "home", model_dir) as server, server.client() as client:
        began = time.monotonic()
        with SAMPLE.open("rb") as file:
            sent = client.post("/v1/audio/transcriptions", files={"file": file}, data={"model": "whisper-1"})
        lasted_s = time.monotonic() - began
        assert sent.status_code == 200, sent.text
        broken = {"file": ("a.mp4", b"no video")}
        assert client.post("/v1/audio/transcriptions").is_error, "refused before any work"
        assert client.post("/v1/audio/transcriptions", files=broken, data={"model": "whisper-1"}).is_error
        body = wait_for(lambda: (s := summary(client, operation="api.transcriptions"))["count"] == 2 and s)
        assert (body["succeeded"], body["failed"], body["unusable"]) == (1, 0, 1)
        assert body["audio_minutes"] == pytest.approx(length_s / 60, abs=0.01)
        assert 0 < body["duration_s"]["max"] <= lasted_s
        assert summary(client)["count"] == 2, "part of all operations"
