"""A video that is done needs no run; one of which anything has changed does."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import pytest

from tests.cli.command import SAMPLES, run, settings, summary
from tests.waiting import TIMEOUT_S
from yivideo_pipeline.cli.finished import FinishedVideos, state_of
from yivideo_pipeline.cli.folders import ledger_of
from yivideo_pipeline.cli.preflight import ProcessOptions
from yivideo_pipeline.defs.processed import Processed
from yivideo_pipeline.ledger.database import values_of
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import key_of

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("finished")


@pytest.fixture(scope="module")
def environment(place, model_dir, tiny_weights):
    return settings(place / "home", model_dir)


@pytest.fixture(scope="module")
def video(place):
    return Path(copyfile(SAMPLES / "harbour-15s.mp4", place / "harbour.mp4"))


@pytest.fixture(scope="module")
def first(environment, video):
    ended = run(environment, "process", video, "--json")
    assert ended.returncode == 0, ended.stderr
    return summary(ended)["videos"][0]


class Command:
    """What a command with the settings' options finds done, and notes."""

    def __init__(self, environment, video, monkeypatch):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        self.settings = load_settings(None)
        self.ledger = ledger_of(self.settings)
        self.storage = Storage(self.settings.storage.root, self.settings.home / "tmp")
        self.video = video
        self.key = key_of(video, self.settings.library.roots)

    def finished(self, output_dir=None, **options):
        subtitles = self.settings.subtitles.model_copy(update=options)
        return FinishedVideos(
            self.settings,
            ProcessOptions(self.settings.speech.options, subtitles),
            output_dir,
            LocalSpeech(self.settings),
            self.ledger,
            self.storage,
        )

    def find(self, **asked):
        return self.finished(**asked).find({self.key: self.video}).get(self.key)


@pytest.fixture
def command(first, environment, video, monkeypatch):
    command = Command(environment, video, monkeypatch)
    yield command
    command.ledger.engine.dispose()


def test_what_is_done_is_reported_as_its_run_did_and_dagster_is_not_imported(first, environment, video):
    script = (
        "import sys\nfrom yivideo_pipeline.cli.app import main\n"
        "try:\n    main()\n"
        "finally:\n    print('dagster' in sys.modules, file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "process", video, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert ended.stderr.splitlines()[-1] == "False"
    (again,) = json.loads(ended.stdout)["videos"]
    assert again["already_processed"]
    changed = {"wall_s", "rtfx", "reused", "already_processed"}
    assert {name: again[name] for name in again if name not in changed} == {
        name: first[name] for name in first if name not in changed
    }


@pytest.fixture
def done(command, first):
    """The outcome of the video, whose file and subtitles stand in the ledger as they are now."""
    subtitles = Path(first["files"][0])
    content = subtitles.read_bytes()
    run_id = command.ledger.materializations.of(command.key)["subtitles"].run_id
    outcome = Processed(command.key, run_id, 1.0, None, files=(subtitles,))
    command.finished().note(command.video, state_of(command.video), outcome)
    assert command.find() == replace(outcome, wall_s=0.0, reused=tuple(STAGES))
    yield outcome
    subtitles.write_bytes(content)
    command.finished().note(command.video, state_of(command.video), outcome)


def change_video(command, _done):
    data, before = command.video.read_bytes(), command.video.stat()
    command.video.write_bytes(data)
    os.utime(command.video, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_subtitles(_command, done):
    with done.files[0].open("a") as file:
        file.write("\n")


def delete_subtitles(_command, done):
    done.files[0].unlink()


@pytest.mark.parametrize("change", [change_video, change_subtitles, delete_subtitles])
def test_a_file_that_was_changed_since_is_looked_at_again(command, done, change):
    change(command, done)
    assert command.find() is None


def test_what_another_run_made_since_counts(command, done):
    made = command.ledger.materializations.of(command.key)["transcript"]
    later = values_of(made)
    later["run_id"] = "a later one"
    command.ledger.materializations.note(Materialization(**later))
    assert command.find() is None
    command.ledger.materializations.note(made)
    assert command.find()


def test_what_another_version_noted_is_understood(command, done):
    (run,) = command.ledger.finished.asked(command.finished().asked, [command.key])
    run.outcome = json.dumps({**json.loads(run.outcome), "a later figure": 1.0})
    command.ledger.finished.note(run)
    assert command.find().files == done.files


def test_subtitles_that_were_deleted_are_delivered_by_a_run(first, environment, video):
    subtitles = Path(first["files"][0])
    content = subtitles.read_bytes()
    subtitles.unlink()
    again = summary(run(environment, "process", video, "--json"))["videos"][0]
    assert again["run_id"] != first["run_id"]
    assert subtitles.read_bytes() == content


def test_what_was_not_asked_for_is_not_done(command, done, tmp_path):
    assert command.find(output_dir=tmp_path) is None
    assert command.find(max_lines=1) is None
    assert command.finished().find({command.key: tmp_path / "another place.mp4"}) == {}


def test_a_damaged_result_is_not_taken_for_done(command, done):
    subtitles = command.storage.find_latest(command.key, "subtitles")
    name = f"{subtitles.folder}/{next(iter(subtitles.files))}"
    whole = command.storage.files.read(name)
    command.storage.files.write(name, whole[::-1])
    assert command.find() is None
    command.storage.files.write(name, whole)
    assert command.find()


def test_a_video_that_was_changed_while_it_was_processed_is_not_done(command, done):
    before = state_of(command.video)
    assert before
    before[1] -= 1
    command.finished().note(command.video, before, done)
    assert command.find() is None


def test_a_video_that_was_gone_while_it_was_processed_is_not_noted(command, done):
    command.finished(max_lines=1).note(command.video, None, done)
    assert command.find(max_lines=1) is None
    assert command.find()
