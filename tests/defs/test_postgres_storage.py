"""Dagster's history in PostgreSQL: on the process's own pool, by no secret in its configuration."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import dagster as dg
import pytest
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._serdes import serialize_value
from fastapi.testclient import TestClient

from tests.postgres import PASSWORD
from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.postgres_storage import remove_run_events
from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.history.instance import find_instance, read_queue
from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.ledger import postgres as pools
from yivideo_pipeline.ledger.files import FileRecord
from yivideo_pipeline.service.app import create_app
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.stages import JOB, PARTITION_TAG, VIDEOS

CONNECTIONS = 20
"""What a host may have open at the server, by pgbouncer."""


@dg.job
def nothing(): ...


@pytest.fixture
def url(postgres):
    return postgres.make_database()


def test_a_run_finds_the_database_by_a_reference_without_the_password(home, url):
    with open_instance(home, url) as instance:
        reference = instance.get_ref()
        with dg.DagsterInstance.from_ref(reference) as worker:
            run_id = nothing.execute_in_process(instance=worker).run_id
        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.SUCCESS
        assert [event.message for event in instance.all_logs(run_id)][-1].startswith("Finished execution")
        assert PASSWORD.split("/")[0] not in serialize_value(reference)
    assert not list(home.rglob("*.db")), "nothing of it lies in files"


def test_dagsters_own_programs_and_the_service_find_the_database_by_the_settings(home, url, monkeypatch):
    with open_instance(home, url) as instance:
        run_id = nothing.execute_in_process(instance=instance).run_id
    monkeypatch.delenv("YIVIDEO_STORAGE__DATABASE_URL")
    (home / "config.yml").write_text("storage: {database_url_file: secret}\n")
    (home / "secret").write_text(url.get_secret_value())
    found = find_instance(home)
    assert found is not None
    with found:
        assert [run.run_id for run in found.get_runs()] == [run_id]
        assert read_queue(found).queued == 0


def test_the_messages_of_old_runs_are_removed_and_what_they_made_stays(home, url):
    @dg.asset
    def made() -> None: ...

    with open_instance(home, url) as instance:
        run_id = dg.materialize([made], instance=instance).run_id
        count = len(instance.all_logs(run_id))
        assert remove_run_events(url, before=time.time() - 60, after_id=0) == (0, 0)
        last, removed = remove_run_events(url, before=time.time() + 60, after_id=0)
        assert removed > count / 2
        assert remove_run_events(url, before=time.time() + 60, after_id=last) == (last, 0)
        left = {log.dagster_event_type for log in instance.all_logs(run_id)}
        assert dg.DagsterEventType.STEP_START not in left
        assert {dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.ASSET_MATERIALIZATION} <= left
        assert len(instance.all_logs(run_id)) == count - removed
        assert len(instance.fetch_materializations(dg.AssetKey("made"), limit=5).records) == 1


def test_a_configuration_that_keeps_runs_in_files_is_refused(home, url):
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with pytest.raises(ConfigError, match="keeps runs in SQLite"):
        open_instance(home, url)


def test_the_library_page_pauses_the_queue_and_forgets_a_video(home, url):
    ledger, origin = open_ledger(home, url), job_origin(JOB)
    ledger.files.write([FileRecord("known.mp4", "inbox", 1, 1, 1.0, 1.0, "TAKEN")])
    environment = {"YIVIDEO_HOME": str(home), "YIVIDEO_STORAGE__DATABASE_URL": url.get_secret_value()}
    app = create_app(load_settings(None, environment), None, False)
    with open_instance(home, url) as instance, TestClient(app, base_url="http://127.0.0.1") as client:
        instance.add_dynamic_partitions(VIDEOS, ["known.mp4"])
        tags, queued = {PARTITION_TAG: "waits.mp4"}, dg.DagsterRunStatus.QUEUED
        instance.add_run(
            dg.DagsterRun(JOB, run_id=str(uuid4()), status=queued, tags=tags, remote_job_origin=origin)
        )

        def begins() -> int:
            daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
            return len(daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None))

        assert begins() == 1
        for paused in (True, False):
            assert client.post("/library/queue", json={"paused": paused}).json() == {"paused": paused}
            assert begins() == (0 if paused else 1)

        keys = ["known.mp4", "known.mp4", "waits.mp4", "nobody.mp4"]
        answer = client.post("/library/forget", json={"keys": keys, "results": True}).json()
        assert answer == {"done": ["known.mp4"], "not_done": {"waits.mp4": "busy", "nobody.mp4": "unknown"}}
        assert ledger.files.find("known.mp4").why == "FORGOTTEN"
        assert not instance.get_dynamic_partitions(VIDEOS)


def test_many_processes_need_few_connections_through_pgbouncer(home, postgres, url):
    database = url.get_secret_value().rpartition("/")[2]
    counted = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
    with postgres.bouncer(CONNECTIONS) as port:
        through = postgres.address(database, port)
        open_ledger(home, through)
        # As many pools as a busy host has processes, each with all its connections in use.
        ledgers = [Ledger(pools._make_pool(through.get_secret_value())[0]) for _ in range(6)]

        def work(number: int) -> int:
            ledger = ledgers[number % len(ledgers)]
            ledger.flags.set("number", str(number))
            ledger.workers.bury_dead()
            return postgres.query("postgres", counted)[0][0] if number % 10 == 0 else 0

        with open_instance(home, through) as instance, ThreadPoolExecutor(6 * pools.MOST) as pool:
            most = max(pool.map(work, range(180)))
            run_id = nothing.execute_in_process(instance=instance).run_id
            assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.SUCCESS
        assert 1 < most <= CONNECTIONS
        for ledger in ledgers:
            ledger.engine.dispose()
