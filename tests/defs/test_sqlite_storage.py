"""The storage keeps its files open, and is Dagster's own for everything else."""

import os
import queue
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.sqlite_storage import RUNS_KEPT_OPEN, KeptSqliteStorage, VideoInstance


@pytest.fixture
def instance(tmp_path):
    with open_instance(tmp_path) as opened:
        yield opened


@dg.job
def nothing(): ...


def opened_files(folder: Path) -> set[str]:
    opened = (Path(file.path) for file in psutil.Process().open_files())
    return {path.name for path in opened if folder in path.parents and path.suffix == ".db"}


def test_a_new_home_has_the_storage_and_a_run_finds_it_by_its_reference(instance):
    assert isinstance(instance, VideoInstance)
    with dg.DagsterInstance.from_ref(instance.get_ref()) as worker:
        assert isinstance(worker, VideoInstance)
        result = nothing.execute_in_process(instance=worker)
    assert isinstance(instance.get_ref().storage, KeptSqliteStorage)
    assert instance.get_run_by_id(result.run_id).status == dg.DagsterRunStatus.SUCCESS


def test_dagsters_own_storage_reads_the_same_files(instance, tmp_path):
    run_id = nothing.execute_in_process(instance=instance).run_id
    plain = tmp_path / "plain.yaml"
    plain.write_text(f"storage:\n  sqlite:\n    base_dir: {tmp_path / 'dagster'}\n")
    with dg.DagsterInstance.from_config(str(tmp_path), "plain.yaml") as other:
        assert not isinstance(other, VideoInstance)
        assert [event.message for event in other.all_logs(run_id)] == [
            event.message for event in instance.all_logs(run_id)
        ]


@dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name="films"))
def film() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"words": 3})


def test_the_log_of_a_run_is_small_and_may_be_deleted_without_losing_what_was_made(tmp_path):
    with open_instance(tmp_path) as instance:
        instance.add_dynamic_partitions("films", ["a"])
        run_id = dg.materialize([film], instance=instance, partition_key="a").run_id
    log = tmp_path / "dagster" / "history" / "runs" / f"{run_id}.db"
    assert log.stat().st_size < 80_000, "with SQLite's usual pages an empty one has 115 kB"
    log.unlink()
    with open_instance(tmp_path) as instance:
        assert instance.all_logs(run_id) == []
        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.SUCCESS
        made = instance.get_latest_materialization_event(film.key).asset_materialization
        assert (made.partition, made.metadata["words"].value) == ("a", 3)
        assert instance.get_materialized_partitions(film.key) == {"a"}


def test_event_logs_of_many_runs_do_not_stay_open(instance, tmp_path):
    runs = [nothing.execute_in_process(instance=instance).run_id for _ in range(RUNS_KEPT_OPEN + 3)]
    logs = {f"{run_id}.db" for run_id in runs} & opened_files(tmp_path)
    assert logs == {f"{run_id}.db" for run_id in runs[-RUNS_KEPT_OPEN:]}
    assert all(instance.all_logs(run_id) for run_id in runs)


def test_a_closed_instance_holds_no_file_and_leaves_no_log_behind(tmp_path):
    with open_instance(tmp_path) as instance:
        nothing.execute_in_process(instance=instance)
    assert opened_files(tmp_path) == set()
    assert list(tmp_path.rglob("*.db-wal")) == []


def test_a_killed_process_loses_no_event(tmp_path):
    """The log beside the file is read by whoever opens it next."""
    pid = os.fork()
    if pid == 0:
        nothing.execute_in_process(
            instance=open_instance(tmp_path), run_id="00000000-0000-0000-0000-000000000001"
        )
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    with open_instance(tmp_path) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert instance.all_logs(run.run_id)[-1].dagster_event.event_type == dg.DagsterEventType.RUN_SUCCESS


def test_the_ui_hears_of_events_while_the_run_goes_on(instance, tmp_path):
    """The webserver is another process, and the run's keeps the file open."""
    run_id = nothing.execute_in_process(instance=instance).run_id
    messages: queue.Queue[str | None] = queue.Queue()
    with open_instance(tmp_path) as reader:
        end = reader.get_records_for_run(run_id).cursor
        reader.watch_event_logs(run_id, end, lambda event, cursor: messages.put(event.dagster_event.message))
        instance.report_engine_event("half way", run_id=run_id, job_name="nothing")
        assert messages.get(timeout=20) == "half way"


def test_wiped_logs_are_written_anew(instance):
    nothing.execute_in_process(instance=instance)
    instance.wipe()
    run_id = nothing.execute_in_process(instance=instance).run_id
    assert instance.all_logs(run_id)


def test_a_storage_of_the_users_own_is_taken(tmp_path):
    with open_instance(tmp_path):
        config = tmp_path / "dagster" / "dagster.yaml"
        other = tmp_path / "elsewhere"
        config.write_text(config.read_text() + f"\nstorage:\n  sqlite:\n    base_dir: {other}\n")
    with open_instance(tmp_path) as instance:
        nothing.execute_in_process(instance=instance)
    tables = sqlite3.connect(other / "history" / "runs.db").execute("select count(*) from runs")
    assert tables.fetchone() == (1,)


def test_logs_begun_by_a_copy_have_all_tables_and_indexes(instance, tmp_path):
    runs = [nothing.execute_in_process(instance=instance).run_id for _ in range(2)]
    plain = SqliteEventLogStorage(str(tmp_path / "plain"))
    with plain.run_connection("made-by-dagster"):
        pass
    schemas = [read_schema(tmp_path / "dagster" / "history" / "runs" / f"{run_id}.db") for run_id in runs]
    assert schemas == [read_schema(tmp_path / "plain" / "made-by-dagster.db")] * 2


def read_schema(file: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        return sorted(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))
