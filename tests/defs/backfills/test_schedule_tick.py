from datetime import UTC, datetime

import dagster as dg
import pytest

from yivideo_pipeline.defs.backfills.selection import BackfillReason
from yivideo_pipeline.defs.backfills.tick import PAUSED, ScheduleTick
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.runner import Processor
from yivideo_pipeline.defs.schedules import NIGHTLY, WEEKLY
from yivideo_pipeline.stages import VIDEOS

NIGHT = datetime(2026, 11, 22, 23, tzinfo=UTC)
MISSING = frozenset({BackfillReason.MISSING, BackfillReason.FAILED})
STALE = frozenset({BackfillReason.STALE})


@pytest.fixture
def tick(pipeline):
    """A tick of that moment, with changes of the settings."""

    def tick(now=NIGHT, **changes):
        settings = pipeline.settings
        for section, values in changes.items():
            section_as_it_is = getattr(settings, section)
            settings = settings.model_copy(update={section: section_as_it_is.model_copy(update=values)})
        resources = pipeline.resources
        return ScheduleTick(
            settings.backfills,
            settings.runs,
            settings.notices,
            settings.speech.options,
            pipeline.instance,
            resources["ledger"],
            resources["library"],
            due=now,
            now=now,
        )

    return tick


@pytest.fixture
def kept(pipeline, home):
    """The same with an instance on disk, which a schedule's own function asks for."""
    pipeline.instance.dispose()
    pipeline.instance = open_instance(home)
    pipeline.processor = Processor(pipeline.instance, pipeline.resources)
    return pipeline


def register(pipeline, *names):
    pipeline.instance.add_dynamic_partitions(VIDEOS, [pipeline.add(name) for name in names])


def launched_keys(pipeline):
    (backfill,) = pipeline.instance.get_backfills()
    subset = backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key
    return set(subset[dg.AssetKey("subtitles")].get_partition_keys())


def evaluate(pipeline, name):
    """What the daemon gets from the schedule's own function."""
    repository = build_definitions(pipeline.resources).get_repository_def()
    with dg.build_schedule_context(
        pipeline.instance,
        scheduled_execution_time=NIGHT,
        repository_def=repository,
        resources=pipeline.resources,
    ) as context:
        return repository.get_schedule_def(name).evaluate_tick(context).skip_message


def test_both_schedules_are_off_until_a_user_switches_them_on(pipeline):
    schedules = build_definitions(pipeline.resources).get_repository_def().schedule_defs
    ours = {one.name: one for one in schedules if one.name in (NIGHTLY, WEEKLY)}
    assert set(ours) == {NIGHTLY, WEEKLY}
    assert {one.default_status for one in ours.values()} == {dg.DefaultScheduleStatus.STOPPED}
    assert ours[NIGHTLY].cron_schedule == "0 1 * * *"
    assert ours[NIGHTLY].execution_timezone == "UTC"


def test_a_night_launches_one_backfill_and_says_which(kept):
    register(kept, "one.mp4", "two.mp4")
    outcome = evaluate(kept, NIGHTLY)
    assert outcome == "Submitted backfill nightly-20261122-2300 of 2 videos (2 missing)"
    assert launched_keys(kept) == {"one.mp4", "two.mp4"}


def test_a_week_launches_what_is_stale(kept):
    kept.name_model("base")
    kept.processor = Processor(kept.instance, kept.resources)
    kept.add("talk.mp4")
    kept.run()
    assert evaluate(kept, WEEKLY) == "Nothing to do: none of 1 video is stale"
    kept.speech.weights = "fake-2"
    outcome = evaluate(kept, WEEKLY)
    assert outcome == "Submitted backfill weekly-20261122-2300-transcript of 1 video (1 stale)"


def test_nothing_is_launched_while_an_earlier_backfill_is_not_finished(pipeline, tick):
    register(pipeline, "one.mp4")
    tick().launch(NIGHTLY, MISSING)
    register(pipeline, "two.mp4")
    outcome = tick(NIGHT.replace(day=23)).launch(NIGHTLY, MISSING)
    assert outcome == "Backfill nightly-20261122-2300 is not finished yet"
    assert launched_keys(pipeline) == {"one.mp4"}


def test_nothing_is_launched_in_a_pause(pipeline, tick):
    register(pipeline, "one.mp4")
    pipeline.resources["ledger"].flags.set(PAUSED, "ann@desk")
    assert "by ann@desk; `yivideo backfill --resume` ends it" in tick().launch(NIGHTLY, MISSING)
    pipeline.resources["ledger"].flags.clear(PAUSED)
    assert tick().launch(NIGHTLY, MISSING).startswith("Submitted")


def test_a_tick_that_comes_after_the_hours_launches_nothing(pipeline, tick):
    register(pipeline, "one.mp4")
    hours = {"window": "22:00-06:00", "time_zone": "Europe/Berlin"}
    at_half_past_six = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)
    assert tick(at_half_past_six, backfills=hours).launch(NIGHTLY, MISSING) == (
        "Outside of the hours 22:00-06:00"
    )
    assert tick(backfills=hours).launch(NIGHTLY, MISSING).startswith("Submitted")


def test_as_long_as_no_speed_is_known_the_hours_take_one_group(pipeline, tick):
    register(pipeline, "one.mp4", "two.mp4", "three.mp4")
    changes = {"backfills": {"window": "22:00-06:00"}, "runs": {"group_size": 2}}
    outcome = tick(**changes).launch(NIGHTLY, MISSING)
    assert outcome.endswith("of 2 videos (2 missing); 1 more don't fit into the hours that are left")
    assert launched_keys(pipeline) == {"one.mp4", "two.mp4"}


def test_many_stale_videos_are_asked_about_and_asked_about_once(pipeline, tick):
    for name in ("one.mp4", "two.mp4"):
        pipeline.add(name)
        pipeline.run(name)
    stale = tick(runs={"ask_above": 1})
    other = {"subtitles": "1.other"}
    outcome = stale.launch(WEEKLY, STALE, lambda: other)
    assert outcome.startswith("2 videos are stale, more than 1: they are not made again")
    stale.launch(WEEKLY, STALE, lambda: other)
    (waiting,) = pipeline.resources["ledger"].outbox.waiting("webhook", datetime.now(UTC).timestamp())
    assert waiting.notice.kind == "asks"
    assert any("yivideo backfill --stale" in line for line in waiting.notice.body)
    assert pipeline.instance.get_backfills() == []


def test_a_broken_video_is_not_tried_every_night(pipeline, tick, tmp_path):
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    pipeline.add("text.mp4", tmp_path / "text.mp4")
    pipeline.run("text.mp4")
    assert tick().launch(NIGHTLY, MISSING) == "Nothing to do: none of 1 video is failed or missing"
