import os
import tempfile
from pathlib import Path

import pytest

from yivideo_pipeline.cli.console import WrongUsage
from yivideo_pipeline.cli.lookahead import LookAhead
from yivideo_pipeline.cli.preflight import ProcessOptions, find_videos, plan_videos
from yivideo_pipeline.errors.tree import ConfigValidationError, DiskFull
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import differences
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.speech.weights import WeightsStatus

EXTENSIONS = (".mp4", ".mkv", ".wav")
NOTHING = {"model_name": None, "language": None, "batch_size": None}


def find(*paths, ignored=()):
    return find_videos(paths, EXTENSIONS, ignored)


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "A.MKV", "notes.txt", ".hidden.mp4", "deep/er/c.mp4", ".trash/d.mp4"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


def test_a_folder_is_searched_recursively_in_a_steady_order(folder):
    found = [path.relative_to(folder).as_posix() for path in find(folder).videos]
    assert found == ["A.MKV", "b.mp4", "deep/er/c.mp4"]


def test_a_file_given_by_name_is_taken_whatever_it_is_called(folder):
    assert find(folder / "notes.txt", folder / ".hidden.mp4").videos == (
        folder / "notes.txt",
        folder / ".hidden.mp4",
    )


def test_a_video_named_twice_is_taken_once(folder):
    assert (
        find(folder / "b.mp4", folder / "deep" / ".." / "b.mp4", folder).videos.count(folder / "b.mp4") == 1
    )


def test_decoded_audio_of_our_own_is_not_a_video(folder):
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "audio.wav").touch()
    assert folder / "artifacts" / "audio.wav" in find(folder).videos
    assert folder / "artifacts" / "audio.wav" not in find(folder, ignored=[folder / "artifacts"]).videos


def test_a_path_that_is_not_there_is_wrong_usage(folder):
    with pytest.raises(WrongUsage, match=r"no .*go\\nne.mp4"):
        find(folder, folder / "go\nne.mp4")


def test_nothing_found_is_wrong_usage(tmp_path):
    with pytest.raises(WrongUsage, match="no video"):
        find(tmp_path)


@pytest.fixture
def as_nobody():
    """Permissions don't bind root: act as another user, in a folder that they can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def test_an_unreadable_folder_is_reported_and_the_others_are_searched(as_nobody):
    for name in ("unreadable/a.mp4", "open/b.mp4"):
        (as_nobody / name).parent.mkdir()
        (as_nobody / name).touch()
    (as_nobody / "unreadable").chmod(0)
    found = find(as_nobody)
    (as_nobody / "unreadable").chmod(0o700)
    assert found.videos == (as_nobody / "open" / "b.mp4",)
    ((path, error),) = found.unreadable
    assert path == as_nobody / "unreadable"
    assert "Permission denied" in str(error)


def choose(speech, subtitles):
    """The options that apply, with the command line's in place of the settings' own."""
    settings = load_settings()
    return ProcessOptions(settings.speech.options, settings.subtitles).override(speech, subtitles)


def test_what_is_not_given_stays_as_the_settings_say(home):
    chosen = choose(NOTHING, {"formats": None})
    assert chosen.speech == load_settings().speech.options
    assert chosen.subtitles == load_settings().subtitles


def test_what_is_given_is_understood_once(home, tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    chosen = choose({"language": "German", "model_name": "./weights"}, {"formats": "srt,vtt"})
    settings = load_settings()
    assert differences(chosen.speech, settings.speech.options) == {
        "language": "de",
        "model_name": str(tmp_path / "weights"),
    }
    assert differences(chosen.subtitles, settings.subtitles) == {"formats": ["srt", "vtt"]}


def test_every_wrong_flag_is_named_at_once(home):
    given = {**NOTHING, "batch_size": 99, "model_name": "bse"}
    with pytest.raises(ConfigValidationError) as refused:
        choose(given, {"formats": "srt,doc"})
    lines = refused.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["--model", "--batch-size", "--format"]
    assert "did you mean base?" in lines[0]


def test_a_track_is_asked_for_by_number_or_language(home):
    assert choose({"audio_track": "2"}, {}).speech.audio_track == "2"
    assert choose({"audio_track": "Japanese"}, {}).speech.audio_track == "ja"
    with pytest.raises(ConfigValidationError, match="--audio-track: '0' is no audio track: give its number"):
        choose({"audio_track": "0"}, {})


def test_a_flag_that_does_not_go_with_the_settings_is_refused(home, monkeypatch):
    monkeypatch.setenv("YIVIDEO_SPEECH__LANGUAGE", "zh")
    with pytest.raises(ConfigValidationError, match=r"tiny\.en supports English only"):
        choose({"model_name": "tiny.en"}, {})


class NoModel(LocalSpeech):
    """Stands for the speech models, which are not needed to look at files and disks."""

    def __init__(self):
        pass

    def choose(self, options):
        return ModelChoice(options)

    def check(self, options):
        return ()

    def weights(self, options):
        return WeightsStatus("present", "")


class Known(LookAhead):
    """Stands for the look ahead: the durations are known."""

    def __init__(self, durations):
        self.durations = durations

    def begin(self, paths):
        assert list(paths) == list(self.durations)

    def estimate_durations(self, within_s):
        return self.durations


def plan(durations):
    settings = load_settings()
    known = Known(durations)
    return plan_videos(settings, settings.speech.options, list(durations), None, NoModel(), known)


def test_a_video_whose_sound_alone_fills_the_disk_stops_no_other(home, folder):
    planned = plan({folder / "b.mp4": 1e12, folder / "A.MKV": 10.0})
    assert [video.path for video in planned.videos] == [folder / "b.mp4", folder / "A.MKV"]
    assert list(planned.blocked) == [folder / "b.mp4"]
    assert "for the sound of this video" in planned.blocked[folder / "b.mp4"].message


def test_videos_that_all_need_more_than_the_disk_has_are_refused_together(home, folder):
    with pytest.raises(DiskFull, match="the sound of the videos"):
        plan({folder / "b.mp4": 1e12})


def test_a_pipe_is_said_to_be_one_before_its_folder_is_blamed(home, folder):
    os.mkfifo(folder / "pipe.mp4")
    planned = plan({folder / "pipe.mp4": None, folder / "b.mp4": 10.0})
    ((path, error),) = planned.blocked.items()
    assert path == folder / "pipe.mp4"
    assert error.message == "This is a pipe (FIFO), not a file"
