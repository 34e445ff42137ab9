"""What goes wrong in the middle: Ctrl-C, a full disk; and what a terminal shows."""

import json
import os
import pty
import signal
import subprocess
import time
import wave
from pathlib import Path
from shutil import copyfile

import pytest
from command import PROGRAM, SAMPLES, run, settings, start, summary

from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import probe
from yivideo_pipeline.media.select import choose_audio_stream

pytestmark = pytest.mark.model
LONG_REPEATS = 2


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("trouble")


@pytest.fixture(scope="module")
def environment(place, model_dir, tiny_weights):
    return settings(place / "home", model_dir, YIVIDEO_RETRY__MAX_ATTEMPTS="1")


@pytest.fixture(scope="module")
def videos(place):
    """A short one, and two minutes of speech, on which the model works for a while."""
    folder = place / "videos"
    folder.mkdir()
    copyfile(SAMPLES / "harbour-15s.mp4", folder / "1 short.mp4")
    source = SAMPLES / "lighthouse-60s.mkv"
    stream = choose_audio_stream(probe(source), "auto")
    sound = decode_audio(source, place / "sound.wav", stream).audio
    with wave.open(str(sound.path)) as once, wave.open(str(folder / "2 long.wav"), "w") as repeated:
        repeated.setparams(once.getparams())
        repeated.writeframes(once.readframes(once.getnframes()) * LONG_REPEATS)
    copyfile(SAMPLES / "harbour-15s.mp4", folder / "3 short.mp4")
    return folder


@pytest.fixture(scope="module")
def stopped(environment, videos, place):
    """Ctrl-C while the long one is recognized: its sound is decoded, its transcript is not there."""
    program = start(environment, "process", videos, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    sounds = place / "home" / "artifacts" / "videos"
    while len(list(sounds.glob("*/audio-*/manifest.json"))) < 2:
        assert program.poll() is None, program.communicate()
        time.sleep(0.02)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


def test_ctrl_c_ends_with_what_was_kept(stopped, videos):
    assert stopped.returncode == 130
    told = summary(stopped)
    assert [video["status"] for video in told["videos"]] == ["done", "interrupted", "not_started"]
    assert (videos / "1 short.en.srt").exists()
    assert not (videos / "2 long.en.srt").exists()
    assert "1 of 3 videos are done" in stopped.stderr
    assert "Traceback" not in stopped.stderr


def test_the_interrupted_run_is_closed_in_dagster(stopped, place):
    import dagster as dg

    from yivideo_pipeline.defs.instance import open_instance

    with open_instance(place / "home") as instance:
        statuses = [run.status for run in instance.get_runs()]
    assert statuses == [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS]


def test_the_same_command_goes_on_from_there(stopped, environment, videos):
    ended = run(environment, "process", videos, "--json")
    assert ended.returncode == 0, ended.stderr
    told = summary(ended)["by_name"]
    assert told["1 short.mp4"]["already_processed"]
    assert told["2 long.wav"]["reused"] == ["video", "audio"]
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
        except OSError:  # how Linux tells that nobody holds the other end any more
            os.close(master)
    text = seen.decode()
    assert program.returncode == 0, text
    assert "━" in text
    assert "of 2 videos" in text
    assert "1 short.en.txt" in text


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_too_small_for_the_sound_is_told_before_anything_begins(environment, videos, small_disk):
    cramped = {**environment, "YIVIDEO_STORAGE__ROOT": str(small_disk)}
    ended = run(cramped, "process", videos / "2 long.wav", "--json")
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
    ended = run(cramped, "process", folder, "--json")
    assert ended.returncode == 1, ended.stderr
    told = summary(ended)["by_name"]
    assert [told[name]["status"] for name in ("1.mp4", "2.mkv", "3.mp4")] == ["done", "failed", "done"]
    assert "full" in told["2.mkv"]["error"]["message"]
    assert list(small_disk.glob("tmp/*")) == [], "nothing half-written is left"


def hide_length(file: Path) -> None:
    """Take the duration out of a Matroska file, so that no estimate warns of it."""
    content = bytearray(file.read_bytes())
    at = content.index(b"\x44\x89\x88")  # Duration, 8 bytes
    content[at : at + 2] = b"\xec\x89"  # Void, 9 bytes
    file.write_bytes(content)
