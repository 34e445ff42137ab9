from yivideo_pipeline.cli.progress import Eta


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_nothing_is_estimated_before_anything_is_known():
    eta = Eta(600, Clock())
    eta.begin({"a": 60})
    assert (eta.fraction, eta.overall, eta.rtfx, eta.remaining_s) == (0, 0, None, None)


def test_stages_fill_a_video_in_their_order():
    eta = Eta(60, Clock())
    eta.begin({"a": 60})
    seen = []
    for stage in ("video", "audio", "transcript", "alignment", "subtitles"):
        for fraction in (0.0, 0.5, 1.0):
            eta.advance("a", stage, fraction)
            seen.append(eta.fraction)
    assert seen == sorted(seen)
    assert abs(seen[-1] - 1) < 1e-9


def test_a_stage_that_starts_again_does_not_move_the_bar_back():
    eta = Eta(60, Clock())
    eta.begin({"a": 60})
    eta.advance("a", "transcript", 0.9)
    before = eta.fraction
    eta.advance("a", "transcript", 0.1)
    assert eta.fraction == before


def test_nothing_is_estimated_before_the_model_has_done_something():
    clock = Clock()
    eta = Eta(600, clock)
    eta.begin({"a": 600})
    clock.now += 2
    eta.advance("a", "audio", 1.0)
    clock.now += 20
    eta.advance("a", "transcript", 0.0)
    assert (eta.rtfx, eta.remaining_s) == (None, None)
    assert round(eta.fraction, 2) == 0.05


def test_the_bar_moves_on_between_two_reports_and_never_past_the_stage():
    clock = Clock()
    eta = Eta(600, clock)
    eta.begin({"a": 600})
    clock.now += 10
    eta.advance("a", "transcript", 0.25)
    seen, left = [], []
    for _ in range(200):
        clock.now += 1
        eta.advance("a", "transcript", 0.25)  # what a model reports while it works on a batch
        seen.append(eta.fraction)
        left.append(eta.remaining_s)
    assert seen[:10] == sorted(set(seen[:10]))
    assert left[:10] == sorted(set(left[:10]), reverse=True)
    assert seen[-1] < 0.98
    eta.advance("a", "transcript", 0.5)
    assert eta.fraction == seen[-1]
    eta.advance("a", "transcript", 1.0)
    assert round(eta.fraction, 2) == 0.98


def test_the_rest_takes_as_long_as_the_work_so_far_says():
    clock = Clock()
    eta = Eta(600, clock)
    eta.begin({"a": 300})
    eta.advance("a", "subtitles", 1.0)
    clock.now += 30
    assert eta.rtfx is not None
    assert round(eta.rtfx) == 10
    eta.finish({"a": 300}, {"a"})
    assert (eta.overall, eta.remaining_s) == (0.5, 30.0)


def test_a_video_done_before_counts_as_done_but_not_as_speed():
    clock = Clock()
    eta = Eta(600, clock)
    eta.begin({"a": 300})
    clock.now += 1
    eta.finish({"a": 300}, set())
    assert (eta.overall, eta.remaining_s) == (0.5, None)


def test_videos_of_unknown_length_break_nothing():
    eta = Eta(0, Clock())
    eta.begin({"a": None})
    eta.advance("a", "transcript", 0.5)
    eta.finish({"a": None}, {"a"})
    assert (eta.overall, eta.remaining_s) == (0, None)


def test_videos_that_are_processed_together_count_by_their_length():
    eta = Eta(600, Clock())
    eta.begin({"short": 30, "long": 90})
    eta.advance("short", "subtitles", 1.0)
    assert round(eta.fraction, 3) == 0.25
    eta.advance("long", "transcript", 0.5)
    assert round(eta.fraction, 3) == round(0.25 + 0.75 * 0.515, 3)
    eta.finish({"short": 30}, {"short"})
    assert (eta.fraction, eta.overall) == (0, 0.05)
