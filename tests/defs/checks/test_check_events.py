"""What Dagster keeps of checks in runs of one video and of several."""

import dagster as dg
import pytest
from dagster._check import CheckError
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from tests.defs.checks.subjects import make_audio, make_info
from yivideo_pipeline.defs.checks.base import Subject
from yivideo_pipeline.defs.checks.catalogue import check_metadata, conclude, evaluate, evaluations, specs_of
from yivideo_pipeline.defs.dagster_internals import silent_output
from yivideo_pipeline.defs.partitions import videos
from yivideo_pipeline.settings.sections import CheckSettings

SOUND = dg.AssetCheckKey(dg.AssetKey("audio"), "audio_has_sound")


class Stage:
    """An asset with the audio's checks: `silent` videos fail one, `broken` ones are not made at all."""

    def __init__(self, settings):
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.instance = dg.DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions("videos", ["a", "b", "c", "d"])
        stage = self

        @dg.asset(partitions_def=videos, check_specs=specs_of("audio", settings))
        def audio(context: dg.AssetExecutionContext):
            def judge(key: str):
                sound = make_audio(peak_pct=0 if key in stage.silent else 80)
                return evaluate("audio", key, Subject(sound, video=make_info()), settings)

            if context.has_partition_key:
                yield dg.MaterializeResult(check_results=judge(context.partition_key))
                return
            made = {}
            for key in context.partition_keys:
                if key not in stage.broken:
                    made[key] = judge(key)
                    yield dg.AssetMaterialization("audio", partition=key, metadata=check_metadata(made[key]))
                    yield from evaluations(context, key, made[key])
            yield from conclude(context, made)
            yield silent_output()

        @dg.asset(partitions_def=videos, deps=[audio])
        def after(context: dg.AssetExecutionContext) -> None: ...

        self.assets = [audio, after]

    def run(self, first: str, last: str | None = None) -> dg.ExecuteInProcessResult:
        span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or ""}
        return dg.materialize(
            self.assets,
            instance=self.instance,
            partition_key=None if last else first,
            tags=span if last else None,
            raise_on_error=False,
        )

    def records(self, key: str | None):
        return self.instance.event_log_storage.get_asset_check_execution_history(
            SOUND, limit=10, partition_filter=PartitionKeyFilter(key=key)
        )


@pytest.fixture
def stage(home):
    stage = Stage(CheckSettings(errors=("audio_has_sound",)))
    yield stage
    stage.instance.dispose()


def test_in_a_run_of_one_video_the_result_points_to_the_videos_materialization(stage):
    stage.silent = {"b"}
    assert stage.run("b").success
    assert stage.run("a").success
    newer, older = (record.evaluation for record in stage.records(None))
    assert (newer.passed, older.passed) == (True, False)
    assert (newer.metadata["video"].value, older.metadata["video"].value) == ("a", "b")
    made = stage.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("audio"), asset_partitions=["b"]), limit=1
    ).records[0]
    assert older.target_materialization_data.storage_id == made.storage_id


def test_in_a_run_of_several_each_video_has_its_own_result(stage):
    stage.silent = {"b", "c"}
    assert stage.run("a", "d").success
    found = {key: [record.evaluation for record in stage.records(key)] for key in "abcd"}
    assert {key: [one.passed for one in of] for key, of in found.items()} == {
        "a": [True],
        "b": [False],
        "c": [False],
        "d": [True],
    }
    made = stage.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("audio"), asset_partitions=["b"]), limit=1
    ).records[0]
    assert found["b"][0].target_materialization_data.storage_id == made.storage_id


def test_a_run_of_several_has_one_result_as_a_whole(stage):
    stage.silent = {"b", "c"}
    stage.run("a", "d")
    (whole,) = stage.records(None)
    assert whole.status is Status.FAILED
    assert whole.evaluation.description == "It does not hold for 2 of 4 videos: b, c"
    assert whole.evaluation.metadata["failed"].value == ["b", "c"]


def test_a_video_that_was_not_made_has_no_result_and_counts_for_none(stage):
    stage.broken = {"b"}
    assert stage.run("a", "d").success
    assert stage.records("b") == []
    (whole,) = stage.records(None)
    assert whole.evaluation.description == "It holds for all of this run: 3 videos"


def test_a_run_of_which_no_video_was_made_leaves_its_checks_planned(stage):
    stage.broken = {"a", "b"}
    assert stage.run("a", "b").success
    (whole,) = stage.records(None)
    assert whole.status is Status.PLANNED


def test_a_videos_materialization_names_its_checks(stage):
    stage.silent = {"b"}
    stage.run("a", "d")
    made = stage.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("audio"), asset_partitions=["b"]), limit=1
    ).records[0]
    metadata = made.asset_materialization.metadata
    assert metadata["failed_checks"].value == 1
    rows = {row.data["check"]: row.data["result"] for row in metadata["checks"].records}
    assert rows == {"audio_has_sound": "error", "audio_lasts_as_long_as_the_video": "passed"}


def test_dagster_still_cannot_compute_the_states_of_checks_over_dynamic_partitions(stage):
    """When this fails, give the specs `partitions_def=videos`: see the notes in `defs.checks`."""
    stage.run("a", "b")
    with pytest.raises(CheckError, match="not available to load partitions"):
        stage.instance.event_log_storage.get_asset_check_state([(SOUND, videos)])
