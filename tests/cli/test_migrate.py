"""A home moves from SQLite's files into PostgreSQL: everything as it was, or nothing at all."""

import re
import sqlite3
import stat
from collections.abc import Generator
from contextlib import closing, contextmanager
from shutil import copytree, ignore_patterns

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.run_status_sensor_definition import RunStatusSensorCursor
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._serdes import serialize_value
from filelock import FileLock
from pydantic import SecretStr

from tests.defs.pipeline import Pipeline
from yivideo_pipeline.cli import migrate as command
from yivideo_pipeline.cli.console import Exit, WrongUsage
from yivideo_pipeline.cli.migrate import migrate
from yivideo_pipeline.defs import history_move
from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.runner import Processor
from yivideo_pipeline.errors.tree import ServiceUnreachable
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.postgres import open_pool
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.stages import STAGES, VIDEOS
from yivideo_pipeline.storage.artifacts import Storage

_EVALUATED = dg.DagsterEventType.ASSET_CHECK_EVALUATION.value
CONSUMED = "EVENT_LOG_CONSUMER_CURSOR-PIPELINE_SUCCESS"


@contextmanager
def pipeline_of(home, url: SecretStr | None = None) -> Generator[Pipeline]:
    """A pipeline on a fake engine, with the home's own ledger and instance."""
    environment = {"YIVIDEO_HOME": str(home)}
    if url:
        environment["YIVIDEO_STORAGE__DATABASE_URL"] = url.get_secret_value()
    pipeline = Pipeline(load_settings(environ=environment))
    with open_instance(home, url) as instance:
        pipeline.instance = instance
        pipeline.processor = Processor(instance, pipeline.resources)
        yield pipeline


@pytest.fixture(scope="module")
def old_home(tmp_path_factory):
    """A home with two finished videos and one that failed, in SQLite's files; tests leave it alone."""
    home = tmp_path_factory.mktemp("home")
    with pipeline_of(home) as pipeline:
        for name in ("talk.mp4", "课/一.mp4"):
            pipeline.run(pipeline.add(name))
        (pipeline.inbox / "broken.mp4").write_bytes(b"no video" * 1000)
        pipeline.run("broken.mp4")
        place = _latest(pipeline.instance, "subtitles").storage_id
        pipeline.instance.daemon_cursor_storage.set_cursor_values({CONSUMED: str(place)})
        origin = RemoteInstigatorOrigin(job_origin("process_video").repository_origin, "tell_run_failures")
        data = SensorInstigatorData(cursor=RunStatusSensorCursor(place).to_json())
        sensor = InstigatorType.SENSOR
        pipeline.instance.add_instigator_state(
            InstigatorState(origin, sensor, InstigatorStatus.RUNNING, data)
        )
    return home


@pytest.fixture(scope="module")
def moved(old_home, postgres):
    """The database that the home was moved into, by its address."""
    url = postgres.make_database()
    root = str(old_home / "elsewhere")
    assert migrate(url.get_secret_value(), root, _no_settings(old_home)) == Exit.DONE
    return url


def _no_settings(home):
    """The settings file that names a home: the command has no other option for it."""
    file = home / "settings.yml"
    file.write_text(f"home: {home}\n")
    return file


def _latest(instance: dg.DagsterInstance, stage: str) -> dg.EventLogRecord:
    return instance.fetch_materializations(dg.AssetKey(stage), limit=1).records[0]


def facts(instance: dg.DagsterInstance) -> dict:
    """What an instance says of its history, with what each event points to in place of its number."""
    numbers = re.compile(r'(storage_id|event_pointer/\w+)": "?\d+')
    runs = instance.get_runs()
    told = {"runs": [(run.run_id, run.status, run.tags) for run in runs]}
    for run in runs:
        told[run.run_id] = [
            numbers.sub(r"\1", serialize_value(event)) for event in instance.all_logs(run.run_id)
        ]
    for stage in STAGES:
        for record in instance.fetch_materializations(dg.AssetKey(stage), limit=100).records:
            key, tags = record.partition_key, record.asset_materialization.tags
            told[stage, key] = (record.run_id, record.timestamp)
            for name, number in tags.items():
                if "input_event_pointer" in name:
                    upstream = name.rpartition("/")[2]
                    wanted = dg.AssetRecordsFilter(dg.AssetKey(upstream), storage_ids=[int(number)])
                    (found,) = instance.fetch_materializations(wanted, limit=1).records
                    told[stage, key, upstream] = (found.run_id, found.partition_key, found.timestamp)
    told["partitions"] = sorted(instance.get_dynamic_partitions(VIDEOS))
    return told


def test_dagster_tells_the_same_of_every_run_and_result(old_home, moved):
    with open_instance(old_home) as files:
        before = facts(files)
    with open_instance(old_home, moved) as database:
        assert facts(database) == before
    assert len(before["runs"]) == 3
    assert before["subtitles", "talk.mp4", "alignment"][1] == "talk.mp4"


def test_who_reads_on_from_an_event_reads_on_from_the_same_one(old_home, moved):
    with open_instance(old_home, moved) as database:
        place = _latest(database, "subtitles").storage_id
        assert database.daemon_cursor_storage.get_cursor_values({CONSUMED}) == {CONSUMED: str(place)}
        (state,) = database.all_instigator_state()
        assert state.instigator_data.cursor == RunStatusSensorCursor(place).to_json()


