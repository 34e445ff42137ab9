from yivideo_pipeline.cli.progress import Pace


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_nothing_is_guessed_before_anything_is_known():
    pace = Pace(600, Clock())
    pace.begin(60)
    assert (pace.fraction, pace.overall, pace.rtfx, pace.remaining_s) == (0, 0, None, None)


def test_stages_fill_a_video_in_their_order():
    pace = Pace(60, Clock())
    pace.begin(60)
    seen = []
    for stage in ("video", "audio", "transcript", "alignment", "subtitles"):
        for fraction in (0.0, 0.5, 1.0):
            pace.advance(stage, fraction)
            seen.append(pace.fraction)
    assert seen == sorted(seen)
    assert abs(seen[-1] - 1) < 1e-9


def test_a_stage_that_starts_again_takes_nothing_back():
    pace = Pace(60, Clock())
    pace.begin(60)
    pace.advance("transcript", 0.9)
    before = pace.fraction
    pace.advance("transcript", 0.1)
    assert pace.fraction == before


def test_the_rest_takes_as_long_as_the_work_so_far_says():
    clock = Clock()
    pace = Pace(600, clock)
    pace.begin(300)
    pace.advance("subtitles", 1.0)
    clock.now += 30
    assert pace.rtfx is not None
    assert round(pace.rtfx) == 10
    pace.finish(worked=True)
    assert (pace.overall, pace.remaining_s) == (0.5, 30.0)


def test_a_video_done_before_counts_as_done_but_not_as_speed():
    clock = Clock()
    pace = Pace(600, clock)
    pace.begin(300)
    clock.now += 1
    pace.finish(worked=False)
    assert (pace.overall, pace.remaining_s) == (0.5, None)


def test_videos_of_unknown_length_break_nothing():
    pace = Pace(0, Clock())
    pace.begin(None)
    pace.advance("transcript", 0.5)
    pace.finish(worked=True)
    assert (pace.overall, pace.remaining_s) == (0, None)
