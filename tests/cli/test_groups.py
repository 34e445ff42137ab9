from pathlib import Path

from yivideo_pipeline.cli.preflight import PlannedVideo
from yivideo_pipeline.cli.process import fits


def videos(*durations_s):
    return [PlannedVideo(Path(f"{at}.mp4"), f"{at}.mp4", known) for at, known in enumerate(durations_s)]


def fits_last(*durations_s, most=20):
    *group, video = videos(*durations_s)
    return fits(video, group, most)


def test_short_videos_share_a_run_up_to_its_limits():
    assert fits_last(*[10.0] * 20)
    assert not fits_last(*[10.0] * 21)
    assert not fits_last(10.0, 10.0, 10.0, most=2)
    assert fits_last(*[30.0] * 10)
    assert not fits_last(*[30.0] * 11), "subtitles would come late"


def test_long_ones_and_those_of_unknown_length_have_a_run_of_their_own():
    assert fits_last(3600.0)
    assert fits_last(None)
    assert not fits_last(10.0, 3600.0)
    assert not fits_last(3600.0, 10.0)
    assert not fits_last(None, 10.0)
