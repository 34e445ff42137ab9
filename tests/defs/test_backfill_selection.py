import os
import time

import pytest

from yivideo_pipeline.defs.backfills.selection import Candidate, LeftOut, Reason, Wish, select
from yivideo_pipeline.defs.cache_keys import recipes
from yivideo_pipeline.defs.dagster_internals import Order, launch
from yivideo_pipeline.errors.tree import ModelLoadError
from yivideo_pipeline.stages import STAGES, VIDEOS

ALL = Wish()


@pytest.fixture
def chosen(bench):
    """Select as the settings are, or as they would be with changes."""

    def chosen(wish=ALL, **changes):
        settings = bench.settings
        for section, values in changes.items():
            section_as_it_is = getattr(settings, section)
            settings = settings.model_copy(update={section: section_as_it_is.model_copy(update=values)})
        now = recipes(settings, bench.speech.revision(settings.speech.options))
        ledger, library = bench.resources["ledger"], bench.resources["library"]
        return select(bench.instance, ledger, library, now, wish)

    return chosen


def register(bench, *names):
    keys = [bench.add(name) for name in names]
    bench.instance.add_dynamic_partitions(VIDEOS, keys)


def fail(bench, name):
    bench.add(name)
    bench.speech.fail_with = [ModelLoadError("no")]
    assert not bench.run(name).success


def wanted(*reasons, **more):
    return Wish(frozenset(reasons), **more)


def test_each_video_has_one_reason_in_the_order_in_which_they_came(bench, chosen):
    register(bench, "missing.mp4")
    fail(bench, "failed.mp4")
    bench.add("good.mp4")
    bench.run("good.mp4")
    assert chosen().videos == (
        Candidate("missing.mp4", Reason.MISSING, "video"),
        Candidate("failed.mp4", Reason.FAILED, "video"),
        Candidate("good.mp4", Reason.ASKED, "video"),
    )


def test_reasons_that_nobody_asked_for_are_not_chosen(bench, chosen):
    register(bench, "missing.mp4")
    fail(bench, "failed.mp4")
    assert [one.key for one in chosen(wanted(Reason.MISSING)).videos] == ["missing.mp4"]
    assert [one.key for one in chosen(wanted(Reason.FAILED)).videos] == ["failed.mp4"]
    assert chosen(wanted(Reason.STALE)).videos == ()


def test_a_stale_video_begins_with_the_first_stage_that_would_make_something_else(bench, chosen):
    bench.add("talk.mp4")
    bench.run()
    stale = wanted(Reason.STALE)
    assert chosen(stale).videos == ()
    (profile,) = chosen(stale, subtitles={"max_lines": 1}).videos
    assert (profile.start, profile.stages) == ("subtitles", ("subtitles",))
    (text,) = chosen(stale, speech={"beam_size": 1}, subtitles={"max_lines": 1}).videos
    assert text.stages == ("transcript", "alignment", "subtitles")


def test_new_weights_make_a_video_stale(bench, chosen):
    bench.add("talk.mp4")
    bench.run()
    bench.speech.weights = "fake-2"
    assert chosen(wanted(Reason.STALE)).by_start() == {"transcript": ["talk.mp4"]}


def test_options_that_a_person_chose_are_not_stale(bench, chosen):
    bench.add("talk.mp4")
    bench.run(subtitles={"max_lines": 1})
    assert chosen(wanted(Reason.STALE)).videos == ()


def test_a_broken_video_is_left_out_once_it_is_set_aside(bench, chosen, tmp_path):
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    bench.add("text.mp4", tmp_path / "text.mp4")
    bench.run("text.mp4")
    selection = chosen()
    assert selection.videos == ()
    assert selection.left_out == {"text.mp4": LeftOut.QUARANTINED}


def test_a_video_without_its_file_is_left_out(bench, chosen):
    register(bench, "deep/er/talk.mp4", "other.mp4")
    (bench.inbox / "other.mp4").unlink()
    bench.instance.add_dynamic_partitions(VIDEOS, ["gone:other.mp4"])  # of a root that the settings lost
    selection = chosen()
    assert [one.key for one in selection.videos] == ["deep/er/talk.mp4"]
    assert selection.left_out == {"other.mp4": LeftOut.GONE, "gone:other.mp4": LeftOut.GONE}


def test_what_another_backfill_has_still_to_do_is_left_out(bench, chosen):
    register(bench, "one.mp4", "two.mp4")
    launch(bench.instance, Order("one", "by-hand", "backfill", ["one.mp4"], tuple(STAGES), "One", ""))
    selection = chosen()
    assert [one.key for one in selection.videos] == ["two.mp4"]
    assert selection.left_out == {"one.mp4": LeftOut.UNDER_WAY}


def test_a_glob_goes_over_folders_and_tells_upper_from_lower_case(bench, chosen):
    register(bench, "talks/2024/a.mp4", "talks/B.MP4", "films/c.mp4")
    assert [one.key for one in chosen(Wish(match="talks/*.mp4")).videos] == ["talks/2024/a.mp4"]
    assert [one.key for one in chosen(Wish(match="*.MP4")).videos] == ["talks/B.MP4"]


def test_since_chooses_by_when_the_file_came_whatever_its_date(bench, chosen):
    register(bench, "old film.mp4")
    os.utime(bench.inbox / "old film.mp4", (0, 0))
    assert [one.key for one in chosen(Wish(since=time.time() - 3600)).videos] == ["old film.mp4"]
    later = chosen(Wish(since=time.time() + 3600))
    assert (later.videos, later.left_out) == ((), {})


def test_all_that_is_asked_must_fit(bench, chosen):
    register(bench, "talks/a.mp4", "films/c.mp4")
    fail(bench, "talks/b.mp4")
    wish = wanted(Reason.MISSING, match="talks/*", since=time.time() - 3600)
    assert [one.key for one in chosen(wish).videos] == ["talks/a.mp4"]
