"""The stages' names and code versions; without Dagster, whose import takes a second."""

LOCATION = "yivideo_pipeline"
"""Name of the code location, everywhere: in workspace.yaml, pyproject.toml and the runs of the CLI."""
JOB = "process_video"
GROUP = "subtitles"
OWNERS = ["team:yivideo"]
GPU_POOL = "gpu"
"""Steps that use a model take turns in it, over all runs: dagster.yaml says how many at once."""

CODE_VERSIONS = {
    "video": "1",
    "audio": "1",
    "transcript": "1",
    "alignment": "1",
    "subtitles": "1",
}
"""Raise a stage's number when its code makes something else of the same input: it is in its key."""

UPSTREAM = {
    "video": (),
    "audio": ("video",),
    "transcript": ("audio",),
    "alignment": ("audio", "transcript"),
    "subtitles": ("alignment",),
}
"""What each stage reads, in the order in which they follow each other."""
LAST = "subtitles"
"""A video has gone well when it went through this one."""

VIDEOS = "videos"
"""Name of the partitions, one a video."""


# PART history/tags.py: Tags of runs, ours and Dagster's: set where a run is launched or begins, read by history and API.

PARTITION_TAG = "dagster/partition"
BACKFILL_TAG = "dagster/backfill"
MODEL_TAG = "yivideo/model"
TRIGGER_TAG = "yivideo/trigger"
"""Who asked for the run: cli, gateway, sensor, backfill, schedule, automation or ui."""
