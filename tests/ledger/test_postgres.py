"""The ledger in PostgreSQL: made once, migrated by the same files, copied for dry runs."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.ledger.test_database import differences
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable
from yivideo_pipeline.history.run_queue import VideoRun
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.database import SCHEMA_VERSION, open_database, read_version
from yivideo_pipeline.ledger.files import FileRecord
from yivideo_pipeline.ledger.operation_queries import (
    Window,
    request_operations,
    stage_operations,
    video_operations,
)
from yivideo_pipeline.ledger.postgres import MOST, open_pool, require_answer
from yivideo_pipeline.ledger.samples import RequestSample, RunOrigin, Sample
from yivideo_pipeline.service.pages.video_list import SORT_ORDERS, VideoQuery, list_videos


@pytest.fixture
def url(postgres):
    return postgres.make_database()


def sample(key: str) -> Sample:
    return Sample(run_id="run", root_id="run", stage="audio", key=key, success=True, at=1.0)


def test_of_many_that_open_an_empty_database_one_makes_the_tables(tmp_path, url):
    def open_another(_: int) -> int | None:
        engine = create_engine(url.get_secret_value())  # as another process would have
        with engine.connect() as connection:
            version = read_version(connection)
        engine.dispose()
        open_database(tmp_path, url)
        return version

    with ThreadPoolExecutor(MOST - 1) as pool:
        assert set(pool.map(open_another, range(12))) <= {None, SCHEMA_VERSION}
    assert differences(open_pool(url)) == []
    with open_pool(url).connect() as connection:
        assert connection.scalar(text("SHOW timezone")) == "UTC", "whatever the server's is"
    assert list(tmp_path.iterdir()) == [], "nothing of it lies in the home folder"


def test_an_older_version_is_migrated_by_the_same_files(tmp_path, url):
    engine = open_database(tmp_path, url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE service_requests DROP COLUMN cpu_s"))
        connection.execute(text("ALTER TABLE samples DROP COLUMN confidence"))
        connection.execute(text("DROP TABLE finished_runs, heartbeats, leases"))
        connection.execute(text("ALTER TABLE materializations DROP COLUMN revision"))
        connection.execute(text("UPDATE yivideo_version SET version_num = '2'"))
    assert differences(open_database(tmp_path, url)) == []
    with engine.connect() as connection:
        assert read_version(connection) == SCHEMA_VERSION


def test_a_newer_programs_ledger_is_refused_by_host_and_name_alone(tmp_path, url):
    with open_database(tmp_path, url).begin() as connection:
        connection.execute(text("UPDATE yivideo_version SET version_num = '99'"))
    with pytest.raises(ConfigError, match=r"newer yivideo wrote 127\.0\.0\.1:\d+/home\d+ \(.* version 99"):
        open_database(tmp_path, url)


def test_a_database_that_can_not_be_used_is_told_in_one_line_without_the_password(tmp_path, postgres):
    for wrong in (
        postgres.address("postgres", password="other/secret"),
        postgres.address("postgres", port=9),
        SecretStr("postgresql+psycopg2://yivideo:geheim@no-such-host.invalid/home"),
    ):
        with pytest.raises(ServiceUnreachable) as refused:
            open_database(tmp_path, wrong)
        line = str(refused.value)
        assert "can't be used" in line
        assert "correct storage.database_url" in line
        assert "\n" not in line
        assert not {"geheim", "secret"} & set(line.replace("/", " ").split())


def test_a_database_that_can_not_hold_the_ledger_is_refused_with_one_that_can(tmp_path, postgres):
    postgres.query("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(ConfigError, match=r"latin can't be used: its encoding is LATIN1\. CREATE DATABASE"):
        open_database(tmp_path, postgres.address("latin"))
    postgres.query("postgres", "CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = postgres.make_database().get_secret_value().replace("yivideo:geheim%2F1", "guest:guest")
    with pytest.raises(ConfigError, match="its user may make no tables in it"):
        open_database(tmp_path, SecretStr(guest))


def test_the_next_statement_after_a_restart_of_the_server_is_answered(tmp_path, postgres, url):
    ledger = open_ledger(tmp_path, url)
    ledger.flags.set("backfills.paused", "ann")
    cut_off = ledger.engine.connect()
    postgres.stop()
    with pytest.raises(OperationalError) as cut:
        cut_off.execute(text("SELECT 1"))
    assert (classify(cut.value).kind, classify(cut.value).retryable) == ("service", True)
    with pytest.raises(ServiceUnreachable):
        require_answer(url)
    postgres.start()
    assert ledger.flags.get("backfills.paused").value == "ann"
    cut_off.close()


def test_the_page_lists_videos_as_from_a_file(tmp_path, url):
    ledger = open_ledger(tmp_path, url)
    keys = ["Ärger.mp4", "b_100%25.mp4", "c.mp4"]
    ledger.files.write([FileRecord(key, "inbox", 1, 1, 1.0, 1.0, "NEW") for key in keys])
    ledger.workers.begin("c.mp4", "audio", RunOrigin("run", "run"))
    ledger.failures.note_failure("elsewhere.mp4", "audio", "run", ConfigError("Wrong", "Correct it"), 1)
    for order in SORT_ORDERS:
        listed = list_videos(ledger.engine, VideoQuery(order=order))
        assert {row.known.key: row.state for row in listed.rows} == {
            "Ärger.mp4": "waiting", "b_100%25.mp4": "waiting", "c.mp4": "running", "elsewhere.mp4": "failed",
        }  # fmt: skip
    run = VideoRun("retry", "run", ("elsewhere.mp4",), (), 1, True)
    listed = list_videos(ledger.engine, VideoQuery("elsewhere"), {"elsewhere.mp4": run})
    assert [row.state for row in listed.rows] == ["waiting"]
    for search, key in zip(("ärGER", "_100%", "C.MP4"), keys, strict=True):
        assert [row.known.key for row in list_videos(ledger.engine, VideoQuery(search)).rows] == [key]


def test_a_dry_run_writes_to_a_copy(tmp_path, url):
    ledger = open_ledger(tmp_path, url)
    ledger.files.write([FileRecord("talk.mp4", "inbox", 2**40, 1, first_seen=1.5, steady_since=2.5)])
    ledger.samples.record(sample("talk.mp4"))
    copy = ledger.copy()
    assert copy.files.read() == ledger.files.read()
    assert copy.samples.samples() == ledger.samples.samples()
    copy.files.forget(["talk.mp4"])
    assert set(ledger.files.read()) == {"talk.mp4"}


def test_samples_become_visible_in_the_order_of_their_numbers(tmp_path, url):
    ledger = open_ledger(tmp_path, url)

    def record(number: int) -> list[int]:
        ledger.samples.record(sample(f"{number}.mp4"))
        return ledger.samples.added(0, 100)["id"]

    with ThreadPoolExecutor(MOST) as pool:
        seen = list(pool.map(record, range(60)))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seen), "a reader went past none"


def test_operations_are_those_that_a_file_has(tmp_path, url):
    window, stages = Window(0.5, 9.5), ("audio", "transcript", "subtitles")
    every = [
        stage_operations(window),
        video_operations(window, "all", stages, "subtitles"),
        request_operations(window),
    ]
    found = []
    for ledger in (open_ledger(tmp_path), open_ledger(tmp_path, url)):
        cost = replace(sample("a.mp4"), wall_s=2.0, cpu_s=3.0, run_created_at=1.0, run_started_at=4.0)
        made = [
            replace(cost, stage=stage, at=at, reused=stage == "audio") for at, stage in enumerate(stages, 1)
        ]
        ledger.samples.record(*made, replace(sample("b.mp4"), success=False, kind="memory"))
        ledger.requests.add(RequestSample("api.asr", 5.0, True, 1.0))
        (chunk,) = ledger.operations.read(*every)
        found.append(
            sorted(zip(*chunk.values(), strict=True), key=lambda row: (row[3], row[0], row[1] or ""))
        )
        assert ledger.operations.run_waits(window) == [3.0]
    assert found[0] == found[1]
    ends = [(row[0], row[3], row[4]) for row in found[0]]
    assert ends == [
        ("all", 1.0, None), ("audio", 1.0, None), ("audio", 1.0, None), ("transcript", 2.0, 2.0),
        ("all", 3.0, 4.0), ("subtitles", 3.0, 2.0), ("api.asr", 5.0, 1.0),
    ]  # fmt: skip


def test_a_message_may_hold_what_postgres_refuses(tmp_path, url):
    ledger = open_ledger(tmp_path, url)
    ledger.samples.record(replace(sample("a.mp4"), message="broken \0 header"))
    assert ledger.samples.samples()["message"] == ["broken \ufffd header"]
