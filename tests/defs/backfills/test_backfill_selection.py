import os
import time

import pytest

from yivideo_pipeline.defs.backfills.launch import PlannedBackfill, launch
from yivideo_pipeline.defs.backfills.plan import stale_causes
from yivideo_pipeline.defs.backfills.selection import (
    BackfillFilter,
    BackfillReason,
    Candidate,
    LeftOut,
    select_videos,
)
from yivideo_pipeline.defs.cache_keys import current_keys
from yivideo_pipeline.errors.tree import ModelLoadError
from yivideo_pipeline.stages import STAGES, VIDEOS

ALL = BackfillFilter()


@pytest.fixture
def chosen(pipeline):
    """Select as the settings are, or as they would be with changes."""

    def chosen(selected_by=ALL, speech=None, subtitles=None):
        settings = pipeline.settings
        options = settings.speech.options.model_copy(update=speech or {})
        profile = settings.subtitles.model_copy(update=subtitles or {})
        now = current_keys(options, profile, pipeline.speech.revision(options))
        ledger, library = pipeline.resources["ledger"], pipeline.resources["library"]
        return select_videos(pipeline.instance, ledger, library, now, selected_by)

    return chosen


def register(pipeline, *names):
    keys = [pipeline.add(name) for name in names]
    pipeline.instance.add_dynamic_partitions(VIDEOS, keys)


def fail(pipeline, name):
    pipeline.add(name)
    pipeline.speech.fail_with = [ModelLoadError("no")]
    assert not pipeline.run(name).success


def wanted(*reasons, **more):
    return BackfillFilter(frozenset(reasons), **more)


def test_each_video_has_one_reason_in_the_order_in_which_they_came(pipeline, chosen):
    register(pipeline, "missing.mp4")
    fail(pipeline, "failed.mp4")
    pipeline.add("good.mp4")
    pipeline.run("good.mp4")
    assert chosen().videos == (
        Candidate("missing.mp4", BackfillReason.MISSING, "video"),
        Candidate("failed.mp4", BackfillReason.FAILED, "video"),
        Candidate("good.mp4", BackfillReason.ASKED, "video"),
    )


def test_reasons_that_were_not_asked_for_are_not_chosen(pipeline, chosen):
    register(pipeline, "missing.mp4")
    fail(pipeline, "failed.mp4")
    assert [one.key for one in chosen(wanted(BackfillReason.MISSING)).videos] == ["missing.mp4"]
    assert [one.key for one in chosen(wanted(BackfillReason.FAILED)).videos] == ["failed.mp4"]
    assert chosen(wanted(BackfillReason.STALE)).videos == ()


def test_a_stale_video_begins_with_the_first_stage_that_would_make_something_else(pipeline, chosen):
    pipeline.add("talk.mp4")
    pipeline.run()
    stale = wanted(BackfillReason.STALE)
    assert chosen(stale).videos == ()
    (profile,) = chosen(stale, subtitles={"max_lines": 1}).videos
    assert (profile.start, profile.stages) == ("subtitles", ("subtitles",))
    (text,) = chosen(stale, speech={"beam_size": 1}, subtitles={"max_lines": 1}).videos
    assert text.stages == ("transcript", "alignment", "subtitles")


def test_new_weights_of_a_named_model_make_a_video_stale(pipeline, chosen):
    pipeline.name_model("base")
    pipeline.add("talk.mp4")
    pipeline.run()
    pipeline.speech.weights = "fake-2"
    stale = chosen(wanted(BackfillReason.STALE))
    assert stale.by_start() == {"transcript": ["talk.mp4"]}
    made, options = pipeline.resources["ledger"].materializations, pipeline.settings.speech.options
    now = current_keys(options, pipeline.settings.subtitles, "base-fake-2")
    assert {
        cause: [one.key for one in of]
        for cause, of in stale_causes(made, stale, now, ("base", "base-fake-2")).items()
    } == {"the revision of base has changed from base-fake-1 to base-fake-2": ["talk.mp4"]}
    (cause,) = stale_causes(made, stale, now, ("small", "small-fake-1"))
    assert cause == "the model has changed from base to small"


def test_options_that_a_user_chose_are_not_stale(pipeline, chosen):
    pipeline.add("talk.mp4")
    pipeline.run(subtitles={"max_lines": 1})
    assert chosen(wanted(BackfillReason.STALE)).videos == ()


def test_a_broken_video_is_left_out_once_it_is_quarantined(pipeline, chosen, tmp_path):
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    pipeline.add("text.mp4", tmp_path / "text.mp4")
    pipeline.run("text.mp4")
    selection = chosen()
    assert selection.videos == ()
    assert selection.left_out == {"text.mp4": LeftOut.QUARANTINED}


def test_a_video_without_its_file_is_left_out(pipeline, chosen):
    register(pipeline, "deep/er/talk.mp4", "other.mp4")
    (pipeline.inbox / "other.mp4").unlink()
    pipeline.instance.add_dynamic_partitions(VIDEOS, ["gone:other.mp4"])  # of a root that the settings lost
    selection = chosen()
    assert [one.key for one in selection.videos] == ["deep/er/talk.mp4"]
    assert selection.left_out == {"other.mp4": LeftOut.GONE, "gone:other.mp4": LeftOut.GONE}


def test_what_another_backfill_has_still_to_do_is_left_out(pipeline, chosen):
    register(pipeline, "one.mp4", "two.mp4")
    launch(
        pipeline.instance,
        PlannedBackfill("one", "by-hand", "backfill", ["one.mp4"], tuple(STAGES), "One", ""),
    )
    selection = chosen()
    assert [one.key for one in selection.videos] == ["two.mp4"]
    assert selection.left_out == {"one.mp4": LeftOut.UNDER_WAY}


def test_a_glob_goes_over_folders_and_is_case_sensitive(pipeline, chosen):
    register(pipeline, "talks/2024/a.mp4", "talks/B.MP4", "films/c.mp4")
    assert [one.key for one in chosen(BackfillFilter(match="talks/*.mp4")).videos] == ["talks/2024/a.mp4"]
    assert [one.key for one in chosen(BackfillFilter(match="*.MP4")).videos] == ["talks/B.MP4"]


def test_since_chooses_by_when_the_file_came_whatever_its_date(pipeline, chosen):
    register(pipeline, "old film.mp4")
    os.utime(pipeline.inbox / "old film.mp4", (0, 0))
    assert [one.key for one in chosen(BackfillFilter(since=time.time() - 3600)).videos] == ["old film.mp4"]
    later = chosen(BackfillFilter(since=time.time() + 3600))
    assert (later.videos, later.left_out) == ((), {})


def test_all_that_is_asked_must_fit(pipeline, chosen):
    register(pipeline, "talks/a.mp4", "films/c.mp4")
    fail(pipeline, "talks/b.mp4")
    talks = wanted(BackfillReason.MISSING, match="talks/*", since=time.time() - 3600)
    assert [one.key for one in chosen(talks).videos] == ["talks/a.mp4"]
