import pytest

from yivideo_pipeline.media.clock import Evidence, PictureClock, Run, place

RATE = 16_000


def make_runs(*parts, pictures=None):
    """Runs of (timestamp, length), seconds; `pictures` gives (then, after) by the number of a run."""
    runs, start = [], 0
    for number, (stamp_s, length_s) in enumerate(parts):
        then, after = (pictures or {}).get(number, (None, None))
        runs.append(Run(start, stamp_s, round(length_s * RATE), then, after))
        start += runs[-1].length
    return runs


def places(runs, **evidence):
    """When each run is heard, in seconds from the first, and what was done."""
    placement = place(runs, Evidence(**evidence))
    return (
        [position / RATE for position in placement.positions],
        [repair.action for repair in placement.repairs],
    )


@pytest.mark.parametrize("wrong_s", [191.9, 3.0, 5.3])
def test_a_timestamp_whose_successors_fit_the_old_clock_is_ignored(wrong_s):
    runs = make_runs((0, 5), (wrong_s, 0.02), (5.02, 10))
    assert places(runs) == ([0, 5, 5.02], ["ignored"])


def test_several_wrong_timestamps_in_a_row_are_ignored_together():
    runs = make_runs((0, 5), (191.9, 0.02), (77, 0.02), (5.04, 10))
    assert places(runs) == ([0, 5, 5.02, 5.04], ["ignored"])


def test_a_cluster_that_is_moved_as_a_whole_is_ignored():
    assert places(make_runs((0, 20), (85.5, 5), (25, 30))) == ([0, 20, 25], ["ignored"])


def test_missing_packets_become_silence_that_later_ones_confirm():
    runs = make_runs((0, 5), (7.5, 5), (20, 30))
    assert places(runs) == ([0, 7.5, 20], ["silence", "silence"])


def test_a_wrong_timestamp_right_before_missing_packets_does_not_count_as_more_of_them():
    for wrong_s in (191.9, -60):
        runs = make_runs((100, 5), (100 + wrong_s, 0.02), (108.02, 10))
        assert places(runs) == ([0, 5, 8.02], ["ignored", "silence"])


def test_a_gap_beyond_the_length_in_the_header_is_believed_where_the_sound_goes_on():
    runs = make_runs((0, 12.6), (22.6, 20))
    assert places(runs, declared_s=12, end_s=12) == ([0, 22.6], ["silence"])


def test_a_jump_of_the_sound_alone_is_no_gap_where_the_picture_goes_on():
    runs = make_runs((0, 10), (110, 60), pictures={1: (9.9, 10.1)})
    assert places(runs) == ([0, 10], ["continued"])


@pytest.mark.parametrize("seen", [(9.9, 109.9), (9.9, None), (2.0, 10.1)])
def test_a_jump_is_a_gap_where_the_picture_jumps_too_or_is_no_witness(seen):
    runs = make_runs((0, 10), (110, 60), pictures={1: seen})
    assert places(runs) == ([0, 110], ["silence"])


def test_a_jump_is_no_gap_where_only_without_it_sound_and_picture_end_together():
    runs = make_runs((0, 10), (31.8, 50))
    assert places(runs, picture_end_s=60.3) == ([0, 10], ["continued"])
    assert places(runs, picture_end_s=81.5) == ([0, 31.8], ["silence"])
    assert places(runs, picture_end_s=30.0) == ([0, 31.8], ["silence"])


def test_a_clock_that_starts_again_leaves_no_gap_and_takes_nothing_away():
    runs = make_runs((1000, 600), (0, 600), (605, 60))
    assert places(runs) == ([0, 600, 1205], ["continued", "silence"])


def test_a_small_step_back_is_an_overlap():
    assert places(make_runs((0, 5), (4.5, 90))) == ([0, 4.5], ["overlap"])


def test_all_silence_together_is_bounded_by_what_header_or_picture_tell_of():
    runs = make_runs(*((number * 1900.0, 100) for number in range(5)))
    assert places(runs) == (
        [0, 1900, 3800, 3900, 4000],
        ["silence", "silence", "continued", "continued"],
    )
    positions, _ = places(runs, declared_s=8000)
    assert positions == [0, 1900, 3800, 5700, 7600]
    positions, _ = places(runs, walked_s=8000)
    assert positions == [0, 1900, 3800, 5700, 7600]


def test_a_header_that_lies_about_years_does_not_make_years_of_silence():
    positions, _ = places(make_runs((0, 10), (10**7, 60)), declared_s=10**8)
    assert positions == [0, 10]


def test_the_first_timestamp_may_be_wrong_as_well():
    for wrong_s in (4.1, 0.4):
        placement = place(make_runs((wrong_s, 0.02), (0.02, 60)), Evidence())
        assert placement.positions == (0, 320)
        assert placement.start_s == pytest.approx(0)
        assert placement.corrected_start
    early = place(make_runs((-4.1, 0.02), (0.02, 60), pictures={1: (0.0, 0.04)}), Evidence())
    assert early.start_s == pytest.approx(0)


def test_no_packet_confirms_the_last_one_so_that_header_or_picture_have_to():
    runs = make_runs((0, 60), (64.1, 0.02))
    assert places(runs, end_s=60.0) == ([0, 60], ["continued"])
    assert places(runs, end_s=65.0) == ([0, 64.1], ["silence"])


def test_what_was_done_is_told_with_the_second_and_the_length():
    placement = place(make_runs((1.4, 5), (193.3, 0.02), (6.42, 10), (26.42, 10)), Evidence())
    ignored, silence = placement.repairs_from(1.4)
    assert (ignored.action, silence.action) == ("ignored", "silence")
    assert (ignored.at_s, ignored.jump_s, ignored.length_s) == pytest.approx((5, 186.9, 0.02))
    assert (silence.at_s, silence.jump_s, silence.length_s) == pytest.approx((15.02, 10, 10))


def test_the_clock_of_the_picture_counts_no_jumps():
    clock = PictureClock()
    for stamp_s in (0.0, 0.5, 1.0, 900.0, 1.5, 2.0):
        clock.see(stamp_s)
    assert (clock.walked_s, clock.end_s) == (1.5, 2.0)


def test_a_track_without_sound_has_no_place():
    assert place([], Evidence()).start_s is None
