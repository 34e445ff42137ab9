"""How the ledger is opened: new, of an older version, by two processes at once, or of a newer program."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, Float, String, inspect, text

from tests.cli.command import call, run
from tests.make_history import record_video
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.errors.tree import ConfigError, DiskError
from yivideo_pipeline.ledger import database, migrations, open_ledger
from yivideo_pipeline.ledger.database import FILE, SCHEMA_VERSION, Base, version_table_of
from yivideo_pipeline.service.pages.video_list import VideoQuery, list_videos
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.edits import Edits

HOMES = Path(__file__).parent / "homes"
MADE_AT = 1_795_932_548.0
"""When the old home was made."""
SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "harbour-15s.mp4"


@pytest.fixture
def old_home(tmp_path):
    """A copy of a home that the first version made."""
    return copytree(HOMES / "1", tmp_path / "old")


def version_of(home: Path) -> int:
    ledger = open_ledger(home)
    with ledger.engine.connect() as connection:
        return int(connection.scalar(text("SELECT version_num FROM alembic_version")))


def make_newer(home: Path) -> None:
    ledger = open_ledger(home)
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '99'"))


def differences(engine: Engine) -> list:
    """What the tables lack or have more than the classes say; SQLite knows one type of text and of number."""

    def is_other(context, column, wanted, found_type, wanted_type) -> bool:
        return not any(
            isinstance(found_type, kind) and isinstance(getattr(wanted_type, "impl", wanted_type), kind)
            for kind in (String, Float, type(getattr(wanted_type, "impl", wanted_type)))
        )

    with engine.connect() as connection:
        options = {"compare_type": is_other, "version_table": version_table_of(connection)}
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, Base.metadata)


def test_a_new_ledger_has_the_last_version(home):
    assert version_of(home) == SCHEMA_VERSION
    assert differences(open_ledger(home).engine) == []


def test_the_last_migration_is_the_programs_version():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == str(SCHEMA_VERSION)


def test_an_old_home_keeps_its_videos_edits_quarantine_and_flags(old_home):
    ledger = open_ledger(old_home)
    videos = {row.known.key: row.known for row in list_videos(ledger.engine, VideoQuery()).rows}
    assert set(videos) == {"harbour.mp4", "课/一.mp4", "broken.mp4", "copy of harbour.mp4"}
    made = videos["harbour.mp4"]
    assert (made.why, made.language, made.score, made.audio_s) == ("TAKEN", "en", 100.0, 16.832)
    assert ledger.files.find("harbour.mp4").taken is not None
    assert ledger.files.roots()["inbox"].videos == 4
    assert set(ledger.materializations.of("课/一.mp4")) == {
        "video", "audio", "transcript", "alignment", "subtitles",
    }  # fmt: skip
    video_hash = ledger.materializations.of("harbour.mp4")["subtitles"].video_hash
    edit = Edits(Storage(old_home / "artifacts", old_home / "tmp")).active(video_hash, "en")
    assert edit.cues[0].text == "Corrected by hand"
    (aside,) = ledger.failures.quarantined().values()
    assert (aside.key, aside.kind, aside.size_bytes) == ("broken.mp4", "media_unreadable", 4096)
    assert ledger.failures.last("copy of harbour.mp4").message == "Memory ran out"
    assert ledger.flags.get("backfills.paused").value == "owner@studio"


def test_the_files_of_an_old_home_are_the_first_that_a_process_reads(old_home):
    # A process of its own: whatever else uses the ledger would prepare its classes.
    code = (
        "import sys; from pathlib import Path; from yivideo_pipeline.ledger import open_ledger\n"
        "for key, file in sorted(open_ledger(Path(sys.argv[1])).files.read().items()):\n"
        "    print(key, file.why, file.taken is not None)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, old_home], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert ended.stdout.splitlines()[0] == "broken.mp4 UNREADABLE False"
    assert len(ended.stdout.splitlines()) == 4


def test_an_old_home_keeps_what_is_under_way(old_home):
    ledger = open_ledger(old_home)
    work = ledger.workers.at_work("copy of harbour.mp4")
    assert (work.stage, work.fraction, work.root_id) == ("transcript", 0.25, work.run_id)
    assert [one.kind for one in ledger.attempts.of("copy of harbour.mp4", "transcript", work.run_id)] == [
        "memory"
    ]
    (notice,) = ledger.outbox.waiting("webhook", MADE_AT + 3600)
    assert (notice.notice.subject, notice.attempts) == ("broken.mp4 was set aside", 1)
    assert notice.notice.body == ("broken.mp4: it can't be read", "hint")
    (callback,) = ledger.callbacks.due(2_000_000_000)
    assert (callback.url, callback.attempts) == ("http://127.0.0.1:9/callback", 0)


def test_an_old_homes_samples_say_what_is_known_of_their_runs(old_home):
    ledger = open_ledger(old_home)
    samples = ledger.samples.samples()
    assert sorted(set(zip(samples["key"], samples["success"], strict=True))) == [
        ("broken.mp4", 0), ("harbour.mp4", 1), ("课/一.mp4", 1),
    ]  # fmt: skip
    assert len(samples["id"]) == 11
    assert (set(samples["job"]), set(samples["trigger"])) == ({"process_video"}, {"cli"})
    assert all(started > created for created, started in _times(samples))
    assert samples["root_id"] == samples["run_id"]
    assert [one.success for one in ledger.requests.added()] == [True, True, False]
    assert len(ledger.machine.since(0)) == 1


def _times(samples) -> zip:
    return zip(samples["run_created_at"], samples["run_started_at"], strict=True)


def test_a_migrated_home_has_the_tables_of_a_new_one(old_home):
    assert differences(open_ledger(old_home).engine) == []
    assert version_of(old_home) == SCHEMA_VERSION


def test_processes_that_open_an_old_home_at_once_migrate_it_once(old_home):
    code = (
        "import sys; from pathlib import Path; from yivideo_pipeline.ledger import open_ledger;"
        "assert len(open_ledger(Path(sys.argv[1])).failures.quarantined()) == 1"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, old_home]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(open_ledger(old_home).samples.samples()["id"]) == 11


def test_a_migration_that_fails_leaves_the_home_as_it_was(old_home, monkeypatch):
    def fail(connection, version) -> None:
        connection.exec_driver_sql("ALTER TABLE made RENAME TO something")
        raise OSError("the disk is full")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="full"):
        patched.setattr(migrations, "migrate", fail)
        open_ledger(old_home)
    assert len(open_ledger(old_home).failures.quarantined()) == 1


def test_a_home_of_a_newer_program_is_refused_and_left_alone(home):
    make_newer(home)
    with pytest.raises(ConfigError, match=r"newer yivideo wrote .*version 99, this one knows up to"):
        open_ledger(home)
    engine = database.create_engine(f"sqlite:///{home / FILE}")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "99"
        assert "samples" in inspect(connection).get_table_names()


@pytest.mark.parametrize(
    "command",
    [["process", str(SAMPLE)], ["quarantine"], ["why", "inbox/a.mp4"], ["backfill"], ["serve"], ["up"]],
)
def test_a_home_of_a_newer_program_is_refused_in_one_line(home, command):
    make_newer(home)
    start = run if command[0] in ("process", "serve", "up") else call
    done = start(dict(os.environ), *command)
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("yivideo: A newer yivideo wrote ")
    assert "install that one again" in line


def test_a_ledger_that_is_no_database_is_refused_with_the_way_out(home):
    (home / FILE).write_text("this is no database")
    with pytest.raises(DiskError, match=r"library\.db is damaged \(file is not a database\)") as refused:
        open_ledger(home)
    assert refused.value.hint.startswith("Move it away")
    (home / FILE).unlink()
    assert open_ledger(home).failures.quarantined() == {}


@pytest.mark.parametrize("command", [["process", str(SAMPLE), "--json"], ["up"]])
def test_a_ledger_that_is_no_database_stops_a_command_in_one_line(home, command):
    (home / FILE).write_text("this is no database")
    done = subprocess.run(
        [sys.executable, "-m", "yivideo_pipeline", *command], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "library.db is damaged (file is not a database). Move it away" in line
    assert not done.stdout or json.loads(done.stdout)["error"]["kind"] == "disk"


def test_dagster_refuses_a_home_of_a_newer_program(home):
    make_newer(home)
    with pytest.raises(ConfigError, match="newer yivideo"):
        build_resources(load_settings())


def test_a_long_history_has_each_text_in_memory_once(home):
    ledger = open_ledger(home)
    record_video(ledger, "a long name.mp4", 100.0)
    columns = ledger.samples.samples()
    assert len(columns["key"]) == 5
    for name in ("key", "run_id", "device"):
        assert len({id(text) for text in columns[name] if text}) == 1
