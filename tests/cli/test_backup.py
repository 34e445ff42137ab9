"""`yivideo backup`, and a restore: the copy is used as the home of another machine."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.cli.command import SAMPLES, call, run, settings
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.errors.tree import TruncatedMedia
from yivideo_pipeline.ledger import open_ledger


def note_failure(home, key: str, url=None) -> None:
    failures = open_ledger(home, url).failures
    failed = failures.note_failure(
        key, "audio", "run-1", TruncatedMedia("It breaks off", "Copy it"), attempts=1
    )
    failures.quarantine(key, failed, 1000, 5)


def quarantined(home, url=None) -> list[str]:
    return sorted(open_ledger(home, url).failures.quarantined())


@pytest.mark.model
def test_a_restored_backup_knows_all_that_the_running_home_knew(tmp_path, model_dir, tiny_weights):
    environment = settings(tmp_path / "home", model_dir)
    video = shutil.copy(SAMPLES / "harbour-15s.mp4", tmp_path)
    assert run(environment, "process", video).returncode == 0
    note_failure(tmp_path / "home", "broken.mp4")
    (tmp_path / "home" / "config.yml").write_text("subtitles: {max_lines: 1}")
    with closing(sqlite3.connect(tmp_path / "home" / "library.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM quarantine")  # another program at work, which has not committed
        ended = call(environment, "backup", tmp_path / "backup")
        assert ended.returncode == 0, ended.stderr
    shutil.rmtree(tmp_path / "home")

    shutil.copytree(tmp_path / "backup", tmp_path / "restored")
    assert quarantined(tmp_path / "restored") == ["broken.mp4"]
    with open_instance(tmp_path / "restored") as instance:
        assert [run.status.value for run in instance.get_runs()] == ["SUCCESS"]
    (tmp_path / "restored" / "config.yml").unlink()
    again = run({**environment, "YIVIDEO_HOME": str(tmp_path / "restored")}, "process", video, "--json")
    [result] = json.loads(again.stdout)["videos"]
    assert result["already_processed"] and len(result["reused"]) == 5


def test_a_database_is_restored_from_its_dump_beside_the_home(home, tmp_path, model_dir, postgres):
    url = postgres.make_database()
    environment = settings(home, model_dir, YIVIDEO_STORAGE__DATABASE_URL=url.get_secret_value())
    note_failure(home, "broken.mp4", url)
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text("")
    assert call(environment, "backup", tmp_path / "backup").returncode == 0
    dump = tmp_path / "yivideo.dump"
    postgres.dump(url, dump)

    restored = postgres.make_database()
    postgres.restore(restored, dump)
    shutil.copytree(tmp_path / "backup", tmp_path / "restored")
    there = {
        "YIVIDEO_HOME": str(tmp_path / "restored"),
        "YIVIDEO_STORAGE__DATABASE_URL": restored.get_secret_value(),
    }
    [listed] = json.loads(call({**environment, **there}, "quarantine", "--json").stdout)
    assert listed["key"] == "broken.mp4"
    note_failure(tmp_path / "restored", "second.mp4", restored)  # numbers go on behind those of the dump
    assert quarantined(tmp_path / "restored", restored) == ["broken.mp4", "second.mp4"]


@pytest.fixture
def kept(home, tmp_path, model_dir):
    """A home with a ledger and an instance, and how its command is called."""
    note_failure(home, "first.mp4")
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text("")
    for folder in ("refs", "tmp/work-1", "checkpoints/1"):
        (home / "artifacts" / folder).mkdir(parents=True)
        (home / "artifacts" / folder / "a.json").write_text("{}")
    environment = settings(home, model_dir)
    assert call(environment, "backup", tmp_path / "backup").returncode == 0
    return environment


def test_the_next_backup_takes_what_has_changed_and_leaves_nothing_half_copied(home, tmp_path, kept):
    backup, reference = tmp_path / "backup", home / "artifacts" / "refs" / "a.json"
    before = (backup / "dagster" / "dagster.yaml").stat().st_ino
    note_failure(home, "second.mp4")
    reference.write_text("{ }")
    assert call(kept, "backup", backup).returncode == 0
    assert sorted(quarantined(backup)) == ["first.mp4", "second.mp4"]
    assert (backup / "artifacts" / "refs" / "a.json").read_text() == "{ }"
    assert (backup / "dagster" / "dagster.yaml").stat().st_ino == before, "it has not changed, so it is kept"
    assert not list(backup.rglob("*.part*"))
    assert [file.parent.name for file in backup.rglob("a.json")] == ["refs"], "not what is in the works"


def test_settings_with_secrets_stay_as_private_as_they_are(home, tmp_path, kept):
    (home / "config.yml").write_text("{}")
    (home / "config.yml").chmod(0o600)
    assert call(kept, "backup", tmp_path / "backup").returncode == 0
    assert (tmp_path / "backup" / "config.yml").stat().st_mode & 0o777 == 0o600


def test_a_damaged_database_is_named_and_its_last_good_copy_stays(home, tmp_path, kept):
    for file in home.glob("library.db*"):
        file.unlink()  # not written over: this process may have it open, and would mend it when it closes it
    (home / "library.db").write_bytes(b"no database at all, but longer than a header of SQLite is" * 20)
    ended = call(kept, "backup", tmp_path / "backup")
    assert ended.returncode == 1
    assert "library.db can't be copied (file is not a database)" in ended.stderr
    assert quarantined(tmp_path / "backup") == ["first.mp4"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("home/backup", "is in the home folder itself"),
        ("full", "is neither empty nor a backup"),
        ("other", "is a backup of /somewhere/else"),
    ],
)
def test_a_folder_that_is_no_place_for_it_is_refused(home, tmp_path, kept, place, reason):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "film.mp4").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "backup.json").write_text('{"home": "/somewhere/else"}')
    ended = call(kept, "backup", tmp_path / place)
    assert ended.returncode == 2
    assert reason in ended.stderr


def test_a_home_that_holds_nothing_is_refused(home, tmp_path, model_dir):
    ended = call(settings(home, model_dir), "backup", tmp_path / "backup")
    assert ended.returncode == 2
    assert "holds nothing yet" in ended.stderr
    assert not (tmp_path / "backup").exists()


def test_what_is_elsewhere_is_said(home, tmp_path, kept):
    (tmp_path / "own.yml").write_text("storage: {root: 'memory://bucket'}")
    ended = call(kept, "backup", tmp_path / "backup", "--config", tmp_path / "own.yml")
    lines = ended.stdout.splitlines()
    assert "The artifacts in memory://bucket are not in it." in lines
    assert any(line.startswith("The settings file ") and "own.yml is not in it" in line for line in lines)
