import json
import os
import time
from shutil import copyfile
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from tests.cli.command import SAMPLES, call, run, settings
from yivideo_pipeline.cli.running_ui import note_ui
from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.errors.tree import ModelInferenceError
from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.ledger.files import FileRecord, Stamp
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.ledger.samples import RunOrigin
from yivideo_pipeline.stages import JOB, PARTITION_TAG, STAGES

KEY = "2024/talk.mp4"
HASH = "c" * 64


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir)


@pytest.fixture
def ledger(home):
    return open_ledger(home)


@pytest.fixture
def video(home):
    file = home / "inbox" / KEY
    file.parent.mkdir(parents=True)
    copyfile(SAMPLES / "harbour-15s.mp4", file)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    return file


@pytest.fixture
def taken(video, ledger):
    """The video, taken by the watch an hour ago."""
    stamp = Stamp(video.stat().st_size, video.stat().st_mtime_ns)
    hour_ago = time.time() - 3600
    ledger.files.write([FileRecord(KEY, "inbox", *stamp, first_seen=hour_ago, steady_since=hour_ago)])
    ledger.files.note_taken({KEY: stamp})
    return video


def made(stage: str, video_hash: str = HASH, **more: Any) -> Materialization:
    recipe = f"{STAGES[stage].code_version}.aaaaaaaaaaaa"
    return Materialization(KEY, stage, "k", recipe, False, video_hash, time.time(), "run-1", False, **more)


def fail(ledger: Ledger, video) -> None:
    error = ModelInferenceError("The model gave up\nat 3 s", "Take a smaller one")
    failed = ledger.failures.note_failure(KEY, "transcript", "run-2", error, attempts=3)
    ledger.failures.quarantine(KEY, failed, video.stat().st_size, video.stat().st_mtime_ns)


