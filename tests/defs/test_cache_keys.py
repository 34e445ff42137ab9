"""Cache keys are equal where the same would be made, and are recorded with what is made."""

import pytest

from tests.defs.multi_runs import add_videos, run_range
from yivideo_pipeline.defs.cache_keys import cache_keys, weights_asked
from yivideo_pipeline.settings.options import Device, override
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.stages import STAGES


def with_speech(settings, **changes):
    options = settings.speech.options.model_copy(update=changes)
    return settings.model_copy(update={"speech": settings.speech.model_copy(update={"options": options})})


def keys_of(settings, revision: str = "r1") -> dict[str, str]:
    return cache_keys(settings.speech.options, settings.subtitles, revision)


def changed(pipeline, settings) -> list[str]:
    before, after = keys_of(pipeline.settings), keys_of(settings)
    return [stage for stage in STAGES if before[stage] != after[stage]]


def now(pipeline) -> dict[str, str]:
    return keys_of(
        pipeline.settings, weights_asked(pipeline.settings.speech.options, pipeline.speech.revision)
    )


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"language": "zh"}, ["audio", "transcript"]),
        ({"audio_track": "2"}, ["audio"]),
        ({"beam_size": 1}, ["transcript"]),
        ({"task": "translate"}, ["transcript"]),
        ({"initial_prompt": "Håkon"}, ["transcript"]),
        ({"vocabulary": ("Håkon",)}, ["transcript"]),
        ({"temperature": 0.4}, ["transcript"]),
        ({"aligner": "attention"}, ["alignment"]),
        ({"batch_size": 2, "device": Device.CPU}, []),
    ],
)
def test_a_setting_changes_the_stages_that_it_decides(pipeline, changes, stages):
    typed = override(pipeline.settings.speech.options, changes)
    assert changed(pipeline, with_speech(pipeline.settings, **dict(typed))) == stages


def test_the_profile_changes_the_subtitles_alone(pipeline):
    profile = SubtitleOptions(max_lines=1)
    assert changed(pipeline, pipeline.settings.model_copy(update={"subtitles": profile})) == ["subtitles"]


def test_other_weights_change_the_transcript_alone(pipeline):
    one, other = keys_of(pipeline.settings, "r1"), keys_of(pipeline.settings, "r2")
    assert [stage for stage in STAGES if one[stage] != other[stage]] == ["transcript"]


def test_what_a_run_makes_is_recorded_with_the_cache_key_of_the_settings(pipeline):
    pipeline.add("talk.mp4")
    done = pipeline.run()
    rows = pipeline.resources["ledger"].materializations.of("talk.mp4")
    assert {stage: row.recipe for stage, row in rows.items()} == now(pipeline)
    assert {row.run_id for row in rows.values()} == {done.run_id}
    assert not any(row.chosen or row.reused for row in rows.values())
    assert rows["transcript"].rtfx == pytest.approx(pipeline.metadata("transcript")["rtfx"].value, abs=0.001)
    assert (rows["transcript"].model, rows["video"].model) == ("base", None)


def test_a_multi_run_records_the_same(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4")
    run_range(pipeline, "a.mp4", "b.mp4")
    for key in ("a.mp4", "b.mp4"):
        rows = pipeline.resources["ledger"].materializations.of(key)
        assert {stage: row.recipe for stage, row in rows.items()} == now(pipeline)


def test_what_a_user_chose_is_not_stale_until_the_code_changes(pipeline, raise_version):
    pipeline.add("talk.mp4")
    pipeline.run(speech={"beam_size": 1})
    made = pipeline.resources["ledger"].materializations
    rows = made.of("talk.mp4")
    assert [stage for stage in STAGES if rows[stage].chosen] == ["transcript"]
    assert made.other_recipes("transcript", now(pipeline)["transcript"]) == []
    raise_version("transcript")
    assert made.other_recipes("transcript", now(pipeline)["transcript"]) == ["talk.mp4"]


def test_a_video_of_old_settings_is_found(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    new = keys_of(with_speech(pipeline.settings, beam_size=1), "fake")
    assert pipeline.resources["ledger"].materializations.other_recipes("transcript", new["transcript"]) == [
        "talk.mp4"
    ]
    assert pipeline.resources["ledger"].materializations.other_recipes("audio", new["audio"]) == []
