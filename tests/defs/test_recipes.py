"""Recipes: the same when the same would be made, noted with what is made."""

import pytest
from range_runs import add_videos, run_range

from yivideo_pipeline.defs.cache_keys import recipes
from yivideo_pipeline.settings.options import Device, SubtitleOptions, override

STAGES = ("video", "audio", "transcript", "alignment", "subtitles")


def with_speech(settings, **changes):
    options = settings.speech.options.model_copy(update=changes)
    return settings.model_copy(update={"speech": settings.speech.model_copy(update={"options": options})})


def changed(bench, settings) -> list[str]:
    before, after = recipes(bench.settings, "r1"), recipes(settings, "r1")
    return [stage for stage in STAGES if before[stage] != after[stage]]


def now(bench) -> dict[str, str]:
    return recipes(bench.settings, bench.speech.revision(bench.settings.speech.options))


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"language": "zh"}, ["audio", "transcript"]),
        ({"beam_size": 1}, ["transcript"]),
        ({"task": "translate"}, ["transcript"]),
        ({"aligner": "attention"}, ["alignment"]),
        ({"batch_size": 2, "device": Device.CPU}, []),
    ],
)
def test_a_setting_changes_the_stages_that_it_decides(bench, changes, stages):
    typed = override(bench.settings.speech.options, changes)
    assert changed(bench, with_speech(bench.settings, **dict(typed))) == stages


def test_the_profile_changes_the_subtitles_alone(bench):
    profile = SubtitleOptions(max_lines=1)
    assert changed(bench, bench.settings.model_copy(update={"subtitles": profile})) == ["subtitles"]


def test_other_weights_change_the_transcript_alone(bench):
    one, other = recipes(bench.settings, "r1"), recipes(bench.settings, "r2")
    assert [stage for stage in STAGES if one[stage] != other[stage]] == ["transcript"]


def test_what_a_run_makes_is_noted_with_the_recipe_of_the_settings(bench):
    bench.add("talk.mp4")
    done = bench.run()
    rows = bench.resources["ledger"].made.of("talk.mp4")
    assert {stage: row.recipe for stage, row in rows.items()} == now(bench)
    assert {row.run_id for row in rows.values()} == {done.run_id}
    assert not any(row.chosen or row.reused for row in rows.values())
    assert rows["transcript"].rtfx == pytest.approx(bench.metadata("transcript")["rtfx"].value, abs=0.001)
    assert (rows["transcript"].model, rows["video"].model) == ("base", None)


def test_a_group_notes_the_same(bench):
    add_videos(bench, "a.mp4", "b.mp4")
    run_range(bench, "a.mp4", "b.mp4")
    for key in ("a.mp4", "b.mp4"):
        rows = bench.resources["ledger"].made.of(key)
        assert {stage: row.recipe for stage, row in rows.items()} == now(bench)


def test_what_a_person_chose_is_not_stale_until_the_code_changes(bench, raise_version):
    bench.add("talk.mp4")
    bench.run(speech={"beam_size": 1})
    made = bench.resources["ledger"].made
    rows = made.of("talk.mp4")
    assert [stage for stage in STAGES if rows[stage].chosen] == ["transcript"]
    assert made.other_recipes("transcript", now(bench)["transcript"]) == []
    raise_version("transcript")
    assert made.other_recipes("transcript", now(bench)["transcript"]) == ["talk.mp4"]


def test_a_video_of_old_settings_is_found(bench):
    bench.add("talk.mp4")
    bench.run()
    new = recipes(with_speech(bench.settings, beam_size=1), "fake")
    assert bench.resources["ledger"].made.other_recipes("transcript", new["transcript"]) == ["talk.mp4"]
    assert bench.resources["ledger"].made.other_recipes("audio", new["audio"]) == []