def answer(environment, file):
    ended = call(environment, "why", file, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def lines(environment, file):
    ended = call(environment, "why", file)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_a_file_that_may_still_be_written_waits(environment, video):
    explanation = answer(environment, video)
    assert (explanation["action"], explanation["why"], explanation["key"]) == ("wait", "SETTLING", KEY)
    assert lines(environment, video)[0].startswith("watch      waiting. It may still be written:")


@pytest.mark.parametrize(
    ("name", "why"), [("talk.mp4.part", "TEMPORARY"), (".talk.mp4", "HIDDEN"), ("talk.txt", "OTHER_ENDING")]
)
def test_a_name_that_is_skipped_has_its_reason(environment, video, name, why):
    other = video.rename(video.with_name(name))
    assert answer(environment, other)["why"] == why


def test_what_was_taken_but_not_begun_waits_for_its_run(environment, taken):
    printed = lines(environment, taken)
    assert printed[0] == "watch      known. It was taken before, and the file is the same."
    assert "at work    not yet: it was taken, and its run is queued" in printed


def test_a_retry_that_waits_has_its_place(environment, taken, ledger, home):
    error = ModelInferenceError("The model gave up", "Take a smaller one")
    with open_instance(home) as instance:
        root = str(uuid4())
        ledger.failures.note_failure(KEY, "transcript", root, error, attempts=1)
        for key in ("other.mp4", KEY):
            retry = dg.DagsterRun(
                JOB,
                status=dg.DagsterRunStatus.QUEUED,
                tags={PARTITION_TAG: key},
                root_run_id=root,
                parent_run_id=root,
                remote_job_origin=job_origin(JOB),
            )
            instance.add_run(retry)
    printed = lines(environment, taken)
    assert "at work    not yet: it waits for its next try, place 2 in the queue" in printed
    assert any(line.startswith("last try") and "The model gave up" in line for line in printed)
    assert answer(environment, taken)["pending"]["place"] == 2


def test_what_a_living_worker_works_on_is_shown(environment, taken, ledger):
    ledger.workers.begin(KEY, "transcript", RunOrigin("run-1", "run-1"))
    assert any(line.startswith("at work    transcript, since ") for line in lines(environment, taken))


def test_each_stage_shows_when_and_by_what_it_was_made_and_whether_it_is_stale(environment, taken, ledger):
    ledger.materializations.note(made("video", video_hash="new"))
    ledger.materializations.note(made("audio", video_hash="new"))
    ledger.materializations.note(
        made("transcript", model="base", compute_type="int8", device="cpu", rtfx=8.25)
    )
    explanation = {stage["made"]["stage"]: stage["stale"] for stage in answer(environment, taken)["stages"]}
    assert list(explanation) == ["video", "audio", "transcript"]
    assert explanation["transcript"] == "the video was changed since"
    assert explanation["audio"] == "the settings have changed since"
    (line,) = [line for line in lines(environment, taken) if line.startswith("transcript")]
    assert "base in int8 on cpu, 8.2 × real time, stale: the video was changed since" in line


def test_a_transcript_by_other_weights_names_their_revision(environment, taken, ledger, tiny_weights):
    revisions = {"sha256:" + "0" * 64: "its weights were of revision sha256:000000000000"}
    for revision, why in {**revisions, tiny_weights.revision: "the settings have changed since"}.items():
        ledger.materializations.note(made("transcript", model="tiny.en", revision=revision))
        (stage,) = answer(environment, taken)["stages"]
        assert stage["stale"] == why


def test_the_last_run_is_named_with_its_outcome_and_page(environment, taken, ledger):
    ledger.materializations.note(made("audio"))
    assert answer(environment, taken)["last_run"]["outcome"] == "got as far as the audio"
    ledger.materializations.note(made("subtitles"))
    (line,) = [line for line in lines(environment, taken) if line.startswith("last run")]
    assert line.endswith("subtitles were made: http://127.0.0.1:3000/runs/run-1")


def test_its_page_is_where_the_ui_was_started_last_or_as_set(environment, taken, ledger, home):
    ledger.materializations.note(made("subtitles"))
    (home / "dagster").mkdir()
    note_ui(home, "http://127.0.0.1:3105", "http://127.0.0.1:8788")
    assert answer(environment, taken)["last_run"]["url"] == "http://127.0.0.1:3105/runs/run-1"
    named = {**environment, "YIVIDEO_NOTICES__UI_URL": "https://dagster.example/"}
    assert answer(named, taken)["last_run"]["url"] == "https://dagster.example/runs/run-1"


def test_a_quarantined_video_has_its_reason_and_how_it_is_released(environment, taken, ledger):
    fail(ledger, taken)
    printed = lines(environment, taken)
    assert printed[0].startswith(
        "watch        skipped. It is quarantined for its failures (The model gave up"
    )
    assert any("3 attempts: The model gave up; at 3 s. Take a smaller one." in line for line in printed)
    assert f"`yivideo quarantine release {KEY}`" in printed[-1]
    assert answer(environment, taken)["quarantined"]["failed"]["kind"] == "model_inference"


def test_a_released_video_is_taken_as_new(environment, taken, ledger):
    fail(ledger, taken)
    assert run(environment, "quarantine", "release", taken).returncode == 0
    explanation = answer({**environment, "YIVIDEO_LIBRARY__SETTLE_S": "0"}, taken)
    assert (explanation["action"], explanation["why"]) == ("take", "NEW")


def test_a_deleted_video_is_explained_too(environment, taken):
    taken.unlink()
    assert answer(environment, taken)["why"] == "MISSED"


def test_a_file_outside_of_the_library_is_sent_to_the_command(environment, home):
    printed = lines(environment, SAMPLES / "harbour-15s.mp4")
    assert printed[0].startswith("watch      skipped. It lies in none of the library's roots.")
    assert "`yivideo process" in printed[1]


def test_asking_changes_nothing(environment, video, ledger):
    answer(environment, video)
    assert ledger.files.read() == {}


def test_a_folder_is_wrong_usage_with_a_way_out(environment, video):
    ended = run(environment, "why", video.parent)
    assert ended.returncode == 2
    assert "is a folder. Name a file in it" in ended.stderr


def test_a_file_that_is_not_there_and_not_known_is_wrong_usage(environment, home):
    ended = run(environment, "why", home / "inbox" / "no\nne.mp4")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert r"no\nne.mp4" in ended.stderr
