"""`yivideo process` interrupted or without room in the middle of the work; and what a terminal shows."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from shutil import copyfile

import pytest

from tests.cli.command import PROGRAM, SAMPLES, run, settings, start, summary
from tests.waiting import TIMEOUT_S, wait_for

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("trouble")


@pytest.fixture(scope="module")
def environment(place, model_dir, tiny_weights):
    return settings(place / "home", model_dir, YIVIDEO_RETRY__MAX_ATTEMPTS="1")


@pytest.fixture(scope="module")
def videos(place):
    """A minute of speech between two short videos of the same content."""
    folder = place / "videos"
    folder.mkdir()
    copyfile(SAMPLES / "harbour-15s.mp4", folder / "1 short.mp4")
    copyfile(SAMPLES / "lighthouse-60s.mkv", folder / "2 long.mkv")
    copyfile(SAMPLES / "harbour-15s.mp4", folder / "3 short.mp4")
    return folder


@pytest.fixture(scope="module")
def stopped(environment, videos, place):
    """Ctrl-C while the long one is recognized: its sound is decoded, its transcript is not there."""
    program = start(environment, "process", videos, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    sounds = place / "home" / "artifacts" / "videos"

    def is_at_the_second_video() -> bool:
        assert program.poll() is None, program.communicate()
        return len(list(sounds.glob("*/audio-*/manifest.json"))) == 2

    wait_for(is_at_the_second_video, poll_s=0.02)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=TIMEOUT_S)
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


def test_ctrl_c_ends_with_what_was_kept(stopped, videos):
    assert stopped.returncode == 130
    report = summary(stopped)
    assert [video["status"] for video in report["videos"]] == ["done", "interrupted", "not_started"]
    assert (videos / "1 short.en.srt").exists()
    assert not (videos / "2 long.en.srt").exists()
    assert "1 of 3 videos are done" in stopped.stderr
    assert "Traceback" not in stopped.stderr


def test_the_interrupted_run_is_closed_in_dagster(stopped, place):
    import dagster as dg

    from yivideo_pipeline.defs.instance import open_instance

    with open_instance(place / "home") as instance:
        statuses = [run.status for run in instance.get_runs()]
    assert statuses[1:] == [dg.DagsterRunStatus.SUCCESS]
    # Between two stages Dagster takes an interruption for a failure.
    assert statuses[0] in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE)


def test_the_same_command_goes_on_from_there(stopped, environment, videos):
    ended = run(environment, "process", videos, "--json")
    assert ended.returncode == 0, ended.stderr
    report = summary(ended)["by_name"]
    assert report["1 short.mp4"]["already_processed"]
    assert report["2 long.mkv"]["reused"] == ["video", "audio"]
    assert (videos / "2 long.en.srt").exists()


def test_a_terminal_sees_bars_and_then_the_table(stopped, environment, videos):
    master, terminal = pty.openpty()
    seen = b""
    with subprocess.Popen(
        [PROGRAM, "process", "1 short.mp4", "3 short.mp4", "--format", "txt"],
        env={**environment, "TERM": "xterm", "COLUMNS": "120"},
        cwd=videos,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as program:
        os.close(terminal)
        try:
            while data := os.read(master, 65_536):
                seen += data
        except OSError:  # how Linux reports that the other end is closed
            os.close(master)
    text = seen.decode()
    assert program.returncode == 0, text
    assert "━" in text
    assert "of 2 videos" in text
    assert "1 short.en.txt" in text


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2.3 MB: enough for the sound of two short videos, not for a minute more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2300k", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_folder_that_cannot_be_written_is_reported_and_harms_no_other(environment, small_disk, tmp_path):
    copyfile(SAMPLES / "harbour-15s.mp4", small_disk / "a.mp4")
    copyfile(SAMPLES / "harbour-15s.mp4", tmp_path / "b.mp4")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    ended = run(environment, "process", small_disk, tmp_path / "b.mp4", "--json")
    report = summary(ended)["by_name"]
    assert ended.returncode == 1
    assert report["a.mp4"]["error"]["kind"] == "disk"
    assert "--output-dir" in report["a.mp4"]["error"]["hint"]
    assert report["a.mp4"]["run_id"] is None, "nothing was computed for it"
    assert report["b.mp4"]["status"] == "done"


def test_a_disk_too_small_for_the_audio_is_reported_before_anything_begins(environment, videos, small_disk):
    cramped = {**environment, "YIVIDEO_STORAGE__ROOT": str(small_disk)}
    ended = run(cramped, "process", videos / "2 long.mkv", "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["error"]["kind"] == "disk"
    assert "are needed for the sound of the videos" in ended.stderr
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_in_the_middle_harms_no_other_video(environment, small_disk, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    copyfile(SAMPLES / "harbour-15s.mp4", folder / "1.mp4")
    hide_length(copyfile(SAMPLES / "lighthouse-60s.mkv", folder / "2.mkv"))
    copyfile(SAMPLES / "harbour-15s.mp4", folder / "3.mp4")
    cramped = {**environment, "YIVIDEO_STORAGE__ROOT": str(small_disk)}
    logged = Path(environment["YIVIDEO_HOME"], "logs", "yivideo.log")
    before = logged.read_text() if logged.exists() else ""
    ended = run(cramped, "process", folder, "--json")
    assert ended.returncode == 1, ended.stderr
    report = summary(ended)["by_name"]
    assert report, ended.stderr
    assert report["2.mkv"]["error"]["kind"] == "disk"
    assert "Traceback" not in logged.read_text().removeprefix(before) + ended.stderr
    assert [report[name]["status"] for name in ("1.mp4", "2.mkv", "3.mp4")] == ["done", "failed", "done"]
    assert "full" in report["2.mkv"]["error"]["message"]
    assert list(small_disk.glob("tmp/*")) == [], "nothing half-written is left"


def hide_length(file: Path) -> None:
    """Take the duration out of a Matroska file, so that no estimate includes it."""
    content = bytearray(file.read_bytes())
    at = content.index(b"\x44\x89\x88")  # Duration, 8 bytes
    content[at : at + 2] = b"\xec\x89"  # Void, 9 bytes
    file.write_bytes(content)
