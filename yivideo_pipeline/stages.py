"""The pipeline's names: its stages, its job and the tags of its runs.

They stand apart from `defs`, since the service, the history and the command line use them without Dagster,
whose import takes a second.
"""

from dataclasses import dataclass

LOCATION = "yivideo_pipeline"
"""Name of the code location, everywhere: in workspace.yaml, pyproject.toml and the runs of the CLI."""
JOB = "process_video"
GROUP = "yivideo"
"""Of all assets, since the UI's lineage opens with several groups folded."""
OWNERS = ["team:yivideo"]
GPU_POOL = "gpu"
"""Pool of the steps that use a model, over all runs; dagster.yaml limits how many work at once."""
VIDEOS = "videos"
"""Name of the partitions, one a video."""


@dataclass(frozen=True)
class StageSpec:
    """One stage of the pipeline.

    Attributes:
        name: Its name, which is also its asset's.
        code_version: To be raised when its code makes something else of the same input; part of its cache
            key, and Dagster's code version.
        upstream: The stages that it reads.
        uses_model: Whether it uses a speech model.
    """

    name: str
    code_version: str
    upstream: tuple[str, ...] = ()
    uses_model: bool = False


STAGES: dict[str, StageSpec] = {
    spec.name: spec
    for spec in (
        StageSpec("video", "1"),
        StageSpec("audio", "2", upstream=("video",)),
        StageSpec("transcript", "6", upstream=("audio",), uses_model=True),
        StageSpec("alignment", "3", upstream=("audio", "transcript"), uses_model=True),
        StageSpec("subtitles", "3", upstream=("alignment",)),
    )
}
"""All stages by name, in the order in which they follow each other."""
FIRST_STAGE = "video"
"""A video is described by this stage, from its file alone."""
LAST_STAGE = "subtitles"
"""A video is finished when this stage is."""


def stages_from(first: str) -> tuple[str, ...]:
    """Return a stage and all that follow it."""
    names = tuple(STAGES)
    return names[names.index(first) :]


def stages_before(stage: str) -> tuple[str, ...]:
    """Return the stages that come before this one."""
    names = tuple(STAGES)
    return names[: names.index(stage)]


PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
"""On a run of several videos: the first and the last, in the order in which they were registered."""
BACKFILL_TAG = "dagster/backfill"
PRIORITY_TAG = "dagster/priority"
"""Decides which run begins first, and whose step gets the model; without it: 0."""
MODEL_TAG = "yivideo/model"
TRIGGER_TAG = "yivideo/trigger"
"""What launched the run: cli, gateway, sensor, backfill, schedule, automation or ui."""
AUTOMATIC_TAG = "yivideo/automatic"
"""`true` on runs that nobody waits for: dagster.yaml keeps a slot free of them."""
BY_HAND_TAGS = {
    PRIORITY_TAG: "-2",  # behind a user's own runs, and behind those of the library's sensor
    AUTOMATIC_TAG: "true",
    "yivideo/backfill": "by-hand",
    TRIGGER_TAG: "backfill",
}
"""Of a backfill that a person launches, and of its runs."""