def test_checks_still_name_the_results_that_they_judged(old_home, moved):
    check = dg.AssetCheckKey(dg.AssetKey("subtitles"), "files_read_back")
    with open_instance(old_home, moved) as database:
        history = database.event_log_storage.get_asset_check_execution_history(check, limit=10)
        events = [record.event.dagster_event for record in history]
        made = [event.event_specific_data for event in events if event.event_type_value == _EVALUATED]
        for judged in (one.target_materialization_data for one in made):
            wanted = dg.AssetRecordsFilter(check.asset_key, storage_ids=[judged.storage_id])
            (found,) = database.fetch_materializations(wanted, limit=1).records
            assert (found.run_id, found.timestamp) == (judged.run_id, judged.timestamp)
    assert len(made) == 2


def test_the_ledger_is_the_same(old_home, moved):
    before, after = open_ledger(old_home), open_ledger(old_home, moved)
    assert after.samples.samples() == before.samples.samples()
    assert after.materializations.of("talk.mp4") == before.materializations.of("talk.mp4")
    assert after.failures.last("broken.mp4") == before.failures.last("broken.mp4")
    before.engine.dispose()


def test_work_goes_on_in_the_database(old_home, moved):
    with pipeline_of(old_home, moved) as pipeline:
        known = pipeline.run("talk.mp4")
        assert known.success
        assert set(known.reused) == set(STAGES)
        assert pipeline.run(pipeline.add("new.mp4")).success
        assert _latest(pipeline.instance, "subtitles").partition_key == "new.mp4"


def test_artifacts_and_edits_are_found_at_the_root_that_was_named(old_home, moved):
    here, there = (Storage(old_home / name, old_home / "tmp") for name in ("artifacts", "elsewhere"))
    for stage in STAGES:
        artifact = there.find_latest("课/一.mp4", stage)
        assert artifact == here.find_latest("课/一.mp4", stage)
        assert artifact is not None
        assert all(there.is_intact(artifact, name) for name in artifact.files)


def test_the_address_is_written_to_a_file_that_its_owner_alone_may_read(old_home, moved):
    file = old_home / command.SECRET_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (old_home / "config.yml").write_text(f"storage:\n  database_url_file: {file.name}\n")
    settings = load_settings(environ={"YIVIDEO_HOME": str(old_home)})
    (old_home / "config.yml").unlink()
    assert settings.storage.read_database_url() == moved


def test_a_database_that_is_not_empty_is_refused_and_left_alone(old_home, moved):
    with open_pool(moved).connect() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM event_logs").scalar()
    with pytest.raises(WrongUsage, match=r"home\d+ is not empty: there are rows in .*materializations"):
        migrate(moved.get_secret_value(), None, _no_settings(old_home))
    with open_pool(moved).connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM event_logs").scalar() == before


def test_of_a_damaged_history_everything_that_is_left_is_moved(old_home, postgres, tmp_path):
    home, url = tmp_path / "damaged", postgres.make_database()
    copytree(old_home, home, ignore=ignore_patterns("artifacts", "elsewhere", "*.lock"))
    folder = home / "dagster" / "history" / "runs"
    lost, unknown, whole = sorted(file.stem for file in folder.glob("*-*-*-*-*.db"))
    (folder / f"{lost}.db").unlink()
    with closing(sqlite3.connect(folder / "index.db")) as index, index:
        index.execute("DELETE FROM event_logs WHERE run_id = ?", (unknown,))
        indexed = dict(index.execute("SELECT run_id, count(*) FROM event_logs GROUP BY run_id").fetchall())
    assert migrate(url.get_secret_value(), None, _no_settings(home)) == Exit.DONE
    with open_instance(old_home) as before, open_instance(home, url) as after:
        told = {run_id: len(after.all_logs(run_id)) for run_id in (lost, unknown, whole)}
        assert told[lost] == indexed[lost] > 0
        assert (told[unknown], told[whole]) == (len(before.all_logs(unknown)), len(before.all_logs(whole)))


def test_a_move_that_is_interrupted_leaves_the_database_empty(old_home, postgres, monkeypatch, capsys):
    url = postgres.make_database()
    read = history_move._read_events

    def interrupt(file):
        if len(runs) == 2:
            raise KeyboardInterrupt
        runs.append(file)
        return read(file)

    runs = []
    with monkeypatch.context() as patched:
        patched.setattr(history_move, "_read_events", interrupt)
        assert migrate(url.get_secret_value(), None, _no_settings(old_home)) == Exit.INTERRUPTED
    assert capsys.readouterr().err == "yivideo: Stopped: nothing was moved, and the home is as it was.\n"
    assert migrate(url.get_secret_value(), None, _no_settings(old_home)) == Exit.DONE


@pytest.mark.parametrize(
    ("to", "error", "message"),
    [
        (None, WrongUsage, "No database is named"),
        ("mysql://yivideo:geheim@host/name", WrongUsage, "--to is no address of a PostgreSQL database"),
        (
            "postgresql://yivideo:geheim@127.0.0.1:9/name",
            ServiceUnreachable,
            "127.0.0.1:9/name can't be used",
        ),
    ],
)
def test_a_wrong_database_is_told_without_its_password(old_home, to, error, message):
    with pytest.raises(error, match=re.escape(message)) as refused:
        migrate(to, None, _no_settings(old_home))
    assert "geheim" not in str(refused.value)


def test_a_home_that_is_in_a_database_is_not_moved_from_its_old_files(old_home, moved, postgres):
    settings = _no_settings(old_home)
    settings.write_text(f"home: {old_home}\nstorage: {{database_url_file: {command.SECRET_FILE}}}\n")
    with pytest.raises(WrongUsage, match=r"The settings say that this home is in the database .*/home\d+"):
        migrate(postgres.address("postgres").get_secret_value(), None, settings)


def test_a_home_in_use_is_not_moved(old_home, postgres):
    with (
        FileLock(old_home / "dagster" / "up.lock"),
        pytest.raises(WrongUsage, match="yivideo up, or another move, is at work"),
    ):
        migrate(postgres.address("postgres").get_secret_value(), None, _no_settings(old_home))
