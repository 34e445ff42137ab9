"""`model_name: auto`: each video keeps the model that was chosen for it, and says which and why."""

import pytest

from yivideo_pipeline.defs.backfills.selection import BackfillFilter, BackfillReason, select_videos
from yivideo_pipeline.defs.cache_keys import current_keys

STALE = BackfillFilter(frozenset({BackfillReason.STALE}))


@pytest.fixture
def made(pipeline):
    """Process the video and return the model of its transcript, and whether it was made before."""

    def made(**speech):
        pipeline.add("talk.mp4")
        assert pipeline.run(speech=speech).success
        metadata = pipeline.metadata("transcript")
        return metadata["model"].value, metadata["reused"].value

    return made


@pytest.fixture
def stale(pipeline):
    """Return the videos that are stale by the settings as they are."""

    def stale():
        options = pipeline.settings.speech.options
        now = current_keys(options, pipeline.settings.subtitles, pipeline.speech.revision(options))
        ledger, library = pipeline.resources["ledger"], pipeline.resources["library"]
        return [one.key for one in select_videos(pipeline.instance, ledger, library, now, STALE).videos]

    return stale


def test_metadata_and_run_tell_which_model_was_chosen_and_why(pipeline, made):
    pipeline.speech.auto = "small"
    assert made() == ("small", False)
    assert pipeline.metadata("transcript")["model_choice"].value == "chosen for the test"
    (run,) = pipeline.instance.get_runs()
    assert run.tags["yivideo/model"] == "small"


def test_a_video_that_is_done_keeps_its_model_on_a_better_machine(pipeline, made, stale):
    made()
    pipeline.speech.auto = "large-v3-turbo"
    assert stale() == []
    assert made() == ("base", True)
    assert pipeline.speech.loads == 2  # for the first transcript and its alignment


def test_a_video_whose_options_changed_gets_the_model_of_today(pipeline, made):
    made()
    pipeline.speech.auto = "large-v3-turbo"
    assert made(beam_size=1) == ("large-v3-turbo", False)


def test_the_user_gets_another_model_by_naming_it(pipeline, made, stale):
    made()
    assert made(model_name="large-v2") == ("large-v2", False)
    pipeline.name_model("large-v3")
    assert stale() == []  # another model was asked for
    made()
    pipeline.name_model("large-v2")
    assert stale() == ["talk.mp4"]


def test_a_model_that_was_named_once_does_not_stay_for_auto(pipeline, made):
    made(model_name="tiny")
    assert "model_choice" not in pipeline.metadata("transcript")
    assert made() == ("base", False)


def test_a_transcript_of_the_default_before_auto_is_not_stale_where_auto_means_the_same(
    pipeline, made, stale
):
    pipeline.name_model("base")
    made()
    pipeline.name_model("auto")
    assert stale() == []
    pipeline.speech.auto = "large-v3-turbo"
    assert stale() == ["talk.mp4"]
    pipeline.speech.auto = "base"
    assert made() == ("base", True)
