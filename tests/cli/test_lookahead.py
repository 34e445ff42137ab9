import threading
from shutil import copyfile

import pytest

from tests.cli.command import SAMPLES
from tests.media.media_files import write_media
from yivideo_pipeline.cli.lookahead import LookAhead
from yivideo_pipeline.media import probe as probing

HARBOUR_S = pytest.approx(16.8, abs=0.1)
LONG_ENOUGH_S = 60.0


@pytest.fixture
def look_ahead():
    with LookAhead() as ahead:
        yield ahead


def test_what_cannot_be_transcribed_is_refused_with_its_reason_and_stage(look_ahead, tmp_path):
    good = SAMPLES / "harbour-15s.mp4"
    text, empty, picture, gone = (
        tmp_path / name for name in ("text.mp4", "empty.mkv", "mute.mp4", "gone.mp4")
    )
    text.write_text("no video")
    empty.touch()
    write_media(picture, [], video_s=1)

    look_ahead.begin([good, text, empty, picture, gone])

    refused = {path.name: look_ahead.refusal_of(path) for path in (good, text, empty, picture, gone)}
    assert {name: error and (error.kind, error.context.stage) for name, error in refused.items()} == {
        "harbour-15s.mp4": None,
        "text.mp4": ("media_unreadable", "video"),
        "empty.mkv": ("media_unreadable", "video"),
        "mute.mp4": ("media_no_audio", "audio"),
        "gone.mp4": ("media_unreadable", "video"),
    }


def test_a_file_that_was_completed_meanwhile_is_not_refused(look_ahead, tmp_path):
    video = tmp_path / "video.mp4"
    video.write_text("the first bytes of a copy")
    look_ahead.begin([video])
    assert look_ahead.refusal_of(video)
    copyfile(SAMPLES / "harbour-15s.mp4", video)
    assert look_ahead.refusal_of(video) is None


def test_several_files_are_open_at_once(look_ahead, tmp_path, monkeypatch):
    together = threading.Barrier(4, timeout=LONG_ENOUGH_S)

    def probe(path):
        together.wait()  # passes only where four have come this far
        return real(path)

    real = probing.probe
    monkeypatch.setattr(probing, "probe", probe)
    paths = [tmp_path / f"{number}.mp4" for number in range(4)]
    for path in paths:
        path.write_text("no video")
    look_ahead.begin(paths)
    assert all(look_ahead.refusal_of(path).kind == "media_unreadable" for path in paths)


def test_durations_are_known_by_file_and_estimated_by_size_for_those_not_open_in_time(
    look_ahead, tmp_path, monkeypatch
):
    first, second, text = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4"
    copyfile(SAMPLES / "harbour-15s.mp4", first)
    copyfile(first, second)
    text.write_text("no video")
    go_on = threading.Event()

    def probe(path):
        if path == second:
            go_on.wait(LONG_ENOUGH_S)
        return real(path)

    real = probing.probe
    monkeypatch.setattr(probing, "probe", probe)
    look_ahead.begin([first, text, second])
    assert look_ahead.refusal_of(first) is None
    assert look_ahead.refusal_of(text)
    estimated = look_ahead.estimate_durations(within_s=0)
    go_on.set()
    assert list(estimated) == [first, text, second]
    assert (estimated[first], estimated[text], estimated[second]) == (HARBOUR_S, None, HARBOUR_S)


def test_no_further_files_are_opened_after_the_end(tmp_path, monkeypatch):
    opened, go_on = [], threading.Event()

    def probe(path):
        opened.append(path)
        go_on.wait(LONG_ENOUGH_S)
        return real(path)

    real = probing.probe
    monkeypatch.setattr(probing, "probe", probe)
    paths = [tmp_path / f"{number}.mp4" for number in range(100)]
    with LookAhead() as ahead:
        ahead.begin(paths)
    go_on.set()
    assert len(opened) <= 8
